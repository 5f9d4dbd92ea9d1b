"""Compiled layers: the same numbers, few graphs, and none where tokens are written.

The compiler of these tests is torch's "eager" backend; what is traced, and how often, is real.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters

import agents.models.compilation
from agents.models.compilation import compile_decoder, is_compiled, uncompiled
from agents.models.loading import teacher_forced_hidden

# The tracer itself looks at the gradient of what has none.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")


@pytest.fixture(autouse=True)
def without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> Any:
    true_compile = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda function, **kwargs: true_compile(function, backend="eager")
    )
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def n_graphs() -> int:
    return int(counters["stats"]["unique_graphs"])


def test_layers_share_graphs_and_new_shapes_soon_need_none(tiny_model):
    backbone = tiny_model.base_model
    sizes = ((4, 20), (3, 24), (5, 31), (6, 40))
    expected = [
        teacher_forced_hidden(backbone, torch.arange(n * t).view(n, t) % 97) for n, t in sizes
    ]
    compile_decoder(backbone)
    seen = []
    for (n, t), wanted in zip(sizes, expected, strict=True):
        hidden = teacher_forced_hidden(backbone, torch.arange(n * t).view(n, t) % 97)
        torch.testing.assert_close(hidden, wanted, rtol=1e-5, atol=1e-5)
        seen.append(n_graphs())
    assert seen == [1, 2, 2, 2]


def test_in_the_uncompiled_context_nothing_is_compiled(tiny_model):
    backbone = tiny_model.base_model
    assert not is_compiled(backbone)
    compile_decoder(backbone)
    assert is_compiled(backbone)
    with uncompiled():
        teacher_forced_hidden(backbone, torch.arange(20).view(2, 10))
    assert n_graphs() == 0


@pytest.mark.parametrize(
    ("family", "options"),
    [("llama", {"lora": {}}), ("llama", {"bf16": True}), ("gpt2", {}), ("qwen3", {})],
)
def test_a_compiled_agent_trains_as_one_that_is_not(save_model, make_agent, family, options):
    """With an adapter, the reference is one more graph: the same layers with the adapter off."""
    model, rows = save_model(family, spread=0.3), []
    for compiled in (False, True):
        counters.clear()
        agent = make_agent(
            None, {"model": model, "compile_layers": compiled, **options}, seed=0, critic_warmup=0
        )
        metrics: list[Any] = []
        agent.learn(
            total_episodes=12, after_iteration=lambda found, to=metrics: to.append(found) or True
        )
        rows.append(metrics[0])
    assert 1 <= n_graphs() <= 8
    for name in ("rollout/reward_mean", "train/policy_gradient_loss", "train/grad_norm", "kl/ref"):
        assert rows[1][name] == pytest.approx(rows[0][name], rel=2e-2, abs=2e-3), name
    assert rows[1]["train/first_ratio"] == pytest.approx(
        1.0, abs=1e-2 if "bf16" in options else 1e-4
    )
    assert rows[1]["kl/ref"] == pytest.approx(0.0, abs=1e-2 if "bf16" in options else 1e-4)


def test_what_is_saved_has_plain_names(save_model, make_agent, tmp_path):
    agent = make_agent(None, {"model": save_model(), "compile_layers": True})
    plain = make_agent(None, {"model": save_model()})
    assert list(agent.policy.state_dict()) == list(plain.policy.state_dict())
    agent.save(tmp_path / "agent")
    loaded = type(agent).load(tmp_path / "agent", env=agent.env)
    assert loaded.policy.options.compile_layers
    assert agents.models.compilation.is_compiled(loaded.policy.lm)
