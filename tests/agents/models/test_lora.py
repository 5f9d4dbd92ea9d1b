"""Adapters learn in place of the weights, and what is saved of them loads everywhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors import safe_open
from stable_baselines3 import PPO
from transformers import AutoModelForCausalLM

import agents.models.lora
from agents.models.loading import load_model
from agents.models.lora import adapter_off, add_adapter, merge_adapter
from agents.models.options import LoraSettings, policy_options
from agents.policy.episode_batch import EpisodeBatch, make_batch
from agents.policy.lm_policy import LMPolicy
from agents.ppo.ppo import TextPPO
from agents.ppo.rollout import collect_episodes
from agents.ppo.vec_env import TextVecEnv
from textenv import ConfigError, ModelError, UnknownNameError

# The other families are long forms.
FAMILIES = ["llama", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gpt2", "qwen3"))]


def collect(agent: Any, n: int = 8) -> EpisodeBatch:
    episodes = collect_episodes(agent.env, agent.policy, n, lambda *_: True)
    assert episodes is not None
    return make_batch(episodes)


def learning(policy: Any) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in policy.named_parameters() if p.requires_grad}


def frozen(policy: Any) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in policy.named_parameters() if not p.requires_grad}


@pytest.fixture
def trained(save_model, make_agent):
    """Makes an agent whose adapter has learned something; any family."""

    def make(family: str = "llama", **policy_kwargs: Any) -> TextPPO:
        agent = make_agent(
            None,
            {"model": save_model(family, spread=0.3), "lora": {"r": 4, "alpha": 8}} | policy_kwargs,
            critic_warmup=0, learning_rate=3e-2, ent_coef=0.1,
        )  # fmt: skip
        return agent.learn(total_episodes=24)

    return make


@pytest.mark.parametrize("separate_critic", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_only_adapters_and_the_value_head_learn(trained, save_model, family, separate_critic):
    policy = trained(family, separate_critic=separate_critic).policy
    names = set(learning(policy))
    assert all("lora_" in name or name.startswith("value_head.") for name in names)
    assert any(name.startswith("lm.") for name in names)
    assert any(name.startswith("critic.") for name in names) == separate_critic
    in_optimizer = [p for group in policy.optimizer.param_groups for p in group["params"]]
    assert {id(p) for p in in_optimizer} == {id(p) for p in policy.parameters() if p.requires_grad}
    # Every one of them has moved, and nothing else.
    assert all(len(policy.optimizer.state[p]) for p in in_optimizer)
    base = load_model(save_model(family, spread=0.3)).state_dict()
    for name, tensor in frozen(policy.lm).items():
        assert torch.equal(tensor, base[name.replace(".base_layer", "")]), name


@pytest.mark.parametrize("family", FAMILIES)
def test_a_separate_critic_is_a_second_adapter_on_the_same_weights(trained, family):
    policy = trained(family, separate_critic=True).policy
    own = {p.data_ptr() for p in policy.lm.parameters()}
    added = [p for p in policy.critic.parameters() if p.data_ptr() not in own]
    assert added
    assert all(p.requires_grad for p in added)
    ids = torch.tensor([[3, 4, 5, 6]])
    with torch.no_grad():
        actor = policy.networks.backbone(input_ids=ids).last_hidden_state
        critic = policy.critic(input_ids=ids).last_hidden_state
    assert (actor - critic).abs().max() > 1e-3, "their adapters are not the same"


@pytest.mark.parametrize("family", FAMILIES)
def test_before_the_first_update_the_adapter_changes_nothing(save_model, make_agent, family):
    model = save_model(family, spread=0.3)
    agent = make_agent(None, {"model": model, "lora": {}, "temperature": 0.7})
    batch = collect(agent)
    plain = make_agent(None, {"model": model, "temperature": 0.7})
    with torch.no_grad():
        found = agent.policy.evaluate_sequences(batch).logprobs
        wanted = plain.policy.evaluate_sequences(batch).logprobs
    assert torch.allclose(found, wanted, atol=1e-6)
    recorded: dict[str, float] = {}
    agent.learn(total_episodes=1, after_iteration=lambda metrics: recorded.update(metrics) or True)
    assert recorded["train/first_ratio"] == pytest.approx(1.0, abs=1e-4)
    assert recorded["kl/ref"] == pytest.approx(0.0, abs=1e-4)


def test_target_modules_are_chosen_by_name_and_checked(save_model, make_agent):
    model = save_model()
    agent = make_agent(None, {"model": model, "lora": {"target_modules": ["q_proj", "v_proj"]}})
    with_adapter = {n.split(".lora_")[0] for n in learning(agent.policy) if "lora_" in n}
    assert {name.rpartition(".")[2] for name in with_adapter} == {"q_proj", "v_proj"}
    with pytest.raises(UnknownNameError, match="q_proj"):
        make_agent(None, {"model": model, "lora": {"target_modules": ["q_porj"]}})
    # The output layer is not among them, so tied embeddings stay one matrix.
    with pytest.raises(UnknownNameError, match="lm_head"):
        make_agent(None, {"model": model, "lora": {"target_modules": ["lm_head"]}})


def test_adapters_stay_above_frozen_layers(save_model, make_agent):
    agent = make_agent(None, {"model": save_model("gpt2"), "lora": {}, "frozen_layers": 2})
    adapters = {n for n in learning(agent.policy) if "lora_" in n}
    assert adapters
    assert all(name.startswith("lm.transformer.h.2.") for name in adapters)


def test_settings_are_checked_in_words():
    assert policy_options({}).lora is None
    made = policy_options({"lora": {}}).lora
    assert made.model_dump() == {
        "r": 16, "alpha": 32, "target_modules": "all-linear", "dropout": 0,
    }  # fmt: skip
    with pytest.raises(ConfigError, match="dropout must be 0"):
        policy_options({"lora": {"dropout": 0.05}})
    with pytest.raises(UnknownNameError, match=r"'lora\.lora_alpha'"):
        policy_options({"lora": {"lora_alpha": 16}})
    with pytest.raises(ConfigError, match=r"lora\.r=0 is not valid"):
        policy_options({"lora": {"r": 0}})
    with pytest.raises(ConfigError, match="dictionary"):
        policy_options({"lora": True})


def test_without_peft_the_message_says_what_to_install(save_model, make_agent, monkeypatch):
    monkeypatch.setattr(agents.models.lora.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"textenv\[lora\]"):
        make_agent(None, {"model": save_model(), "lora": {}})


# Saving


@pytest.mark.parametrize("family", FAMILIES)
def test_merging_leaves_the_model_that_learns_alone(trained, family):
    agent = trained(family)
    before = {name: tensor.clone() for name, tensor in agent.policy.state_dict().items()}
    versions = [p._version for p in agent.policy.parameters()]
    names = set(learning(agent.policy))
    batch = collect(agent)
    merged = merge_adapter(agent.policy.adapter)
    for name, tensor in agent.policy.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert [p._version for p in agent.policy.parameters()] == versions
    assert set(learning(agent.policy)) == names
    with torch.no_grad():
        wanted = agent.policy.lm(input_ids=batch.input_ids).logits
        assert torch.allclose(merged(input_ids=batch.input_ids).logits, wanted, atol=1e-4)
        with adapter_off(agent.policy.adapter):
            base = agent.policy.lm(input_ids=batch.input_ids).logits
    assert (wanted - base).abs().max() > 0.1


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing")
def test_law_12_plain_transformers_and_peft_load_what_is_saved(
    trained, save_model, tmp_path, family
):
    agent = trained(family)
    agent.save(tmp_path)
    batch = collect(agent)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    base = AutoModelForCausalLM.from_pretrained(save_model(family, spread=0.3))
    beside = PeftModel.from_pretrained(base, tmp_path / "adapter")
    assert type(merged) is type(base)
    prompts = [row[:5] for row in batch.input_ids[:4]]
    arguments = {"do_sample": False, "max_new_tokens": 6, "pad_token_id": 1, "eos_token_id": 2}
    wanted = [agent.policy.lm.generate(ids[None], **arguments) for ids in prompts]
    for model in (merged, beside):
        for ids, text in zip(prompts, wanted, strict=True):
            assert torch.equal(model.generate(ids[None], **arguments), text)


def test_a_checkpoint_holds_the_adapter_and_refers_to_the_base(trained, save_model, tmp_path):
    agent = trained(separate_critic=True)
    agent.save(tmp_path)
    with safe_open(tmp_path / "agent.safetensors", "pt") as file:
        names = [n.removeprefix("policy/") for n in file.keys() if n.startswith("policy/")]  # noqa: SIM118 # not a mapping
    assert set(names) == set(learning(agent.policy))
    saved = json.loads((tmp_path / "agent.json").read_text())["policy_options"]
    assert saved["model"] == save_model("llama", spread=0.3)
    assert saved["lora"]["r"] == 4


@pytest.mark.parametrize("separate_critic", [False, True])
def test_a_loaded_agent_goes_on_as_the_saved_one(
    trained, make_env, tmp_path, assert_they_learn_alike, separate_critic
):
    agent = trained(separate_critic=separate_critic)
    agent.save(tmp_path)
    loaded = TextPPO.load(tmp_path, env=make_env(), device="cpu")
    assert loaded.policy.options.lora == agent.policy.options.lora
    for name, tensor in agent.policy.state_dict().items():
        assert torch.equal(loaded.policy.state_dict()[name], tensor), name
    assert loaded.reference.model is loaded.policy.lm
    assert_they_learn_alike(agent, loaded)
    moved = [
        n for n, p in learning(agent.policy).items() if not torch.equal(p, torch.zeros_like(p))
    ]
    assert moved


def test_an_adapter_is_not_dropped_or_changed_by_loading(trained, tmp_path):
    trained().save(tmp_path)
    with pytest.raises(ConfigError, match="model"):
        TextPPO.load(tmp_path, device="cpu", policy_kwargs={"lora": None})
    with pytest.raises(ConfigError, match="frozen_layers is 0"):
        TextPPO.load(tmp_path, device="cpu", policy_kwargs={"frozen_layers": 1})


def test_saving_over_the_base_is_refused(trained, save_model, make_agent, tmp_path):
    load_model(save_model(spread=0.3)).save_pretrained(tmp_path / "model")
    agent = make_agent(
        None, {"model": str(tmp_path / "model"), "lora": {}}, reference=save_model(spread=0.3)
    )
    with pytest.raises(ConfigError, match="the adapter refers to"):
        agent.save(tmp_path)


def test_stock_sb3_learns_saves_and_loads_adapters(save_model, make_env, tmp_path):
    policy_kwargs = {"model": save_model(spread=0.3), "lora": {"r": 2}, "separate_critic": True}
    stock = PPO(
        LMPolicy, TextVecEnv(make_env()), n_steps=8, batch_size=16, n_epochs=1, device="cpu",
        policy_kwargs=policy_kwargs,
    ).learn(32)  # fmt: skip
    stock.save(tmp_path / "stock.zip")
    loaded = PPO.load(tmp_path / "stock.zip", device="cpu")
    for name, tensor in stock.policy.state_dict().items():
        assert torch.equal(loaded.policy.state_dict()[name], tensor), name
    assert set(learning(loaded.policy)) == set(learning(stock.policy))


# Quantized bases


@pytest.mark.parametrize(
    "options",
    [
        {"separate_critic": True},
        {"frozen_layers": 1, "gradient_checkpointing": True},
        {"lora": {"target_modules": ["q_proj"]}},
    ],
)
def test_adapters_learn_beside_quantized_weights(trained, make_env, tmp_path, options):
    pytest.importorskip("bitsandbytes")
    agent = trained(quantize="4bit", **options)
    policy = agent.policy
    weights = policy.lm.model.layers[1].self_attn.q_proj.base_layer.weight
    assert weights.dtype == torch.uint8
    if policy.critic is not None:
        assert policy.critic.layers[1].self_attn.q_proj.base_layer.weight is weights
    assert agent.reference.model is policy.lm
    batch = collect(agent)
    with torch.no_grad():
        wanted = policy.evaluate_sequences(batch).logprobs
    policy.set_training_mode(not policy.training)
    outputs = policy.evaluate_sequences(batch)
    assert torch.allclose(outputs.logprobs, wanted, atol=1e-5), "train and eval mode agree"
    agent.save(tmp_path)
    loaded = TextPPO.load(tmp_path, env=make_env(), device="cpu")
    with torch.no_grad():
        again = loaded.policy.evaluate_sequences(batch).logprobs
    assert torch.allclose(again, wanted, atol=1e-5)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert not hasattr(merged.config, "quantization_config")
    with torch.no_grad():
        found = merged(input_ids=batch.input_ids).logits
        logits = policy.lm(input_ids=batch.input_ids).logits
    assert torch.allclose(found, logits, atol=1e-3)


def test_quantize_is_checked_in_words(save_model, make_agent, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="give lora"):
        make_agent(None, {"model": save_model(), "quantize": "4bit"})
    with pytest.raises(ModelError, match="needs a GPU"):
        make_agent(None, {"model": save_model(), "lora": {}, "quantize": "8bit"})
    with pytest.raises(ConfigError, match="it should be '4bit' or '8bit'"):
        make_agent(None, {"model": save_model(), "lora": {}, "quantize": "2bit"})
    monkeypatch.setattr("agents.models.loading.importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"textenv\[qlora\]"):
        make_agent(None, {"model": save_model(), "lora": {}, "quantize": "4bit"})


@pytest.mark.parametrize("bf16", [False, True])
def test_fused_adapters_compute_what_peft_does(save_model, bf16):
    from peft.tuners import lora

    from agents.models.lora_linear import LoraLinear

    model = load_model(save_model("llama", spread=0.3))
    adapter = add_adapter(model, LoraSettings(r=4, alpha=6))
    layers = [module for module in adapter.modules() if isinstance(module, LoraLinear)]
    assert layers
    for layer in layers:
        torch.nn.init.normal_(layer.lora_B["default"].weight, std=0.1)
    ids = torch.arange(20).view(2, 10)

    def found():
        adapter.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = model(input_ids=ids).logits.float()
        logits.log_softmax(-1)[..., 3].sum().backward()
        return [logits.detach(), *(p.grad for p in adapter.parameters() if p.requires_grad)]

    fused = found()
    for layer in layers:
        layer.__class__ = lora.Linear
    for one, other in zip(fused, found(), strict=True):
        difference = (one - other).norm() / other.norm()
        assert difference < (0.05 if bf16 else 1e-5)
