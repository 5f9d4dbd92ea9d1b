"""Renders the chat templates that come with models: bounded in time, in memory and in length."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textenv.errors import TokenizerError
from textenv.safe_text import without_lone_surrogates
from textenv.worker_process import WorkerProcess

TIME_LIMIT_S = 5.0  # of the processor, for one conversation
_START_S = 120.0  # on a busy machine
# The worker measures its own processor time, where it can; a clock that waits for it measures what
# a busy machine does beside it as well.
_PATIENCE = 10.0 if hasattr(signal, "setitimer") else 1.0
_worker = WorkerProcess(Path(__file__).with_name("template_worker.py"), _START_S)


@dataclass(frozen=True)
class ChatTemplate:
    """The chat template of a Hugging Face tokenizer, as `apply_chat_template(tokenize=False)`.

    Attributes:
        source: The template.
        special_tokens: What it knows besides the messages, such as `bos_token`, as JSON.
    """

    source: str
    special_tokens: str

    @classmethod
    def of(cls, tokenizer: Any) -> ChatTemplate:
        """Returns the template of a tokenizer that has one.

        Raises:
            TokenizerError: It has several, and none is the default.
        """
        try:
            source = tokenizer.get_chat_template()
        except ValueError as error:
            raise TokenizerError(f"The chat template cannot be chosen: {error}") from error
        tokens = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
        return cls(source, json.dumps(tokens))

    def __call__(
        self, messages: Sequence[Mapping[str, str]], add_generation_prompt: bool = False
    ) -> str:
        """Renders a conversation.

        Raises:
            TokenizerError: The template fails, or takes more time or memory, or writes more, than
                any conversation needs.
        """
        variables = {
            **json.loads(self.special_tokens),
            "messages": list(messages),
            "tools": None,
            "documents": None,
            "add_generation_prompt": add_generation_prompt,
        }
        asked = {"source": self.source, "variables": variables, "seconds": TIME_LIMIT_S}
        try:
            line = _worker.ask(json.dumps(asked), _PATIENCE * TIME_LIMIT_S)
        except OSError as error:
            raise TokenizerError(f"Chat templates need a process: {error}.") from error
        if line is None:
            raise TokenizerError(
                f"it took longer than {TIME_LIMIT_S:g} seconds, or too much memory, as no chat "
                "template does"
            )
        kind, text = json.loads(line)
        if kind == "error":
            raise TokenizerError(str(text))
        return without_lone_surrogates(str(text))
