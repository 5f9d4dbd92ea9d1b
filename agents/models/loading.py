"""Hugging Face causal language models: loading, their parts, and whether they fit the agent."""

from __future__ import annotations

import functools
import importlib.util
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.utils import logging as transformers_logging

from agents.models.adapter_patterns import check_patterns
from agents.models.attention import use_own_attention
from agents.models.cpu_products import use_own_products
from agents.models.sources import Source, found
from textenv.adapter_folders import has_tokenizer
from textenv.errors import ConfigError, ModelError
from textenv.model_folders import USE_LOCAL

# What a configuration may put between the output layer and the logits.
_LOGIT_CHANGES = ("final_logit_softcapping", "logits_scaling", "logit_scale", "lm_head_multiplier")
_PLAIN_OUTPUTS: dict[str, Any] = {
    "return_dict": True,
    "output_attentions": False,
    "output_hidden_states": False,
}


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """Silences transformers' own progress bars, for what takes no time."""
    was_enabled = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call] # has no types
    try:
        yield
    finally:
        if was_enabled:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call] # has no types


def load_model_config(model: str | Path) -> PretrainedConfig:
    """Loads the configuration of a causal language model, and none of its weights.

    Args:
        model: as for `load_model`.

    Raises:
        ModelError: there is no such model, or it is not a causal language model.
    """
    with found(model) as source:
        folder = Path(source.name)
        if folder.is_dir() and not source.gguf_file and not (folder / "config.json").is_file():
            raise ModelError(
                f"'{source.name}' holds no model: there is no config.json in it, and no model/ "
                f"that a run saved. {USE_LOCAL}"
            )
        config = AutoConfig.from_pretrained(**source.arguments())
    if type(config) not in AutoModelForCausalLM._model_mapping:
        raise ModelError(
            f"'{model}' is of type '{config.model_type}', which is not a causal language "
            f"model. {USE_LOCAL}"
        )
    _use_plain_outputs(config)
    result: PretrainedConfig = config
    return result


def load_model(
    model: str | Path,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    quantize: str | None = None,
) -> PreTrainedModel:
    """Loads a causal language model, in eval mode.

    Args:
        model: "embedded" (the small one that comes with the package), a folder, a `.gguf` file
            (dequantised while loading), or a Hugging Face id. The folder of a peft adapter stands
            for its base model with the adapter merged into it, the folder of a run for the
            `model/` inside it.
        device: where its weights go.
        dtype: the type of its weights.
        quantize: "4bit" or "8bit" holds the weights of linear layers so, by bitsandbytes, and only
            for low-rank adapters to learn beside them. Such a model is on the accelerator at once
            where there is one.

    Raises:
        ModelError: there is no such model, or it is not a causal language model, or bitsandbytes is
            missing.
        ConfigError: another `quantize`.
    """
    config = load_model_config(model)
    with found(model) as source:
        if source.adapter is not None and quantize is not None:
            raise ModelError(
                f"'{model}' is an adapter, which cannot be merged into quantized weights. Merge it "
                "into its base model and save that first, or leave quantize out."
            )
        quantization = {} if quantize is None else _quantization(quantize, source, dtype)
        # Only a file that has to be converted keeps one waiting.
        with nullcontext() if source.gguf_file else without_progress_bars():
            pair: Any = AutoModelForCausalLM.from_pretrained(
                **source.arguments(),
                **_PLAIN_OUTPUTS,
                # Other weights are pickles.
                use_safetensors=None if source.gguf_file else True,
                dtype=dtype,
                output_loading_info=True,
                **quantization,
            )
    result: PreTrainedModel = pair[0] if quantization else pair[0].to(device)
    _use_plain_outputs(result.config)
    if config.is_encoder_decoder and any("encoder." in key for key in pair[1]["unexpected_keys"]):
        raise ModelError(
            f"'{model}' is an encoder and a decoder (type '{config.model_type}'); as a causal "
            "language model it would lose its encoder, and write what it never learned. Use a "
            f"decoder-only model such as Llama, Qwen or GPT-2. {USE_LOCAL}"
        )
    missing = sorted(pair[1]["missing_keys"])
    if missing:
        raise ModelError(
            f"'{model}' lacks weights of a causal language model: {', '.join(missing[:3])}"
            f"{', ...' if len(missing) > 3 else ''}. Save it with its language-model head."
        )
    if quantization:
        for module in result.modules():
            # Repacked for some CPUs, eval mode would compute in another type than train mode.
            if hasattr(module, "support_avx512bf16_for_cpu"):
                module.support_avx512bf16_for_cpu = False  # type: ignore[assignment] # torch thinks of a submodule
    elif getattr(result, "hf_quantizer", None) is not None:
        # Dequantised weights are plain numbers; the mark of their origin would forbid saving them.
        result.hf_quantizer = None  # type: ignore[assignment] # torch thinks of a submodule
        if hasattr(result.config, "quantization_config"):
            del result.config.quantization_config
    if source.adapter is not None:
        result = merge_folder(result, source.adapter)
    use_own_attention(result)
    use_own_products(result)
    result.eval()  # type: ignore[no-untyped-call] # has no types
    return result


def merge_folder(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """Merges an adapter that peft saved into its base model.

    Raises:
        ModelError: peft is missing, or the adapter does not fit or cannot be merged.
    """
    if importlib.util.find_spec("peft") is None:
        raise ModelError(f"'{folder}' is an adapter, which needs: pip install textenv[lora]")
    from peft import PeftModel

    check_patterns(folder, [name for name, _ in model.named_modules()])
    try:
        with warnings.catch_warnings():
            # peft asks transformers for gradient checkpointing by a name of before.
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing")
            adapted: Any = PeftModel.from_pretrained(model, str(folder))
            merged: PreTrainedModel = adapted.merge_and_unload()
    except Exception as error:  # of whatever kind: the file may be damaged, or of another model
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise ModelError(
            f"The adapter '{folder}' cannot be merged into its base model ({reason}). It must be a "
            "LoRA or a similar adapter of that very model."
        ) from error
    return merged.requires_grad_(True)


def _use_plain_outputs(config: PretrainedConfig) -> None:
    """Has a model return its hidden states by name, and no attention weights.

    A checkpoint's configuration may ask for tuples, or for weights that fast attention has not.
    """
    for part in {id(c): c for c in (config, config.get_text_config())}.values():
        for name, value in _PLAIN_OUTPUTS.items():
            if getattr(part, name, value) != value:
                setattr(part, name, value)


def _quantization(quantize: str, source: Source, dtype: torch.dtype) -> dict[str, Any]:
    """Returns the arguments of `from_pretrained` that quantize a model while it is loaded."""
    if quantize not in ("4bit", "8bit"):
        raise ConfigError(f"quantize must be '4bit', '8bit' or None, not {quantize!r}.")
    if source.gguf_file:
        raise ModelError("A .gguf file is dequantised while loading: quantize needs a folder.")
    if not all(importlib.util.find_spec(package) for package in ("bitsandbytes", "accelerate")):
        raise ModelError("quantize needs more packages: pip install textenv[qlora]")
    settings: dict[str, Any]
    if quantize == "8bit":
        if not torch.accelerator.is_available():
            raise ModelError(
                "quantize='8bit' needs a GPU: on a CPU bitsandbytes computes otherwise in learning "
                "than in writing, and the first probability ratio would not be 1. Use '4bit'."
            )
        # Outliers would be sought in all rows at once, so that a row's result hung on the others.
        settings = {"load_in_8bit": True, "llm_int8_threshold": 0.0}
    else:
        settings = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
        # The type where autocast is off; inside it the activations come in its own.
        settings |= {"bnb_4bit_use_double_quant": True, "bnb_4bit_compute_dtype": dtype}
    return {"quantization_config": BitsAndBytesConfig(**settings)}  # type: ignore[no-untyped-call] # has no types


def load_model_tokenizer(model: str | Path) -> PreTrainedTokenizerBase:
    """Loads the tokenizer that lies beside a model, to be saved with it.

    Args:
        model: as for `load_model`.

    Raises:
        ModelError: there is no such model, or it has no tokenizer.
    """
    with found(model, "tokenizer of the model") as source:
        if source.adapter is not None and has_tokenizer(source.adapter):
            source = Source(str(source.adapter), None)
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(**source.arguments())
    return tokenizer


def backbone_and_head(model: PreTrainedModel, proven: bool = False) -> tuple[nn.Module, nn.Module]:
    """Splits a model into the decoder, final norm included, and its output layer.

    A short pass proves that the two make the model's own logits, and that no token sees later ones,
    unless it is `proven` already.

    Raises:
        ModelError: the model does more than this, such as capping or scaling its logits.
    """
    backbone: nn.Module = model.base_model
    head: Any = model.get_output_embeddings()  # type: ignore[no-untyped-call] # has no types
    family = model.config.model_type
    if head is None or backbone is model:
        raise ModelError(
            f"Models of type '{family}' have no separate output layer. Use a decoder-only causal "
            "language model such as Llama, Qwen or GPT-2."
        )
    if proven:
        return backbone, head
    text = model.config.get_text_config()
    changes = [n for n in _LOGIT_CHANGES if getattr(text, n, None) not in (None, 1, 1.0)]
    ids = torch.arange(8, device=head.weight.device).view(2, 4) % min(8, head.weight.shape[0])
    ids[1, :3] = ids[0, :3]
    was_training = model.training
    model.eval()  # type: ignore[no-untyped-call] # has no types
    with torch.no_grad():
        logits = model(input_ids=ids, use_cache=False).logits.float()
        try:
            rebuilt = head(backbone(input_ids=ids, use_cache=False).last_hidden_state).float()
        except (RuntimeError, AttributeError):  # other shapes, or other outputs
            rebuilt = torch.full_like(logits, torch.inf)
    model.train(was_training)
    tolerance = 1e-4 * float(logits.abs().max())
    is_same = rebuilt.shape == logits.shape and torch.allclose(
        rebuilt, logits, rtol=0, atol=tolerance
    )
    if changes or not is_same:
        reason = f" (its configuration sets {', '.join(changes)})" if changes else ""
        raise ModelError(
            f"Models of type '{family}' are not supported: their logits are not the output layer "
            f"applied to the last hidden state{reason}."
        )
    if not torch.allclose(logits[0, :3], logits[1, :3], rtol=0, atol=tolerance):
        raise ModelError(
            f"This model of type '{family}' looks at later tokens, so it cannot write text token "
            "by token. Use a causal language model."
        )
    return backbone, head


def check_vocabulary(model: PreTrainedModel, vocab_size: int) -> None:
    """Checks that the model has an output for each of the tokenizer's ids.

    Args:
        model: the language model.
        vocab_size: the tokenizer's highest id + 1.

    Raises:
        ModelError: it has fewer; more are fine, they are masked.
    """
    inputs: Any = model.get_input_embeddings()
    outputs: Any = model.get_output_embeddings()  # type: ignore[no-untyped-call] # has no types
    rows = min(inputs.weight.shape[0], outputs.weight.shape[0])
    if rows < vocab_size:
        raise ModelError(
            f"The model knows {rows} tokens, but the environment's tokenizer has {vocab_size}. "
            "Use the model's own tokenizer in the environment."
        )


def disable_dropout(model: nn.Module) -> None:
    """Sets every dropout of a model to 0, so that train and eval mode agree.

    Dropout noise would make the probability ratio differ from 1 before the first update.
    """
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        # Attention layers keep theirs as plain numbers: attention_dropout, attn_pdrop, layerdrop.
        _zero_dropouts(module)
    config = getattr(model, "config", None)
    if config is not None:
        _zero_dropouts(config)
        _zero_dropouts(config.get_text_config())


def has_jitter(model: nn.Module) -> bool:
    """Tells whether routers of a model draw experts or scale their input at random in train mode.

    The noise may be so seldom seen that it is known by its name, not by what it does.
    """
    return any(
        isinstance(value, float) and value != 0
        for module in model.modules()
        for name, value in vars(module).items()
        if "jitter" in name
    )


def hold_eval(model: nn.Module) -> None:
    """Puts a model into eval mode, except for what computes activations again.

    For noise of train mode that is no dropout, such as that of routers: it would make the
    probability ratio differ from 1.
    """
    for module in model.modules():
        if not isinstance(module, GradientCheckpointingLayer):
            module.training = False


def enable_gradient_checkpointing(model: PreTrainedModel) -> None:
    """Has each layer's activations computed again in the backward pass, in train mode.

    The model must have no dropout: no state of a random generator is kept.

    Raises:
        ModelError: the architecture does not know how.
    """
    again = functools.partial(checkpoint, use_reentrant=False, preserve_rng_state=False)
    try:
        # Its public caller also lets the embeddings' output have a gradient, which recomputation of
        # this kind does not need, and by which frozen layers would keep activations.
        model._set_gradient_checkpointing(enable=True, gradient_checkpointing_func=again)
    except ValueError as error:
        raise ModelError(
            f"Models of type '{model.config.model_type}' know no gradient checkpointing. Leave "
            "gradient_checkpointing off, and lower max_tokens_per_batch to save memory."
        ) from error


def teacher_forced_hidden(backbone: nn.Module, input_ids: Tensor) -> Tensor:
    """Returns the final hidden state after every token of right-padded sequences, in one pass.

    Padding stands right of all that counts, so the causal mask alone hides it: no mask of lengths
    is made, and the fastest attention kernel can be used. The states at padding mean nothing.

    Args:
        backbone: the decoder without its output layer.
        input_ids: (batch, time) token ids, right-padded with any legal id.

    Returns:
        (batch, time, hidden).
    """
    hidden: Tensor = backbone(
        input_ids=input_ids, attention_mask=torch.ones_like(input_ids), use_cache=False
    ).last_hidden_state
    return hidden


def _zero_dropouts(holder: object) -> None:
    for name, value in list(vars(holder).items()):
        if "drop" in name and isinstance(value, float):
            setattr(holder, name, 0.0)
