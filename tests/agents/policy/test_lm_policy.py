"""One distribution, however it is asked for: acting, per token, and whole episodes agree."""

from __future__ import annotations

import copy
import io
import pickle
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from agents.models.compilation import is_compiled
from agents.policy.episode_batch import make_batch
from agents.policy.lm_policy import LMPolicy
from textenv import ConfigError, ModelError
from textenv.rollout import PlayedEpisode


@pytest.fixture
def make_policy(save_model, make_env):
    def make(family: str = "llama", **arguments: Any) -> LMPolicy:
        core = make_env().core
        settings = {"model": save_model(family, spread=0.3, extra_rows=5), **arguments}
        policy = LMPolicy(
            core.single_observation_space, core.single_action_space, lambda _: 1e-2, **settings
        )
        torch.nn.init.normal_(policy.value_head.weight, generator=torch.Generator().manual_seed(1))
        return policy

    return make


@pytest.fixture
def make_chooser(save_model, make_choice_env):
    """A policy at select level, and observations: first turns, and second ones."""

    def make(family: str = "llama", **arguments: Any) -> tuple[LMPolicy, dict[str, torch.Tensor]]:
        env = make_choice_env(6, max_turns=2)
        policy = LMPolicy(
            env.single_observation_space, env.single_action_space, lambda _: 1e-2,
            model=save_model(family, spread=0.3, extra_rows=5), **arguments,
        )  # fmt: skip
        torch.nn.init.normal_(policy.value_head.weight, generator=torch.Generator().manual_seed(1))
        first, _ = env.reset(seed=0)
        second = env.step(np.zeros(6, np.int64))[0]
        both = {key: np.concatenate([first[key], second[key]]) for key in first}
        return policy, {key: torch.from_numpy(value) for key, value in both.items()}

    return make


def observation_of(rows: list[list[int]], window: int = 22) -> dict[str, torch.Tensor]:
    ids = torch.zeros((len(rows), window), dtype=torch.int32)
    mask = torch.zeros((len(rows), window), dtype=torch.int8)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    return {
        "input_ids": ids, "attention_mask": mask,
        "remaining": torch.ones((len(rows), 1), dtype=torch.int32),
    }  # fmt: skip


ROWS = [[3, 5, 6, 2, 4], [3, 5, 7, 9, 11, 2, 4, 8, 8], [3, 2, 4, 6]]


@pytest.mark.parametrize("separate_critic", [False, True])
@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3"])
def test_acting_and_evaluating_agree(make_policy, family, separate_critic):
    policy = make_policy(family, temperature=0.6, separate_critic=separate_critic)
    observation = observation_of(ROWS)
    actions, values, logprobs = policy.forward(observation)
    assert actions.shape == logprobs.shape == (3,)
    assert values.shape == (3, 1)
    # Train mode has no dropout either: GPT-2's configuration asks for some.
    policy.set_training_mode(True)
    per_token = policy.evaluate_actions(observation, actions)
    assert torch.allclose(per_token[0], values, atol=1e-4)
    assert torch.allclose(per_token[1], logprobs, atol=1e-4)
    assert torch.allclose(policy.predict_values(observation), values, atol=1e-4)
    distribution = policy.get_distribution(observation)
    assert torch.allclose(distribution.log_prob(actions), logprobs, atol=1e-4)
    assert torch.allclose(distribution.entropy(), per_token[2])
    greedy = policy.forward(observation, deterministic=True)[0]
    assert torch.equal(greedy, distribution.distribution.probs.argmax(1))


@pytest.mark.parametrize("separate_critic", [False, True])
def test_whole_episodes_agree_with_their_prefixes(make_policy, separate_critic):
    """Also where the environment spoke in between."""
    policy = make_policy(temperature=0.6, separate_critic=separate_critic)
    masks = [[0, 0, 0, 0, 1], [0, 0, 0, 1, 1, 0, 0, 1, 1], [0, 0, 1, 1]]
    batch = make_batch(
        [
            PlayedEpisode(
                np.array(ids, np.int32), np.array(mask, bool), np.zeros(len(ids), np.float32)
            )
            for ids, mask in zip(ROWS, masks, strict=True)
        ]
    )
    with torch.no_grad():
        outputs = policy.evaluate_sequences(batch, with_entropy=True)
        at = [(r, t) for r, mask in enumerate(masks) for t, own in enumerate(mask) if own]
        prefixes = observation_of([ROWS[r][:t] for r, t in at])
        written = torch.tensor([ROWS[r][t] for r, t in at])
        values, logprobs, entropy = policy.evaluate_actions(prefixes, written)
        final = policy.predict_values(observation_of(ROWS))
    assert torch.allclose(outputs.logprobs, logprobs, atol=1e-4)
    assert torch.allclose(outputs.values, values[:, 0], atol=1e-4)
    assert torch.allclose(outputs.entropy, entropy, atol=1e-4)
    assert torch.allclose(outputs.final_values, final[:, 0], atol=1e-4)


def test_only_the_critics_own_weights_learn_from_values_alone(make_policy):
    for separate_critic in (False, True):
        policy = make_policy("qwen3", separate_critic=separate_critic)
        batch = make_batch(
            [PlayedEpisode(np.array([3, 4, 5, 6], np.int32), np.arange(4) > 1, np.zeros(4))]
        )
        policy.value_head.weight.data.normal_()
        with torch.no_grad():
            outputs = policy.evaluate_sequences(batch)
        for states in (None, outputs.states):
            values = policy.evaluate_values(batch, states)
            assert torch.equal(values.detach(), outputs.values)
            values.sum().backward()
        learning = {id(p) for p in policy.parameters() if p.grad is not None}
        assert learning
        assert learning <= {id(p) for p in policy.critic_parameters()}


def test_the_optimizer_has_every_weight_once(make_policy):
    for family in ("llama", "qwen3"):
        policy = make_policy(family, separate_critic=True)
        held = [p for group in policy.optimizer.param_groups for p in group["params"]]
        assert len(held) == len({id(p) for p in held})
        assert {id(p) for p in held} == {id(p) for p in policy.parameters()}
        assert [group["params"] for group in policy.optimizer.param_groups][1] == (
            policy.critic_parameters()
        )


def test_values_begin_at_zero(save_model, make_env):
    core = make_env().core
    policy = LMPolicy(
        core.single_observation_space, core.single_action_space, lambda _: 1e-2,
        model=save_model(spread=0.3),
    )  # fmt: skip
    assert not policy.predict_values(observation_of(ROWS)).any()


def test_new_weights_are_seen_while_acting(make_policy):
    policy = make_policy()
    observation = observation_of(ROWS)
    before = policy.forward(observation)[1]
    policy.get_distribution(observation).log_prob(torch.tensor([1, 2, 3])).sum().backward()
    policy.optimizer.step()
    actions, values, logprobs = policy.forward(observation)
    assert not torch.allclose(values, before, atol=1e-3)
    _, wanted, _ = policy.evaluate_actions(observation, actions)
    assert torch.allclose(logprobs, wanted, atol=1e-4)


def test_any_number_of_rows_may_follow_another(make_policy):
    policy = make_policy()
    for rows in (ROWS[:1], ROWS + ROWS, ROWS[1:], ROWS[::-1]):
        observation = observation_of(rows)
        _, values, _ = policy.forward(observation)
        assert torch.allclose(values, policy.predict_values(observation), atol=1e-4)


def test_predict_takes_one_observation_or_many(make_policy):
    policy = make_policy()
    observation = {key: value.numpy() for key, value in observation_of(ROWS).items()}
    many, state = policy.predict(observation, deterministic=True)
    assert state is None
    assert many.shape == (3,)
    for i in range(3):
        one, _ = policy.predict({k: v[i] for k, v in observation.items()}, deterministic=True)
        assert one == many[i]


def test_sampling_follows_the_temperature(make_policy):
    observation = observation_of(ROWS[:1])
    warm, cold = make_policy(temperature=1.0), make_policy(temperature=0.25)
    wanted = torch.softmax(4 * warm.get_distribution(observation).distribution.logits, -1)
    found = cold.get_distribution(observation).distribution.probs
    assert torch.allclose(found, wanted, atol=1e-5)
    torch.manual_seed(0)
    many = observation_of(ROWS[:1] * 4000)
    counts = torch.bincount(cold.forward(many)[0], minlength=20) / 4000
    assert torch.allclose(counts, found[0], atol=0.03)


def test_a_policy_that_fits_no_model_says_so(save_model, make_env):
    core = make_env(max_prompt_tokens=300).core
    with pytest.raises(ModelError, match="window"):
        LMPolicy(
            core.single_observation_space, core.single_action_space, lambda _: 0.0,
            model=save_model(),
        )  # fmt: skip


@pytest.mark.parametrize("separate_critic", [False, True])
@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3"])
def test_choosing_and_evaluating_agree(make_chooser, family, separate_critic):
    policy, observation = make_chooser(family, temperature=0.3, separate_critic=separate_critic)
    actions, values, logprobs = policy.forward(observation)
    policy.set_training_mode(True)
    evaluated = policy.evaluate_actions(observation, actions)
    assert torch.allclose(evaluated[0], values, atol=1e-4)
    assert torch.allclose(evaluated[1], logprobs, atol=1e-4)
    assert torch.allclose(policy.predict_values(observation), values, atol=1e-4)
    distribution = policy.get_distribution(observation)
    assert torch.allclose(distribution.entropy(), evaluated[2])
    greedy = policy.forward(observation, deterministic=True)[0]
    assert torch.equal(greedy, distribution.distribution.probs.argmax(1))
    (evaluated[1].sum() + evaluated[2].sum() + evaluated[0].sum()).backward()
    learning = {id(p) for p in policy.parameters() if p.grad is not None and p.grad.any()}
    assert {id(policy.value_head.weight), id(policy.networks.head.weight)} <= learning


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3"])
def test_a_candidates_logit_is_what_the_token_level_gives_for_writing_it(
    make_chooser, save_model, make_choice_env, family
):
    policy, observation = make_chooser(family)
    core = make_choice_env(1, max_turns=2, action_level="token").core
    writer = LMPolicy(
        core.single_observation_space, core.single_action_space, lambda _: 0.0,
        model=save_model(family, spread=0.3, extra_rows=5),
    )  # fmt: skip
    lengths = observation["candidate_mask"].view(12, 4, -1).sum(2)
    prefixes, written = [], []
    for i, j in lengths.nonzero().tolist():
        text = observation["input_ids"][i][observation["attention_mask"][i] == 1].tolist()
        reply = observation["candidate_ids"][i].view(4, -1)[j, : lengths[i, j]].tolist()
        assert reply[-1] == core.tokenizer.end_id
        prefixes += [text + reply[:t] for t in range(len(reply))]
        written += reply
    with torch.no_grad():
        each = writer.evaluate_actions(
            observation_of(prefixes, policy.window), torch.tensor(written)
        )[1]
        sums = torch.full(lengths.shape, -torch.inf)
        offered = lengths > 0
        sums[offered] = torch.stack([part.sum() for part in each.split(lengths[offered].tolist())])
        for normalized in (False, True):
            policy.options = policy.options.replace(length_normalized=normalized)
            logits = sums / lengths.clamp(min=1) if normalized else sums
            found = policy.get_distribution(observation).distribution
            # For sums: the distribution is proportional to p(candidate).
            assert torch.allclose(found.probs, torch.softmax(logits, dim=1), atol=1e-4)
            assert torch.allclose(
                found.logits[offered], torch.log_softmax(logits, dim=1)[offered], atol=1e-4
            )


def test_a_place_without_a_candidate_is_never_chosen(make_chooser):
    policy, observation = make_chooser(temperature=20.0)
    closed = observation["candidate_mask"].view(12, 4, -1).sum(2) == 0
    assert closed.any()
    distribution = policy.get_distribution(observation)
    assert not distribution.distribution.probs[closed].any()
    assert distribution.entropy().isfinite().all()
    torch.manual_seed(0)
    drawn = torch.stack([policy.forward(observation)[0] for _ in range(20)])
    assert not closed.gather(1, drawn.T).any()
    assert (drawn[0] != drawn).any()


def test_predict_chooses_for_one_observation_or_many(make_chooser):
    policy, observation = make_chooser()
    arrays = {key: value.numpy() for key, value in observation.items()}
    many, _ = policy.predict(arrays, deterministic=True)
    assert many.shape == (12,)
    for i in range(12):
        one, _ = policy.predict({k: v[i] for k, v in arrays.items()}, deterministic=True)
        assert one == many[i]


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3"])
@pytest.mark.parametrize(("bf16", "tolerance"), [(False, 1e-4), (True, 0.1)])
def test_tokens_come_with_their_log_probabilities(make_policy, family, bf16, tolerance):
    policy = make_policy(family, temperature=0.7, bf16=bf16)
    texts = [[3, 5, 7, 9], [3, 8], [3, 5, 7, 9, 11, 6], [3, 5, 7, 9]]
    for _ in range(3):
        lengths = np.array([len(text) for text in texts])
        ids = np.zeros((4, lengths.max()), np.int32)
        for row, text in zip(ids, texts, strict=True):
            row[: len(text)] = text
        tokens, logprobs = policy.act(ids, lengths, np.arange(4))
        assert tokens.max() < policy.vocab_size
        with torch.no_grad():
            distribution = policy.get_distribution(observation_of(texts))
        expected = distribution.log_prob(torch.from_numpy(tokens))
        assert np.allclose(logprobs, expected.numpy(), atol=tolerance)
        texts = [[*text, int(token)] for text, token in zip(texts, tokens, strict=True)]


def test_writing_asks_no_separate_critic(make_policy):
    policy = make_policy(separate_critic=True)
    policy.act(np.array([[3, 5, 7]], np.int32), np.array([3]), np.arange(1))
    assert [decoder.fed_tokens for decoder in policy.cached.decoders] == [3, 0]


def test_a_policy_that_chooses_does_not_write(make_chooser):
    policy, observation = make_chooser()
    ids, lengths = observation["input_ids"].numpy(), np.full(12, 3)
    with pytest.raises(ConfigError, match="predict"):
        policy.act(ids, lengths, np.arange(12))


def test_an_environment_without_tokens_is_refused(make_choice_env):
    core = make_choice_env(1, action_level="text").core
    with pytest.raises(ConfigError, match="token or select"):
        LMPolicy(core.single_observation_space, core.single_action_space, lambda _: 0.0)


def _through_torch(policy: LMPolicy) -> LMPolicy:
    file = io.BytesIO()
    torch.save(policy, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def _to_a_process(policy: LMPolicy) -> LMPolicy:
    return ForkingPickler.loads(bytes(ForkingPickler.dumps(policy)))


@pytest.mark.parametrize(
    "copied",
    [
        lambda policy: pickle.loads(pickle.dumps(policy)), copy.deepcopy, _through_torch,
        _to_a_process,
    ],
    ids=["pickle", "deepcopy", "torch", "process"],
)  # fmt: skip
@pytest.mark.parametrize(
    "options", [{}, {"separate_critic": True, "bf16": True}, {"lora": {"r": 2}}], ids=str
)
def test_a_policy_that_acted_can_be_copied(make_policy, copied, options):
    policy, observation = make_policy(**options), observation_of(ROWS)
    policy.forward(observation)
    twin = copied(policy)
    assert twin.cached.decoders == ()
    policy.forget()
    for found, wanted in zip(
        twin.forward(observation, deterministic=True),
        policy.forward(observation, deterministic=True), strict=True,
    ):  # fmt: skip
        assert torch.equal(found, wanted)
    own = {id(p) for p in twin.parameters()}
    assert {id(p) for group in twin.optimizer.param_groups for p in group["params"]} <= own


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_compiled_policy_stays_compiled_when_it_is_copied(make_policy):
    assert is_compiled(copy.deepcopy(make_policy(compile_layers=True)).lm)


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize(
    "write",
    [
        lambda lm: [p.data.mul_(1.1) for p in lm.parameters()],
        lambda lm: torch._foreach_mul_([p.data for p in lm.parameters()], 1.1),
        lambda lm: vector_to_parameters(
            1.1 * parameters_to_vector(lm.parameters()), lm.parameters()
        ),
        lambda lm: lm.model.layers[0].self_attn.v_proj.weight.data[3, 4].add_(30),
        lambda lm: lm.model.rotary_emb.inv_freq.mul_(3),
    ],
    ids=["data", "foreach", "vector", "one number", "buffer"],
)  # fmt: skip
def test_weights_written_past_autograd_are_seen(make_policy, write, bf16):
    policy, observation = make_policy(bf16=bf16), observation_of(ROWS)
    before = policy.forward(observation)[1]
    with torch.no_grad():
        write(policy.lm)
        values, wanted = policy.forward(observation)[1], policy.predict_values(observation)
    assert not torch.allclose(before, wanted, atol=1e-3)
    assert torch.allclose(values, wanted, atol=0.1 if bf16 else 1e-4)


def test_writes_within_a_rollout_and_before_the_next_are_seen(make_policy):
    policy, slots = make_policy(), np.arange(2)
    ids = np.array([[3, 5, 6, 2, 4, 7]] * 2, np.int32)
    policy.act(ids, np.array([4, 4]), slots)
    (decoder,) = policy.cached.decoders
    for write, length, is_seen in (
        (lambda: [p.data.mul_(1.01) for p in policy.lm.parameters()], 5, True),
        (lambda: None, 6, False),
        (lambda: policy.lm.model.embed_tokens.weight.data[6, 1].add_(1), 4, True),
    ):
        write()
        fed = decoder.fed_tokens
        policy.act(ids, np.full(2, length), slots)
        assert (decoder.fed_tokens - fed > 2) == is_seen


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda o: {k: v.flip(1) for k, v in o.items()}, "begins in the first column"),
        (lambda o: {**o, "attention_mask": 0 * o["attention_mask"]}, "begins in the first column"),
        (lambda o: {**o, "attention_mask": 2 * o["attention_mask"]}, "not ones"),
        (lambda o: {**o, "input_ids": o["input_ids"] - 1}, "An input_id is -1"),
        (lambda o: {**o, "input_ids": o["input_ids"] + 50}, "ids end at 19"),
        (lambda o: {k: v[:0] for k, v in o.items()}, "no observations"),
        (lambda o: o["input_ids"], "a dict of arrays"),
    ],
    ids=["left-padded", "empty", "mask", "negative", "too high", "no rows", "no dict"],
)  # fmt: skip
def test_an_observation_that_is_no_text_is_refused(make_policy, change, reason):
    policy = make_policy()
    for method in (policy.forward, policy.get_distribution):
        with pytest.raises(ConfigError, match=reason):
            method(change(observation_of(ROWS)))
