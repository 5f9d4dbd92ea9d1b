"""The contestant TRL: the PPOTrainer of the last release that has one, in its own environment.

Its critic is always a model of its own. There is no environment: TRL takes a reward model, here one
that computes the share of even token ids.

    python -m benchmarks.peers.trl_ppo WORK.json OUTCOME.json
"""

from __future__ import annotations

import os
import tempfile
from importlib import import_module
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PrinterCallback,
    TrainerCallback,
)

from benchmarks.peers.work import Outcome, Stopwatch, Work, read_prompts, run_as_program


class _EvenShare(nn.Module):
    """What TRL's `get_reward` asks of a reward model; its score is the share of even ids so far."""

    base_model_prefix = "backbone"

    def __init__(self) -> None:
        super().__init__()
        self.backbone = _Counter()

    def score(self, shares: Tensor) -> Tensor:
        return shares


class _Counter(nn.Module):
    def forward(self, input_ids: Tensor, **unused: Any) -> Any:
        even = (input_ids % 2 == 0).float().cumsum(dim=1)
        shares = even / torch.arange(1, input_ids.shape[1] + 1)
        return SimpleNamespace(hidden_states=(shares.unsqueeze(-1),))


class _Clock(TrainerCallback):
    def __init__(self, watch: Stopwatch) -> None:
        self._watch = watch

    def on_train_begin(self, *unused: Any, **unused_too: Any) -> None:
        self._watch.start()

    def on_step_end(self, *unused: Any, **unused_too: Any) -> None:
        self._watch.end_update()


def run(work: Work) -> Outcome:
    """Trains for so many updates, and times them."""
    if work.bf16:
        # `PPOConfig(bf16=True)` alone leaves autocast off.
        os.environ["ACCELERATE_MIXED_PRECISION"] = "bf16"
    # By name, since newer releases of TRL have no such module for a type checker to find.
    ppo = import_module("trl.experimental.ppo")
    datasets = import_module("datasets")
    watch = Stopwatch(work.warmup)
    tokenizer = AutoTokenizer.from_pretrained(work.folder, padding_side="left")
    policy, reference = (
        AutoModelForCausalLM.from_pretrained(work.folder, dtype=torch.float32) for _ in range(2)
    )
    critic = AutoModelForSequenceClassification.from_pretrained(
        work.folder, num_labels=1, dtype=torch.float32
    )
    with tempfile.TemporaryDirectory() as folder:
        config = ppo.PPOConfig(
            output_dir=folder,
            use_cpu=True,
            bf16=work.bf16,
            gradient_checkpointing=False,
            report_to="none",
            disable_tqdm=True,
            save_strategy="no",
            eval_strategy="no",
            logging_strategy="no",
            seed=work.seed,
            per_device_train_batch_size=work.n_episodes,
            gradient_accumulation_steps=1,
            local_rollout_forward_batch_size=work.n_episodes,
            num_mini_batches=1,
            num_ppo_epochs=work.n_epochs,
            total_episodes=work.n_episodes * (work.warmup + work.updates),
            num_sample_generations=0,
            response_length=work.response_tokens,
            stop_token=None,
            missing_eos_penalty=None,
            temperature=1.0,
            learning_rate=work.learning_rate,
            lr_scheduler_type="constant",
            kl_coef=work.kl_coef,
            kl_estimator="k1",
            cliprange=work.clip_range,
            cliprange_value=work.clip_range_vf,
            vf_coef=work.vf_coef,
            gamma=work.gamma,
            lam=work.gae_lambda,
            whiten_rewards=False,
            dataloader_pin_memory=False,
        )
        trainer = ppo.PPOTrainer(
            args=config,
            processing_class=tokenizer,
            model=policy,
            ref_model=reference,
            reward_model=_EvenShare(),
            value_model=critic,
            train_dataset=datasets.Dataset.from_dict({"input_ids": read_prompts(work)}),
            callbacks=[_Clock(watch)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    packages = ("torch", "transformers", "accelerate", "trl")
    return watch.finish(float(work.response_tokens), *packages)


if __name__ == "__main__":
    run_as_program(run)
