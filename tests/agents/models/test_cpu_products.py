"""oneDNN's products of linear layers are torch's, with gradients of the first and second order."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import agents.models.cpu_products as products
from agents.models.cpu_products import OneDNNLinear, can_pack, pack, packed_product, product

pytestmark = pytest.mark.skipif(not can_pack(torch.float32), reason="packs on x86 alone")


@pytest.fixture(params=["AuthenticAMD", "GenuineIntel", ""])
def vendor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(products, "_vendor", lambda: request.param)
    products.prefers_onednn.cache_clear()
    yield request.param
    monkeypatch.undo()
    products.prefers_onednn.cache_clear()


def test_it_is_used_where_mkl_leaves_out_kernels(vendor: str) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Bilinear(4, 4, 2))
    products.use_own_products(model)
    assert isinstance(model[0], OneDNNLinear) == (vendor == "AuthenticAMD")


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(7,), (1, 7), (2, 3, 7), (0, 7)], ids=str)
def test_a_layer_computes_what_torchs_computes(shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(7, 5, bias=bias)
    x = torch.randn(shape)
    found = []
    for kind in (nn.Linear, OneDNNLinear):
        layer.__class__ = kind
        inputs = x.clone().requires_grad_()
        output = layer(inputs)
        output.square().sum().backward()
        found.append([output.detach(), inputs.grad, *(p.grad for p in layer.parameters())])
        layer.zero_grad()
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_only_what_learns_gets_a_gradient() -> None:
    layer = OneDNNLinear(7, 5)
    layer.weight.requires_grad_(False)
    layer(torch.randn(3, 7)).sum().backward()
    assert layer.weight.grad is None
    assert torch.equal(layer.bias.grad, torch.full((5,), 3.0))


def test_the_gradient_has_a_gradient() -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(7, 5), torch.randn(4, 7)
    found = []
    for kind in (nn.Linear, OneDNNLinear):
        layer.__class__ = kind
        inputs = x.clone().requires_grad_()
        tensors = [inputs, layer.weight]
        grads = torch.autograd.grad(layer(inputs).pow(3).sum(), tensors, create_graph=True)
        found.append(torch.autograd.grad(sum(g.square().sum() for g in grads), tensors))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_packed_weights_give_the_same_products(vendor: str, dtype: torch.dtype) -> None:
    if not can_pack(dtype):
        pytest.skip("this processor has no bfloat16")
    x, weight, bias = (torch.randn(n, dtype=dtype) for n in ((9, 33), (21, 33), (21,)))
    wanted = nn.functional.linear(x.double(), weight.double(), bias.double())
    for found in (packed_product(x, pack(weight), bias), product(x, weight, bias)):
        torch.testing.assert_close(found.double(), wanted, rtol=1e-2, atol=2e-2)
    # A view, as the gradient of x needs it.
    back = product(wanted.to(dtype), weight.T)
    torch.testing.assert_close(
        back.double(), wanted.to(dtype).double() @ weight.double(), rtol=2e-2, atol=0.1
    )
