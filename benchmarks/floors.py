"""The least time that the parts of an iteration can take: bare loops around the same model.

Decoding is one static cache and one captured step, without an environment; learning is compiled
forward and backward passes with a fused optimizer, without advantages, KL or statistics.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import StaticCache

from agents.models.loading import load_model

Timings = dict[str, float]


def synchronize(device: torch.device) -> None:
    """Waits for the device, if it runs ahead."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def time_it(work: Callable[[], Any], device: torch.device, repeats: int) -> float:
    """Returns the median of seconds, after one call that is not counted."""
    work()
    found = []
    for _ in range(repeats):
        synchronize(device)
        began = time.perf_counter()
        work()
        synchronize(device)
        found.append(time.perf_counter() - began)
    return statistics.median(found)


def decode_floor(
    model: str, device: torch.device, n_rows: int, n_prompt: int, n_new: int, repeats: int
) -> Timings:
    """Times the prefill of all rows, and one step of decoding with sampling.

    Returns:
        Seconds: "prefill" of all prompts, "step" of all rows.
    """
    net: Any = load_model(model, device, torch.bfloat16)
    config = net.config
    ids = torch.randint(5, config.vocab_size, (n_rows, n_prompt), device=device)
    window = n_prompt + n_new
    with torch.inference_mode():
        cache = StaticCache(config=config, max_cache_len=window)
        positions = torch.arange(n_prompt, device=device)

        def prefill() -> None:
            _rewind(cache, 0)
            net(
                input_ids=ids,
                past_key_values=cache,
                position_ids=positions[None].expand(n_rows, -1),
                logits_to_keep=1,
                use_cache=True,
            )

        token = torch.zeros(n_rows, 1, dtype=torch.long, device=device)
        position = torch.full((1,), n_prompt, device=device)
        columns = torch.arange(window, device=device)
        mask = torch.zeros(n_rows, 1, 1, window, dtype=torch.bool, device=device)

        def step() -> None:
            mask.copy_((columns <= position)[None, None, None, :].expand_as(mask))
            logits = net(
                input_ids=token,
                past_key_values=cache,
                position_ids=position[None].expand(n_rows, -1),
                attention_mask=mask,
                use_cache=True,
            ).logits[:, -1]
            noise = -torch.empty_like(logits, dtype=torch.float32).exponential_().log()
            token.copy_((logits.float() + noise).argmax(-1, keepdim=True))
            position.add_(1)

        def rewind() -> None:
            position.fill_(n_prompt)
            _rewind(cache, n_prompt)

        prefill_s = time_it(prefill, device, repeats)
        rewind()
        play = _capture(step, rewind) if device.type == "cuda" else step

        def decode() -> None:
            rewind()
            for _ in range(n_new - 1):
                play()

        step_s = time_it(decode, device, repeats) / (n_new - 1)
    return {"prefill": prefill_s, "step": step_s}


def _rewind(cache: StaticCache, length: int) -> None:
    """Sets how many positions a cache holds, in place, so that a captured step sees it."""
    layer: Any
    for layer in cache.layers:
        held = getattr(layer, "cumulative_length", None)
        if torch.is_tensor(held):
            held.fill_(length)
        elif held is not None:
            layer.cumulative_length = length


def _capture(step: Callable[[], None], rewind: Callable[[], None]) -> Callable[[], None]:
    """Records a step in a CUDA graph, after some on a side stream as torch asks for."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call] # has no types
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
        rewind()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    rewind()
    return graph.replay


def learning_floor(
    model: str, device: torch.device, shape: tuple[int, int, int], repeats: int, compiled: bool
) -> Timings:
    """Times a bare evaluation and a bare step of learning on a minibatch, under bf16 autocast.

    Args:
        model: A folder.
        device: Where.
        shape: Rows of a minibatch, tokens of a row, and how many of them are learnt from.
        repeats: How often.
        compiled: Whether the model goes through `torch.compile`.

    Returns:
        Seconds of a minibatch: "evaluate" without gradient, "learn" with backward and AdamW.
    """
    n_rows, n_tokens, n_new = shape
    net: Any = load_model(model, device)
    vocab_size = net.config.vocab_size
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-6, fused=True)
    run: Any = torch.compile(net) if compiled else net
    ids = torch.randint(5, vocab_size, (n_rows, n_tokens), device=device)

    def logprobs() -> torch.Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            logits = run(input_ids=ids, logits_to_keep=n_new + 1, use_cache=False).logits[:, :-1]
        return torch.log_softmax(logits.float(), -1).gather(-1, ids[:, -n_new:, None])

    def evaluate() -> None:
        with torch.no_grad():
            logprobs()

    def learn() -> None:
        (-logprobs().mean()).backward()  # type: ignore[no-untyped-call] # has no types
        optimizer.step()
        optimizer.zero_grad()

    net.train()
    learn_s = time_it(learn, device, repeats)
    return {"evaluate": time_it(evaluate, device, repeats), "learn": learn_s}
