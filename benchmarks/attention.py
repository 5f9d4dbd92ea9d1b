"""Milliseconds of attention over whole sequences on a CPU: float32 beside bfloat16.

    python -m benchmarks.attention [--rounds 15]

Torch's causal `scaled_dot_product_attention`, forward and backward: its kernel for bfloat16 is why
`agents.models.attention` computes whole sequences in float32 under autocast. The types take turns
within a round; a ratio is the median over rounds of the ratios within a round.
"""

from __future__ import annotations

import time
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from rich.console import Console
from rich.progress import track

from agents.models.attention import attend
from benchmarks.measuring import make_table, ratios_of, spread_of

# Rows, heads, tokens and head size: the tiny model of `benchmarks.ppo`, and SmolLM2-135M's shape.
SHAPES = ((32, 4, 96, 32), (32, 4, 320, 32), (8, 9, 320, 64))


def measure(shape: tuple[int, ...], repeats: int = 3) -> dict[str, float]:
    """Returns milliseconds of a forward and backward pass, by how it is computed."""

    def torchs(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    def ours(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return attend(torch.nn.Module(), q, k, v, None)[0]

    ways = {
        "float32": (torch.float32, torchs),
        "bfloat16": (torch.bfloat16, torchs),
        "agents.models.attention": (torch.bfloat16, ours),
    }
    found = {}
    for name, (dtype, way) in ways.items():
        tensors = [torch.randn(shape, dtype=dtype, requires_grad=True) for _ in range(3)]
        spent = []
        for _ in range(repeats):
            began = time.perf_counter()
            way(*tensors).sum().backward()  # type: ignore[no-untyped-call] # has no types
            spent.append(time.perf_counter() - began)
        found[name] = 1000 * min(spent)
    return found


def main(
    rounds: Annotated[int, typer.Option(min=1, help="How often each type is measured.")] = 15,
) -> None:
    """Measure attention in float32 and bfloat16."""
    columns = ("rows, heads, tokens, head size", "computed", "ms", "to float32", "of a round")
    table = make_table(None, *columns, n_names=2)
    for shape in track(SHAPES, "Measuring", console=Console(stderr=True)):
        measure(shape)
        found = [measure(shape) for _ in range(rounds)]
        float32 = [each["float32"] for each in found]
        for name in found[0]:
            spent = [each[name] for each in found]
            ratio, spread = ratios_of(spent, float32).cells()
            size = ", ".join(map(str, shape))
            table.add_row(size, name, f"{spread_of(spent).median:.1f}", ratio, spread)
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
