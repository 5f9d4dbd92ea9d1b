"""A bandit with a known optimum: does each estimator reach it under the KL penalty?

    python -m benchmarks.bandit --json out.json

The agent writes one token and is paid 1 for the word "left" and 0 for any other, by the ordinary
environment, policy and `TextPPO`. The policy with the largest reward less beta KL is known:

    pi(a) = pi_ref(a) exp(r(a) / (beta sigma)) / Z

with sigma = 1, since whitening divides reward and penalty alike. With `grpo`, which divides the
reward alone by the deviation of its group, sigma is what it divides by where learning ends. In
groups of n, of which k wrote "left", the deviation is s_k = sqrt(k (n - k) / (n (n - 1))), and the
gradient of the expected advantage is 0 where

    1 / sigma = E[k (n - k) / s_k] / E[k (n - k)],    k ~ Binomial(n, pi("left")),

which goes to 1 / sqrt(p (1 - p)) as groups grow.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import ArrayLike, NDArray
from rich.console import Console
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from agents.ppo.ppo import TextPPO
from benchmarks.measuring import JsonPath, make_table, write_json
from textenv import Episode, Example, Field, RewardResult, Task, Turn
from textenv.vector import TextVectorEnv

WORDS = ("<unk>", "<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "which", "left", "right")
LEFT = WORDS.index("left")
ESTIMATORS: Mapping[str, Mapping[str, Any]] = {
    "gae": {},
    "reinforce++": {},
    "rloo": {"group_size": 8},
    "grpo": {"group_size": 8},
    "dr_grpo": {"group_size": 8},
}
_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


class BanditTask(Task):
    """Asks the same of everyone."""

    fields = (Field("text"),)

    def example(self, id: str, row: Mapping[str, Any]) -> Example:
        """Returns the example of a row."""
        return Example(id, str(row["text"]), ("left",))

    def opening(self, example: Example) -> tuple[Turn, ...]:
        """Returns the one question."""
        return (Turn("user", "which"),)


def pay_left(episodes: Sequence[Episode]) -> RewardResult:
    """Pays 1 for "left"."""
    return RewardResult(np.array([float(e.response == "left") for e in episodes]))


def save_model(folder: Path, seed: int = 0) -> str:
    """Saves a tiny random model and its tokenizer of a few words."""
    backend = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    backend.pre_tokenizer = Whitespace()
    backend.add_special_tokens(list(WORDS[:5]))
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call] # has no types
        tokenizer_object=backend, eos_token="<|end|>", pad_token="<|pad|>", unk_token="<unk>"
    )
    tokenizer.chat_template = _TEMPLATE
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(WORDS), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=64,
        initializer_range=0.2, bos_token_id=0, eos_token_id=2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return str(folder)


def optimum(
    reference: ArrayLike, beta: float, group_size: int | None = None
) -> NDArray[np.float64]:
    """Returns the distribution over tokens in which learning ends.

    Args:
        reference: (V,) probabilities under the reference.
        beta: Coefficient of the KL penalty.
        group_size: Episodes of a group, where the reward is divided by the group's deviation.
    """
    ref = np.asarray(reference, np.float64)

    def tilted(strength: float) -> NDArray[np.float64]:
        weights = ref * np.exp(strength * (np.arange(len(ref)) == LEFT))
        return np.asarray(weights / weights.sum())

    if group_size is None:
        return tilted(1.0 / beta)
    # The more is written of "left" the larger its strength would have to be: halve the interval.
    low, high = 0.0, 100.0 / beta
    for _ in range(100):
        middle = (low + high) / 2
        too_weak = middle < inverse_deviation(float(tilted(middle)[LEFT]), group_size) / beta
        low, high = (middle, high) if too_weak else (low, middle)
    return tilted(low)


def inverse_deviation(p: float, n: int) -> float:
    """Returns 1 / sigma of groups of n that write "left" with probability p."""
    k, p = np.arange(1, n), min(max(p, 1e-9), 1.0 - 1e-9)
    chance = np.array([math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in k])
    spread = chance * k * (n - k)
    deviation = np.sqrt(k * (n - k) / (n * (n - 1))) + 1e-4
    return float((spread / deviation).sum() / spread.sum())


def distribution(agent: TextPPO) -> NDArray[np.float64]:
    """Returns the probabilities of the one token that the agent writes, (V,)."""
    assert agent.env is not None
    seen = agent.env.reset()
    assert isinstance(seen, dict)
    observation = agent.policy.obs_to_tensor(seen)[0]
    tokens = torch.arange(len(WORDS))
    one = {key: value[:1].repeat(len(WORDS), 1) for key, value in observation.items()}  # type: ignore[union-attr] # of a dict
    with torch.no_grad():
        logprobs = agent.policy.evaluate_actions(one, tokens)[1]
    return np.asarray(logprobs.double().exp().numpy())


def play(
    advantage: str, folder: Path, *, beta: float = 1.0, iterations: int = 60, seed: int = 0
) -> dict[str, float]:
    """Trains with an estimator; returns how far from the optimum it ends, in total variation."""
    rows = folder / "rows.jsonl"
    rows.write_text("\n".join(json.dumps({"text": f"which {i}"}) for i in range(40)))
    model = save_model(folder / "model")
    env = TextVectorEnv(
        256, task=BanditTask(), dataset=str(rows), reward=pay_left, tokenizer=model,
        max_prompt_tokens=16, max_new_tokens=1,
    )  # fmt: skip
    agent = TextPPO(
        "LMPolicy", env, policy_kwargs={"model": model, "bf16": False}, advantage=advantage,
        n_episodes=512, batch_size=512, n_epochs=1, kl_coef=beta, learning_rate=2e-2,
        learning_rate_end=0.0, learning_rate_warmup=0, critic_warmup=0, device="cpu", seed=seed,
        **ESTIMATORS[advantage],
    )  # fmt: skip
    reference = distribution(agent)
    agent.learn(total_episodes=512 * iterations, log_interval=None)
    found = distribution(agent)
    group_size = 8 if advantage == "grpo" else None
    wanted = optimum(reference, beta, group_size)
    return {
        "reference": float(reference[LEFT]),
        "optimum": float(wanted[LEFT]),
        "found": float(found[LEFT]),
        "total_variation": float(np.abs(found - wanted).sum() / 2),
    }


def main(
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each estimator.")] = 3,
    iterations: Annotated[int, typer.Option(min=1, help="Iterations of a run.")] = 60,
    json_path: JsonPath = None,
) -> None:
    """Measures how far from the optimum each estimator ends, in total variation."""
    table = make_table(None, "estimator", "seed", "reference", "optimum", "found", "distance")
    results: dict[str, list[dict[str, float]]] = {}
    for advantage in ESTIMATORS:
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as folder:
                found = play(advantage, Path(folder), iterations=iterations, seed=seed)
            results.setdefault(advantage, []).append(found)
            table.add_row(advantage, str(seed), *(f"{value:.3f}" for value in found.values()))
    Console().print(table)
    write_json(json_path, {"iterations": iterations, "results": results})


if __name__ == "__main__":
    typer.run(main)
