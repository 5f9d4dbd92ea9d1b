"""Which arguments of a sampler's engine a configuration may set: those that cannot name code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from textenv.errors import ConfigError

# Arguments whose values are words of vLLM's own. Elsewhere a text may name a class, a file or
# another model.
_WORDS = (
    *("dtype", "quantization", "kv_cache_dtype", "attention_backend", "scheduling_policy"),
    *("performance_mode", "mamba_cache_dtype"),
)


def check_engine_args(given: Mapping[str, Any]) -> None:
    """Refuses arguments of vLLM's engine that could have it run code from elsewhere.

    Numbers, true and false name no code, but for `trust_remote_code`; texts may, in dozens of
    arguments (`worker_cls`, `logits_processors`, `hf_overrides`, `load_format`), and every release
    has new ones.

    Args:
        given: Arguments by name, plain values.

    Raises:
        ConfigError: One could.
    """
    for path, value in _leaves(given, ()):
        where = ".".join(("sampler_kwargs", *path))
        if any("remote_code" in name.lower().replace("-", "_") for name in path):
            raise ConfigError(
                f"{where}: code that comes with a model is never run. Leave it out, and use a "
                "model that needs no code of its own."
            )
        if not isinstance(value, bool | int | float | None) and path[:1] not in [
            (word,) for word in _WORDS
        ]:
            raise ConfigError(
                f"{where} is {value!r}: a text could name code that vLLM would run, so only "
                f"{', '.join(_WORDS)} take one. The other arguments take numbers, true and false."
            )


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yields the single values within plain values, each after the names that lead to it."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _leaves(item, (*path, str(name)))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item, path)
    else:
        yield path, value
