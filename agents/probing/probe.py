"""The probe: which of our passes a model computes rightly, found out when a policy is made."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import _disable_current_modes
from transformers import PreTrainedModel
from transformers.utils import logging as transformers_logging

from agents.models.attention import use_own_attention
from agents.models.cpu_products import use_own_products
from agents.models.loading import disable_dropout, enable_gradient_checkpointing
from agents.probing.copies import SmallCopy, make_copy
from agents.probing.examination import Examination, Question, Ways
from textenv.errors import ModelError

logger = logging.getLogger(__name__)

# Texts that a copy reads, and those that the model itself reads: fewer tokens the larger it is.
_COPY_LENGTH = 24
_LENGTHS = (8, 128)
_MULTIPLICATIONS = 1.5e10
# Nats. A copy is computed in float32, where only rounding may differ. The model itself may route
# tokens to other experts by rounding, so single tokens do not stop a run.
_COPY_TOLERANCES = (2e-3, 2e-3)
_WARNS = {torch.float32: 1e-3, torch.bfloat16: 0.1}
_STOPS = {torch.float32: 0.05, torch.bfloat16: 0.5}


# What earlier probes of this process found: nothing but a few numbers each.
_found: dict[str, Ways | str] = {}


def probe(
    model: PreTrainedModel,
    question: Question,
    name: str = "",
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Ways:
    """Compares a model's passes as they will be run with plain passes of transformers.

    First in a random copy of few layers, whose weights make every fault show, and in which the
    limits that the environment's texts cross (windows, chunks) are crossed by short ones. Then, for
    a few tokens, in the model itself. The random state, modes and weights are left as they are.

    Args:
        model: Language model, as a policy has loaded and changed it.
        question: What it will be used for.
        name: What the user calls it.
        autocast: Makes the context of its passes.

    Returns:
        Which ways are right.

    Raises:
        ModelError: No way is.
    """
    key = _key(model, question)
    is_weightless = isinstance(next(model.parameters()), FakeTensor)
    ways = _remembered(key, lambda: _probe_copy(model, question), is_weightless, model)
    if not is_weightless:
        with autocast():
            is_float32 = model.dtype == torch.float32 and not torch.is_autocast_enabled(
                next(model.parameters()).device.type
            )
        dtype = torch.float32 if is_float32 else torch.bfloat16
        ways = _remembered(
            f"{key} {name} {dtype}",
            lambda: _probe_itself(model, question, ways, name, dtype, autocast),
            False,
            model,
        )
    if not ways.cached and question.level == "token":
        logger.warning(
            "The model '%s' of type '%s' cannot go on from cached keys and values of texts up to "
            "%d tokens: every token takes a pass over the whole text, which is slow.",
            *(name, model.config.model_type, question.window),
        )
    return ways


def _remembered(
    key: str, find: Callable[[], Ways], is_weightless: bool, model: PreTrainedModel
) -> Ways:
    if key not in _found:
        with _undisturbed(model, is_weightless):
            try:
                _found[key] = find()
            except ModelError as error:
                _found[key] = str(error)
    found = _found[key]
    if isinstance(found, str):
        raise ModelError(found)
    return found


def _probe_copy(model: PreTrainedModel, question: Question) -> Ways:
    """Probes a random copy; trusts a model that has none, of which only itself is probed."""
    length = min(question.window, _COPY_LENGTH)
    copied = make_copy(model, question.window, length)
    if copied is None:
        return Ways()
    own = make_copy(model, question.window, length)
    assert own is not None
    own.model.load_state_dict(copied.model.state_dict())
    use_own_attention(own.model)
    use_own_products(own.model)
    disable_dropout(own.model)
    if question.gradient_checkpointing:
        enable_gradient_checkpointing(own.model)
    examination = Examination(copied, own.model, question, length, _COPY_TOLERANCES, torch.max)
    examination.causality()
    examination.modes()
    examination.acting()
    examination.saving()
    return examination.ways


def _probe_itself(
    model: PreTrainedModel,
    question: Question,
    ways: Ways,
    name: str,
    dtype: torch.dtype,
    autocast: Callable[[], AbstractContextManager[Any]],
) -> Ways:
    """Probes the model with its own weights, in its own precision."""
    n_weights = sum(p.numel() for p in model.parameters())
    shortest, longest = _LENGTHS
    length = max(shortest, min(longest, int(_MULTIPLICATIONS / n_weights / 6)))
    length = min(length, question.window)
    with autocast():
        examination = Examination(
            SmallCopy(model, {}),
            model,
            question,
            length,
            (_WARNS[dtype], _STOPS[dtype]),
            torch.mean,
            ways,
        )
        if examination.is_judged:
            examination.modes()
            examination.acting()
    if examination.worst > _WARNS[dtype]:
        logger.warning(
            "The passes of the model '%s' give log-probabilities that differ from those of a plain "
            "pass by %.2g nats a token, more than %s explains.",
            *(name, examination.worst, str(dtype).removeprefix("torch.")),
        )
    return examination.ways


def _key(model: PreTrainedModel, question: Question) -> str:
    values = model.config.to_dict()
    for name in ("_name_or_path", "transformers_version", "architectures", "dtype"):
        values.pop(name, None)
    asked = question.lora.model_dump() if question.lora is not None else None
    return json.dumps(
        [
            type(model).__qualname__,
            model.config._attn_implementation,
            values,
            [question.window, question.level, asked, question.gradient_checkpointing],
        ],
        default=str,
        sort_keys=True,
    )


@contextmanager
def _undisturbed(model: nn.Module, is_weightless: bool) -> Iterator[None]:
    """Keeps random states, modes and the log as they are; works without gradient."""
    modes = [(module, module.training) for module in model.modules()]
    devices = range(torch.cuda.device_count()) if next(model.parameters()).is_cuda else ()
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call] # has no types
    try:
        with (
            _disable_current_modes() if is_weightless else nullcontext(),
            torch.random.fork_rng(devices),
            torch.no_grad(),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            torch.manual_seed(0)
            model.eval()
            yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        for module, training in modes:
            module.training = training
