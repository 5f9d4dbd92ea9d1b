"""Environments as tools: what TRL asks of them, and one step of its trainer on a dialogue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import textenv
from agents.integrations.trl import prompt_rows
from agents.integrations.trl_tools import OVER, environment_factory
from textenv.errors import RewardError
from textenv.rollout import PlayedEpisode, SpeakerWriter, play_examples
from textenv.vector import make_core

_ID = "TextDialogue-v0"


def _play_gold(index: int) -> PlayedEpisode:
    """An ideal episode, played by the environment itself."""
    core = make_core(_ID, 1)
    writer = SpeakerWriter(core, core.task.gold)
    (played,) = play_examples(core, writer, [core.dataset("train")[index]], scored=True)
    return played


def test_a_conversation_by_tools_is_an_episode_of_the_environment():
    played = _play_gold(3)
    environment = environment_factory(_ID)()
    environment.reset(index=3, split="train", prompt=[], extra=None)
    heard = [environment.say(text) for text in played.conversation.responses]
    users = [turn.text for turn in played.conversation.turns if turn.role == "user"]
    assert len(users) > 1
    assert heard == [*users[1:], OVER]
    assert environment.say("And again.") == OVER
    assert environment.get_reward() == played.reward == 1.0


def _count_turns(episodes: Any) -> list[float]:
    return [float(len(episode.responses)) for episode in episodes]


def test_a_model_that_stops_early_is_paid_as_if_it_had_fallen_silent():
    environment = environment_factory(_ID, reward=_count_turns, max_turns=3)()
    first, *_ = _play_gold(3).conversation.responses
    environment.reset(index=3, split="train")
    answer = environment.say(first)
    assert answer != OVER
    assert environment.get_reward() == 3.0
    # The next reset begins anew.
    environment.reset(index=3, split="train")
    assert environment.say(first) == answer


@pytest.mark.parametrize("message", [5, None, ["Hello."]])
def test_a_call_without_a_text_is_a_slip_of_the_model_and_no_error_of_the_training(message):
    environment = environment_factory(_ID, reward=_count_turns, max_turns=3)()
    environment.reset(index=3, split="train")
    with pytest.raises(TypeError, match="message is a text, not"):
        environment.say(message)
    silent = environment_factory(_ID, reward=_count_turns, max_turns=3)()
    silent.reset(index=3, split="train")
    assert environment.get_reward() == silent.get_reward() > 0


def test_an_error_that_trl_shows_to_the_model_is_raised_with_the_reward():
    def broken(episodes: Any) -> Any:
        raise ValueError("no judge")

    environment = environment_factory("TextSummarize-v0", reward=broken)()
    environment.reset(index=0, split="train")
    with pytest.raises(RewardError, match="no judge"):
        environment.say("A ship.")
    with pytest.raises(RewardError, match="no judge"):
        environment.get_reward()
    environment.reset(index=0, split="train")
    with pytest.raises(RewardError):
        environment.get_reward()


def test_what_no_environment_takes_is_refused_before_the_trainer_starts():
    with pytest.raises(textenv.TextEnvError, match="max_turn"):
        environment_factory(_ID, max_turn=3)
    environment = environment_factory(_ID)()
    with pytest.raises(textenv.ConfigError, match="no example"):
        environment.reset(index=10**9, split="train")


class _Script:
    """Stands in for sampling: the first completion speaks ideally, the second says "No."."""

    def __init__(self, tokenizer: Any, turns: tuple[str, ...]) -> None:
        self._tokenizer, self._turns = tokenizer, turns
        self._first = True

    def __call__(self, input_ids: torch.Tensor, **options: Any) -> torch.Tensor:
        texts = self._tokenizer.batch_decode(input_ids)
        written = [self._continue(text, i) for i, text in enumerate(texts)]
        self._first = False
        longest = max(map(len, written))
        pad = self._tokenizer.pad_token_id
        rows = [ids + [pad] * (longest - len(ids)) for ids in written]
        return torch.cat([input_ids, torch.tensor(rows)], dim=1)

    def _continue(self, text: str, i: int) -> list[int]:
        said = text.count('"name": "say", "arguments"')
        good = i == 0 if self._first else '"message": "No."' not in text
        if OVER in text or (not good and said == 2):
            turn = "Goodbye."
        else:
            message = self._turns[said] if good else "No."
            call = {"name": "say", "arguments": {"message": message}}
            turn = f"<tool_call>\n{json.dumps(call)}\n</tool_call>"
        ids: list[int] = self._tokenizer.encode(turn, add_special_tokens=False)
        return [*ids, self._tokenizer.eos_token_id]


@pytest.mark.filterwarnings("ignore")
def test_trls_trainer_takes_a_step_on_a_dialogue(monkeypatch, tmp_path):
    trl = pytest.importorskip("trl")
    from datasets import Dataset

    from agents import load_model_tokenizer
    from agents.models.loading import load_model

    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    tokenizer = load_model_tokenizer("embedded")
    # A template with tools, whose calls TRL can read.
    template = Path(trl.__file__).parent / "chat_templates" / "qwen3.jinja"
    tokenizer.chat_template = template.read_text(encoding="utf-8")
    model = load_model("embedded")
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    config = trl.GRPOConfig(
        output_dir=str(tmp_path),
        max_steps=1,
        learning_rate=1e-3,
        per_device_train_batch_size=2,
        num_generations=2,
        max_completion_length=1024,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        disable_tqdm=True,
    )
    trainer = trl.GRPOTrainer(
        model,
        args=config,
        train_dataset=Dataset.from_list(prompt_rows(_ID, 1)),
        processing_class=tokenizer,
        environment_factory=environment_factory(_ID),
    )
    turns = _play_gold(0).conversation.responses
    monkeypatch.setattr(model, "generate", _Script(tokenizer, turns))
    trainer.train()
    logged = trainer.state.log_history[0]
    rewards = [environment.get_reward() for environment in trainer.environments]
    assert rewards[0] == 1.0 > rewards[1]
    assert logged[f"rewards/{_ID}/mean"] == pytest.approx(sum(rewards) / 2)
    assert logged["tools/call_frequency"] == (len(turns) + 2) / 2
    assert logged["tools/failure_frequency"] == 0.0
    assert logged["grad_norm"] > 0.0
    assert any((weight != before[name]).any() for name, weight in model.named_parameters())
