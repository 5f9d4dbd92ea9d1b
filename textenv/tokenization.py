"""Conversations as tokens: a tokenizer, its chat template, and text that stays plain text."""

from __future__ import annotations

import difflib
import functools
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from textenv.adapter_folders import base_of_adapter, has_tokenizer
from textenv.chat_templates import ChatTemplate
from textenv.errors import PromptTooLongError, TokenizerError, UnknownNameError
from textenv.examples import Role, Turn, UnfinishedText
from textenv.hub import offline_if_unreachable
from textenv.model_folders import describe_missing, model_folder
from textenv.named_paths import named_path
from textenv.storage.plain_files import check_plain_files
from textenv.word_encoder import WordEncoder, remembers_words

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

EMBEDDED = "embedded"
EMBEDDED_PATH = Path(__file__).parent / "assets" / "embedded"

# For tokenizers without a chat template (base models). The end-of-text token closes an answer. An
# answer has its own line, so that whether it starts with a space is nobody's question.
PLAIN_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m['role'] == 'assistant' %}Assistant:\n{{ m['content'] }}{{ eos_token }}\n"
    "{% elif m['role'] == 'system' %}{{ m['content'] }}\n"
    "{% else %}User: {{ m['content'] }}\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}Assistant:\n{% endif %}"
)

# A text this many times longer than its budget in tokens cannot fit (tokens are shorter than that),
# so it is cut before it is encoded: a 10 MB document costs no more than a page.
_MAX_CHARS_PER_TOKEN = 32


# White space that a template may trim.
_SPACES = " \n\t"


class Template(Protocol):
    """Renders messages to text, as `apply_chat_template(tokenize=False)` does."""

    def __call__(self, messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        """Returns the rendered conversation."""
        ...


class TextTokenizer:
    """A tokenizer as token environments need it.

    Attributes:
        name: Name or path that it was loaded from.
        vocab_size: The highest token id plus 1: the number of actions.
        special_ids: The tokens of the template: plain text never encodes to them.
        special_texts: The texts of those tokens.
        pad_id: The id that fills unused positions. It may equal `end_id`; masks tell them apart.
        end_id: The token that ends a turn.
    """

    def __init__(
        self, backend: Tokenizer, template: Template, name: str, eos_token: str, pad_token: str
    ) -> None:
        from tokenizers import Tokenizer

        self.name = name
        self._template = template
        self._marked = Tokenizer.from_str(backend.to_str())
        self._plain = Tokenizer.from_str(_without_markers(backend.to_str()))
        self._plain.encode_special_tokens = True
        for tokenizer in (self._marked, self._plain):
            tokenizer.no_truncation()
            tokenizer.no_padding()
        self._words = WordEncoder(self._plain) if remembers_words(self._plain) else None
        self.vocab_size = max(self._marked.get_vocab(with_added_tokens=True).values()) + 1
        added = self._marked.get_added_tokens_decoder()
        markers = {id: token.content for id, token in sorted(added.items()) if token.special}
        self.special_ids = tuple(markers)
        self.special_texts = tuple(markers.values())
        self._special_set = frozenset(markers)
        eos_id = self._marked.token_to_id(eos_token)
        if eos_id is None:
            raise TokenizerError(f"Tokenizer '{name}' has no end-of-text token '{eos_token}'.")
        pad_id = self._marked.token_to_id(pad_token)
        self.pad_id: int = eos_id if pad_id is None else pad_id
        # Some templates write the first turn well, and write it otherwise once another follows.
        self._unstable: TokenizerError | None = None
        try:
            closing, asking = map(self._encode_template, self._stable_reply_parts())
        except TokenizerError as error:
            self._unstable = error
            closing, asking = self._encode_template(self._only_closing()), []
        self.end_id: int = self._end_marker(closing, eos_id)
        # What the environment writes after an agent's turn that brought its own marker, or did not.
        said = closing.index(self.end_id) + 1 if self.end_id in closing else 0
        self._closing_ids = {True: closing[said:], False: closing}
        self._asking_ids = asking

    def check_turns(self, max_turns: int) -> None:
        """Checks that the chat template can write so many turns of the agent.

        Raises:
            TokenizerError: There are several, and it rewrites earlier ones.
        """
        if max_turns > 1 and self._unstable is not None:
            raise self._unstable

    def trim(self, turn: Turn) -> Turn:
        """Returns a message as the chat template writes it: some trim white space around it."""
        left, right = self._trimmed(turn.role)
        if not left and not right:
            return turn
        start = len(turn.text) - len(_strip(turn.text, left, str.lstrip))
        text = _strip(turn.text[start:], right, str.rstrip)
        if len(text) == len(turn.text):
            return turn
        cut = turn.cut and (
            min(max(turn.cut[0] - start, 0), len(text)),
            min(max(turn.cut[1] - start, 0), len(text)),
        )
        return Turn(turn.role, text, cut)

    def encode(self, text: str) -> list[int]:
        """Encodes plain text; text that spells a special token is encoded as its characters."""
        if self._words is not None and text.isascii():
            return self._words.encode(text)
        text = mended(text)
        # A batch of one, since only batches have the faster way, which finds no offsets.
        ids: list[int] = self._plain.encode_batch_fast([text], add_special_tokens=False)[0].ids
        if self._special_set.isdisjoint(ids):
            return ids
        # Unigram and word-level models have markers among their words: broken up, none is one.
        parts = self._plain.encode_batch_fast(self._break_markers(text), add_special_tokens=False)
        return [id for part in parts for id in part.ids if id not in self._special_set]

    def _break_markers(self, text: str) -> list[str]:
        """Divides a text after the first character of whatever spells a special token."""
        pattern = "|".join(map(re.escape, filter(None, self.special_texts)))
        ends = [found.start() + 1 for found in re.finditer(pattern, text, re.IGNORECASE)]
        return [text[start:end] for start, end in pairwise([0, *ends, len(text)])]

    def encode_turn(self, text: str, max_tokens: int) -> list[int]:
        """Encodes a turn of the agent with its end, cut like one that is written token by token.

        An `UnfinishedText` has no end.
        """
        end = [] if isinstance(text, UnfinishedText) else [self.end_id]
        text = self.trim(Turn("assistant", text)).text
        ids = self.encode(text[: max_tokens * _MAX_CHARS_PER_TOKEN])
        if len(ids) < max_tokens and len(text) > max_tokens * _MAX_CHARS_PER_TOKEN:
            ids = self.encode(text)  # its tokens are longer than they usually are
        return [*ids, *end][:max_tokens]

    def decode(self, ids: Sequence[int]) -> str:
        """Decodes tokens to text, without special tokens."""
        return str(self._marked.decode(list(ids), skip_special_tokens=True))

    def encode_opening(
        self, turns: Sequence[Turn], max_tokens: int
    ) -> tuple[list[int], tuple[Turn, ...]]:
        """Encodes the first messages up to the point where the agent speaks.

        If they do not fit the window, the cuttable span of the longest cuttable turn loses its end.
        Returns the token ids, and the messages as they are encoded.

        Raises:
            PromptTooLongError: Without every cuttable span it still does not fit.
        """
        parts = self._opening_ids(tuple(turn.role for turn in turns))
        return self._join(parts, turns, max_tokens)

    def encode_reply(self, turn: Turn, max_tokens: int, closed: bool) -> tuple[list[int], Turn]:
        """Encodes the environment's next turn, up to the point where the agent speaks again.

        `closed` is True if the agent wrote the end-of-turn token itself. Returns as
        `encode_opening`.

        Raises:
            PromptTooLongError: The turn does not fit and may not be cut.
        """
        parts = [self._closing_ids[closed], self._asking_ids]
        ids, (said,) = self._join(parts, [turn], max_tokens)
        return ids, said

    def _join(
        self, parts: Sequence[Sequence[int]], turns: Sequence[Turn], max_tokens: int
    ) -> tuple[list[int], tuple[Turn, ...]]:
        """Interleaves template parts with messages, cutting where allowed to fit the window."""
        budget = max_tokens - sum(len(part) for part in parts)
        fitting = [self.trim(turn) for turn in turns]
        contents = self._fit(fitting, budget, max_tokens)
        ids = [*parts[0]]
        for content, part in zip(contents, parts[1:], strict=True):
            ids += content
            ids += part
        return ids, tuple(fitting)

    def _fit(self, turns: list[Turn], budget: int, max_tokens: int) -> list[list[int]]:
        """Encodes messages; those that are too long are replaced by shorter ones in the list."""
        most = max_tokens * _MAX_CHARS_PER_TOKEN
        for i, turn in enumerate(turns):
            cuttable = turn.cut[1] - turn.cut[0] if turn.cut else 0
            if len(turn.text) - cuttable > most:
                raise _too_long(f"more than {max_tokens}", max_tokens)
            if cuttable > most:
                turns[i] = _shorten(turn, most)
        contents = [self.encode(turn.text) for turn in turns]
        while (excess := sum(map(len, contents)) - budget) > 0:
            room = [turn.cut[1] - turn.cut[0] if turn.cut else 0 for turn in turns]
            longest = room.index(max(room))
            turn = turns[longest]
            if not turn.cut or room[longest] == 0:
                needed = sum(map(len, contents)) + max_tokens - budget
                raise _too_long(str(needed), max_tokens)
            turns[longest] = _shorten(turn, self._chars_that_fit(turn, excess))
            contents[longest] = self.encode(turns[longest].text)
        return contents

    def _chars_that_fit(self, turn: Turn, excess: int) -> int:
        """How many characters of the cuttable span to keep so as to lose `excess` tokens."""
        assert turn.cut
        start, end = turn.cut
        span = self._plain.encode(mended(turn.text[start:end]), add_special_tokens=False)
        keep = len(span.ids) - excess
        # Offsets count characters; a character of several tokens is kept whole or not at all.
        fits = span.offsets[keep - 1][1] if keep > 0 else 0
        return min(int(fits), end - start - 1)

    def _end_marker(self, closing: Sequence[int], eos_id: int) -> int:
        """The template's own marker after an agent's turn ("<|im_end|>"), or else end-of-text."""
        markers = self._marked.get_added_tokens_decoder()
        for id in closing:
            if id in markers and markers[id].content.strip():
                return id
            if self._marked.decode([id], skip_special_tokens=False).strip():
                break
        return eos_id

    @functools.cache  # noqa: B019 - a tokenizer lives as long as the program
    def _opening_ids(self, roles: tuple[str, ...]) -> list[list[int]]:
        rendered = self._render(roles)
        return [self._encode_template(part) for part in rendered]

    def _encode_template(self, text: str) -> list[int]:
        return list(self._marked.encode(text, add_special_tokens=False).ids)

    def _render(self, roles: Sequence[str], asks: bool = True) -> list[str]:
        """Renders a conversation and splits it at the messages: len(roles) + 1 template parts."""
        # Letters of both cases show a template that changes case.
        slots = [f"\ue000aZ{i}\ue001" for i in range(len(roles))]
        messages = [{"role": r, "content": s} for r, s in zip(roles, slots, strict=True)]
        try:
            text = self._template(messages, add_generation_prompt=asks)
        except Exception as error:
            raise TokenizerError(
                f"The chat template of '{self.name}' cannot render the roles "
                f"{', '.join(roles)}: {error}"
            ) from error
        parts = []
        for slot in slots:
            before, found, text = text.partition(slot)
            if not found or slot in text:
                raise TokenizerError(
                    f"The chat template of '{self.name}' changes, repeats or drops message text, "
                    "so an episode cannot be told apart from its template. Use another tokenizer."
                )
            parts.append(before)
        return [*parts, text]

    @functools.cache  # noqa: B019 - a tokenizer lives as long as the program
    def _trimmed(self, role: Role) -> tuple[str, str]:
        """Returns which white space the template trims before and after a message of a role."""
        before: Sequence[Role] = ("user",) if role == "assistant" else ()
        after: Sequence[Role] = ("user",) if role == "system" else ()
        slot, trimmed = "\ue000aZ\ue001", []
        for form in ("{}" + slot, slot + "{}"):
            lost = ""
            for char in _SPACES:
                content = form.format(char)
                messages = [{"role": r, "content": "a"} for r in before]
                messages.append({"role": role, "content": content})
                messages += [{"role": r, "content": "a"} for r in after]
                try:
                    written = self._template(messages, add_generation_prompt=role != "assistant")
                except Exception:  # a role that the template does not know is refused elsewhere
                    return "", ""
                lost += "" if content in written else char
            trimmed.append(lost)
        return trimmed[0], trimmed[1]

    def _only_closing(self) -> str:
        """What the template puts after the agent's only turn."""
        return self._render(("user", "assistant"), asks=False)[2]

    def _stable_reply_parts(self) -> tuple[str, str]:
        """What the template puts after an agent's turn, and after the user's reply to it."""
        one = self._render(("user",))
        two = self._render(("user", "assistant", "user"))
        three = self._render(("user", "assistant", "user", "assistant", "user"))
        stable = two[:2] == one and three[:4] == [*two[:2], two[2], two[3]] and three[4] == two[2]
        if not stable or three[5] != two[3]:
            raise TokenizerError(
                f"The chat template of '{self.name}' is not prefix-stable: it writes earlier turns "
                "differently once a later one is there, so tokens already written would change. "
                "Use max_turns=1, or a tokenizer with another chat template."
            )
        return two[2], two[3]


TokenizerSpec: TypeAlias = "str | Path | TextTokenizer | PreTrainedTokenizerBase"


def load_tokenizer(tokenizer: TokenizerSpec = EMBEDDED) -> TextTokenizer:
    """Loads a tokenizer for token environments.

    Args:
        tokenizer: "embedded"; a Hugging Face id, a folder, a run's folder or a `.gguf` file; a
            loaded Hugging Face tokenizer; or a TextTokenizer, returned as it is.

    Raises:
        TokenizerError: It cannot be found, or is not fit for token environments.
    """
    if isinstance(tokenizer, TextTokenizer):
        return tokenizer
    if isinstance(tokenizer, str | Path):
        return _load_named(model_folder(str(tokenizer)))
    return _from_hugging_face(tokenizer, str(getattr(tokenizer, "name_or_path", "") or "given"))


@functools.cache
def _load_named(name: str) -> TextTokenizer:
    if name == EMBEDDED:
        return load_folder(EMBEDDED_PATH, name)
    path = named_path(name)
    if not path.exists() and difflib.get_close_matches(name, [EMBEDDED], cutoff=0.8):
        raise UnknownNameError("tokenizer", name, [EMBEDDED])
    missing = describe_missing(name, "tokenizer")
    if missing is not None:
        raise TokenizerError(missing)
    base = None if has_tokenizer(name) else base_of_adapter(name)
    if base is not None:
        return _load_named(base)
    from transformers import AutoTokenizer

    if path.is_dir():
        check_plain_files(path)
    try:
        with offline_if_unreachable(name):
            is_gguf = path.suffix == ".gguf"
            loaded = AutoTokenizer.from_pretrained(
                str(path.parent) if is_gguf else name,
                # By default transformers asks at the terminal whether to run the folder's code.
                trust_remote_code=False,
                **({"gguf_file": path.name} if is_gguf else {}),
            )
    except Exception as error:
        # A damaged file may raise anything, from a KeyError to the parser's own errors.
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise TokenizerError(
            f"Cannot load the tokenizer '{name}': {reason} "
            "Give a folder that holds tokenizer.json, a Hugging Face id, or 'embedded'."
        ) from error
    return _from_hugging_face(loaded, name)


def load_folder(folder: Path, name: str) -> TextTokenizer:
    """Loads tokenizer.json and its chat template from a folder, without transformers."""
    from tokenizers import Tokenizer

    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    source = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    eos, pad = settings["eos_token"], settings["pad_token"]
    return TextTokenizer(
        Tokenizer.from_file(str(folder / "tokenizer.json")),
        _JinjaTemplate(source, eos, ""),
        name,
        eos,
        pad,
    )


def _from_hugging_face(tokenizer: Any, name: str) -> TextTokenizer:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise TokenizerError(
            f"Tokenizer '{name}' is a {type(tokenizer).__name__} without a fast backend "
            "(tokenizer.json). Convert it, or use a model that has one."
        )
    if not tokenizer("a b c")["input_ids"]:
        raise TokenizerError(
            f"The tokenizer '{name}' knows no words: its folder lacks tokenizer.json. Save the "
            "tokenizer beside the model, or name another with tokenizer=..."
        )
    eos = tokenizer.eos_token
    if eos is None:
        raise TokenizerError(f"Tokenizer '{name}' has no eos_token, so no turn could ever end.")
    template: Template
    if tokenizer.chat_template:
        template = ChatTemplate.of(tokenizer)
    else:
        # A tokenizer that would add bos to plain text gets it once, at the very start.
        with_bos = tokenizer("")["input_ids"][:1] == [tokenizer.bos_token_id]
        bos = tokenizer.bos_token if with_bos and tokenizer.bos_token else ""
        template = _JinjaTemplate(PLAIN_TEMPLATE, eos, bos)
    return TextTokenizer(backend, template, name, eos, tokenizer.pad_token or eos)


@dataclass(frozen=True)
class _JinjaTemplate:
    """A template of this package by its source; a class, so that environments can be pickled."""

    source: str
    eos_token: str
    bos_token: str

    def __call__(self, messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        return str(
            _compile(self.source).render(
                messages=messages,
                add_generation_prompt=add_generation_prompt,
                eos_token=self.eos_token,
                bos_token=self.bos_token,
            )
        )


@functools.cache
def _compile(source: str) -> Any:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(source)


def _without_markers(tokenizer_json: str) -> str:
    """Makes every added token that is not mere white space a special one.

    Only special tokens can be switched off when plain text is encoded, and "<think>" or
    "<tool_call>" are often added as ordinary ones.
    """
    data = json.loads(tokenizer_json)
    for token in data.get("added_tokens", []):
        token["special"] = token["special"] or bool(token["content"].strip())
    return json.dumps(data)


def mended(text: str) -> str:
    """Puts "\ufffd" for half a surrogate pair, which JSON may hold, and which is no character."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _strip(text: str, spaces: str, side: Callable[[str, str | None], str]) -> str:
    """Strips some white space from one side; all kinds of it where all that is tried is lost."""
    return side(text, None if spaces == _SPACES else spaces)


def _shorten(turn: Turn, keep: int) -> Turn:
    assert turn.cut
    start, end = turn.cut
    text = turn.text[: start + keep] + turn.text[end:]
    return Turn(turn.role, text, (start, start + keep))


def _too_long(needed: str, max_tokens: int) -> PromptTooLongError:
    return PromptTooLongError(
        f"A prompt needs {needed} tokens and max_prompt_tokens is {max_tokens}, even with its "
        "source text cut away. Raise max_prompt_tokens; the question itself is never cut."
    )
