"""A saved agent loads again, its model in plain transformers too, and nothing in it is code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from stable_baselines3.common.utils import ConstantSchedule, LinearSchedule
from transformers import AutoModelForCausalLM, AutoTokenizer

from agents.ppo.ppo import TextPPO
from agents.training.held_out import evaluate_policy_on_split
from textenv import ConfigError, ModelError, UnknownNameError

PROMPTS = ["say red one", "say blue", "say green two three four"]


@pytest.fixture
def trained(make_env, make_agent) -> TextPPO:
    """After two updates of a separate critic's and the model's weights."""
    agent = make_agent(
        make_env(max_turns=2), {"separate_critic": True, "temperature": 0.7}, critic_warmup=0,
        learning_rate=3e-3, kl_target=0.5, kl_horizon=20, scale_rewards=True,
    )  # fmt: skip
    return agent.learn(total_episodes=24)


def greedy_texts(agent: TextPPO, env: Any) -> list[str]:
    """Plays each prompt by hand through `predict`, as any user of SB3 would."""
    texts = []
    for prompt in PROMPTS:
        observation, _ = env.reset(options={"prompt": prompt, "references": "red"})
        done = False
        while not done:
            action, _ = agent.predict(observation, deterministic=True)
            observation, _, terminated, truncated, infos = env.step(action)
            done = bool((terminated | truncated)[0])
        texts.append(str(infos["response"][0]))
    return texts


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3"])
def test_law_12_plain_transformers_writes_the_same_text(
    save_model, make_env, make_agent, tmp_path, family
):
    model = save_model(family, spread=0.3, extra_rows=3)
    agent = make_agent(None, {"model": model}, critic_warmup=0, learning_rate=3e-3, seed=1)
    agent.learn(total_episodes=24)
    agent.save(tmp_path / "agent")
    wanted = greedy_texts(agent, make_env(1))
    assert any(wanted)

    lm = AutoModelForCausalLM.from_pretrained(tmp_path / "agent" / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "agent" / "model")
    found = []
    for prompt in PROMPTS:
        inputs = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], add_generation_prompt=True,
            return_tensors="pt", return_dict=True,
        )  # fmt: skip
        output = lm.generate(
            **{key: inputs[key] for key in ("input_ids", "attention_mask")}, do_sample=False,
            max_new_tokens=6, eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id, suppress_tokens=[20, 21, 22],
        )  # fmt: skip
        text = tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        found.append(text.strip())
    assert found == wanted
    held_out = evaluate_policy_on_split(agent.policy, make_env(3).core, "test", 4)
    reloaded = TextPPO.load(tmp_path / "agent", device="cpu")
    again = evaluate_policy_on_split(reloaded.policy, make_env(3).core, "test", 4)
    assert [e.response for e in again.episodes] == [e.response for e in held_out.episodes]


def test_a_loaded_agent_is_the_saved_one(trained, make_env, tmp_path):
    trained.save(tmp_path / "agent")
    loaded = TextPPO.load(tmp_path / "agent", env=make_env(max_turns=2), device="cpu")
    for name, tensor in trained.policy.state_dict().items():
        assert torch.equal(tensor, loaded.policy.state_dict()[name]), name
    for name in ("num_timesteps", "n_episodes_done", "_n_updates", "n_iterations", "n_episodes"):
        assert getattr(loaded, name) == getattr(trained, name) != 0, name
    assert loaded.kl_controller.coef == trained.kl_controller.coef != 0.05
    assert type(loaded.kl_controller) is type(trained.kl_controller)
    for name in ("mean", "var", "count"):
        found, wanted = (getattr(a.return_scale.moments, name) for a in (loaded, trained))
        assert found == pytest.approx(wanted, rel=1e-12)
    ours, theirs = (a.policy.optimizer.state_dict() for a in (trained, loaded))
    assert ours["state"].keys() == theirs["state"].keys()
    assert ours["state"]
    for index, state in ours["state"].items():
        for key, value in state.items():
            assert torch.equal(torch.as_tensor(value), theirs["state"][index][key])
    assert [g["lr"] for g in ours["param_groups"]] == [g["lr"] for g in theirs["param_groups"]]
    assert loaded.policy.options.temperature == 0.7
    env = make_env(1, max_turns=2)
    assert greedy_texts(loaded, env) == greedy_texts(trained, env)


def test_an_update_after_loading_is_the_one_without(trained, make_env, tmp_path):
    """On the same episodes: weights, moments, coefficient and schedules all count."""
    trained.save(tmp_path / "agent")
    loaded = TextPPO.load(tmp_path / "agent", env=make_env(max_turns=2), device="cpu")
    loaded.set_logger(trained.logger)
    loaded.episodes = trained.episodes
    for agent in (trained, loaded):
        torch.manual_seed(5)
        agent._current_progress_remaining = 0.5
        agent.train()
    for name, tensor in trained.policy.state_dict().items():
        assert torch.equal(tensor, loaded.policy.state_dict()[name]), name


def test_nothing_in_the_folder_is_pickled_and_the_reference_is_not_there(trained, tmp_path):
    trained.save(tmp_path / "agent")
    files = {p for p in (tmp_path / "agent").rglob("*") if p.is_file()}
    assert {p.suffix for p in files} <= {".json", ".safetensors", ".jinja", ".md"}
    for path in files:
        assert path.read_bytes()[:2] != b"\x80\x04"
    one_model = sum(p.numel() for p in trained.policy.lm.parameters())
    held = load_file(tmp_path / "agent" / "model" / "model.safetensors")
    assert sum(t.numel() for t in held.values()) == one_model
    rest = load_file(tmp_path / "agent" / "agent.safetensors")
    kept = sum(t.numel() for name, t in rest.items() if name.startswith("policy/"))
    assert kept == sum(p.numel() for p in trained.policy.critic_parameters())
    assert {name.split("/")[0] for name in rest} == {"policy", "optimizer", "random"}


def test_the_reference_stays_the_model_that_training_began_with(trained, make_env, tmp_path):
    trained.save(tmp_path / "agent")
    loaded = TextPPO.load(tmp_path / "agent", env=make_env(max_turns=2), device="cpu")
    assert loaded.reference_name == trained.reference_name
    assert loaded.reference_name != loaded.policy.options.model
    for a, b in zip(
        trained.reference.model.parameters(), loaded.reference.model.parameters(), strict=True
    ):
        assert torch.equal(a, b)
    # A second generation refers to the first model, too.
    loaded.save(tmp_path / "again")
    second = TextPPO.load(tmp_path / "again", device="cpu")
    assert second.reference_name == trained.reference_name


def test_saving_never_overwrites_the_reference(trained, make_agent, make_env, tmp_path):
    trained.save(tmp_path / "agent")
    folder = tmp_path / "agent" / "model"
    agent = make_agent(make_env(), {"model": str(folder)})
    with pytest.raises(ConfigError, match="overwrite"):
        agent.save(tmp_path / "agent")
    agent.save(tmp_path / "other")


def test_an_agent_saves_over_the_folder_that_it_was_loaded_from(trained, make_env, tmp_path):
    trained.save(tmp_path / "agent")
    agent = TextPPO.load(tmp_path / "agent", env=make_env(max_turns=2), device="cpu")
    agent.learn(total_episodes=12, reset_num_timesteps=False)
    agent.save(tmp_path / "agent")
    again = TextPPO.load(tmp_path / "agent", device="cpu")
    for name, tensor in agent.policy.state_dict().items():
        assert torch.equal(tensor, again.policy.state_dict()[name]), name
    assert again.n_episodes_done == 36


def test_without_an_environment_it_says_that_it_cannot_learn(trained, tmp_path):
    trained.save(tmp_path)
    with pytest.raises(ConfigError, match="This agent has no environment"):
        TextPPO.load(tmp_path).learn(total_episodes=4)


def test_without_an_environment_it_predicts_and_takes_one_later(trained, make_env, tmp_path):
    trained.save(str(tmp_path / "agent"))
    loaded = TextPPO.load(str(tmp_path / "agent"), device="cpu")
    assert loaded.env is None
    env = make_env(3, max_turns=2)
    observation, _ = env.reset(seed=0)
    action, _ = loaded.predict(observation, deterministic=True)
    assert action.shape == (3,)
    one = {key: value[0] for key, value in observation.items()}
    assert loaded.predict(one, deterministic=True)[0] == action[0]
    loaded.set_env(env)
    loaded.learn(total_episodes=12)
    assert loaded.n_episodes_done == 12


def test_arguments_may_be_changed_on_loading(trained, make_env, tmp_path):
    trained.save(tmp_path / "agent")
    loaded = TextPPO.load(
        tmp_path / "agent", env=make_env(max_turns=2), device="cpu", n_episodes=5,
        learning_rate=1e-5, policy_kwargs={"temperature": 0.9},
    )  # fmt: skip
    assert loaded.n_episodes == 5
    assert loaded.lr_schedule(1.0) == 1e-5
    assert loaded.policy.options.temperature == 0.9
    assert loaded.policy.options.separate_critic
    with pytest.raises(UnknownNameError, match="n_episodes"):
        TextPPO.load(tmp_path / "agent", device="cpu", n_episode=5)


def test_schedules_survive(make_agent, tmp_path):
    agent = make_agent(
        learning_rate=LinearSchedule(1e-3, 1e-4, 0.5), clip_range=LinearSchedule(0.3, 0.1, 1.0),
        clip_range_vf=0.4,
    )  # fmt: skip
    agent.save(tmp_path / "agent")
    loaded = TextPPO.load(tmp_path / "agent", device="cpu")
    for progress in (1.0, 0.75, 0.2):
        for name in ("clip_range", "clip_range_vf"):
            now = getattr(agent.options.at(progress), name)
            assert getattr(loaded.options.at(progress), name) == now, name
        assert loaded.options.rates(progress, 3, 0) == agent.options.rates(progress, 3, 0)


@pytest.mark.parametrize("name", ["learning_rate", "clip_range", "clip_range_vf"])
def test_a_schedule_that_cannot_be_saved_is_refused_at_the_start(make_agent, name):
    with pytest.raises(ConfigError, match=rf"{name}=.*cannot be saved .*LinearSchedule\(start"):
        make_agent(**{name: lambda progress: 1e-3 * progress**2})
    make_agent(**{name: ConstantSchedule(0.1)})
    agent = make_agent()
    setattr(agent, name, lambda progress: 0.1)
    with pytest.raises(ConfigError, match=rf"{name}=.*cannot be saved"):
        agent.learn(total_episodes=12)
    assert agent.n_episodes_done == 0


def test_what_cannot_be_loaded_is_said(trained, make_env, tmp_path):
    with pytest.raises(ModelError, match="no saved agent"):
        TextPPO.load(tmp_path / "nowhere", device="cpu")
    trained.save(tmp_path / "agent")
    with pytest.raises(ModelError, match="no saved agent"):
        TextPPO.load(tmp_path / "agent" / "model", device="cpu")
    with pytest.raises((ConfigError, ModelError), match="tokenizer"):
        TextPPO.load(
            tmp_path / "agent", env=make_env(tokenizer="embedded", max_prompt_tokens=64),
            device="cpu",
        )  # fmt: skip
    path: Path = tmp_path / "agent" / "agent.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    with pytest.raises(ModelError, match="format 99"):
        TextPPO.load(tmp_path / "agent", device="cpu")


def test_saving_changes_nothing_of_the_agent(trained, tmp_path):
    before = {k: v.clone() for k, v in trained.policy.state_dict().items()}
    state = torch.get_rng_state(), np.random.get_state()[1].copy()
    trained.save(tmp_path / "agent")
    assert torch.equal(torch.get_rng_state(), state[0])
    assert (np.random.get_state()[1] == state[1]).all()
    assert all(torch.equal(before[k], v) for k, v in trained.policy.state_dict().items())
