from __future__ import annotations

import pytest
import yaml

from agents.training.config import TrainConfig, load_config, train_config, write_config
from textenv.errors import ConfigError, UnknownNameError


def test_overrides_win_over_given_values_over_the_file_over_defaults(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("id: FromFile-v0\nn_epochs: 7\nbatch_size: 5\nseed: 3\n", encoding="utf-8")
    config = load_config(file, ["n_epochs=9"], id="Given-v0", seed=4, model=None)
    assert (config.id, config.n_epochs, config.seed) == ("Given-v0", 9, 4)
    assert (config.batch_size, config.model, config.n_episodes) == (5, "embedded", 64)


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("learning_rate=1e-4", "learning_rate", 1e-4),
        ("learning_rate=2E-3", "learning_rate", 2e-3),
        ("total_episodes=1e3", "total_episodes", 1000),
        ("scale_rewards=true", "scale_rewards", True),
        ("target_kl=null", "target_kl", None),
        ("target_kl=0.1", "target_kl", 0.1),
        ("reward={rougeL: 1, bleu: 0.5}", "reward", {"rougeL": 1, "bleu": 0.5}),
        ("dataset=data/a=b.jsonl", "dataset", "data/a=b.jsonl"),
        ("env={max_turns: 2}", "env", {"max_turns": 2}),
        ("env.max_new_tokens=64", "env", {"max_new_tokens": 64}),
    ],
)
def test_an_override_is_read_as_yaml(override, key, value):
    config = load_config(overrides=[override], id="X-v0")
    assert getattr(config, key) == value
    assert type(getattr(config, key)) is type(value)


def test_nested_overrides_add_to_what_the_file_says(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("env: {max_turns: 2, max_new_tokens: 8}\n", encoding="utf-8")
    config = load_config(file, ["env.max_new_tokens=64"], id="X-v0")
    assert config.env == {"max_turns": 2, "max_new_tokens": 64}


def test_a_written_configuration_reads_back_equal(tmp_path):
    config = load_config(
        overrides=["reward={rougeL: 1}", "env.max_turns=2", "target_kl=0.1", "model=模型"],
        id="X-v0",
    )
    write_config(config, tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config
    written = yaml.safe_load((tmp_path / "config.yaml").read_text(encoding="utf-8"))
    assert list(written) == list(TrainConfig.model_fields)


def test_an_unknown_key_names_the_nearest():
    with pytest.raises(UnknownNameError, match=r"'learnin_rate'\. Did you mean 'learning_rate'\?"):
        load_config(overrides=["learnin_rate=1"], id="X-v0")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["n_epochs=0"], "n_epochs=0 is not valid: it should be greater than 0"),
        (["n_epochs=two"], "n_epochs='two' is not valid: it should be a valid integer"),
        (["learning_rate=-1"], "learning_rate=-1 is not valid: it should be greater than 0"),
        (["gamma=1.5"], "gamma=1.5 is not valid: it should be less than or equal to 1"),
        (["n_epochs"], "'n_epochs' is not of the form key=value"),
        (["=3"], "'=3' is not of the form key=value"),
        (["n_epochs=[1"], "The value of 'n_epochs=\\[1' is not valid YAML"),
        (["reward={ter: 1, ter: 2}"], "is not valid YAML"),
        (["seed.x=1", "seed=2", "seed.y=1"], "reaches into 'seed', which holds no keys"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_key(overrides, message):
    with pytest.raises(ConfigError, match=message):
        load_config(overrides=overrides, id="X-v0")


def test_a_key_that_stands_twice_in_a_file_is_refused(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("id: X-v0\nreward: rougeL\nreward: chrf\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="the key 'reward' stands twice"):
        load_config(file)


def test_several_wrong_values_are_all_named():
    with pytest.raises(
        ConfigError, match=r"batch_size=-1 is not valid: .*; n_epochs=0 is not valid: "
    ):
        load_config(overrides=["n_epochs=0", "batch_size=-1"], id="X-v0")


def test_a_missing_id_is_said_without_repeating_everything_else():
    with pytest.raises(ConfigError) as caught:
        train_config({"seed": 3})
    assert str(caught.value) == "id is missing."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- a\n- b\n", "must hold keys and values"),
        (b"", "must hold keys and values"),
        (b"a: [1\n", "is not valid YAML"),
        (b"\xff\xfe\xfd", "is not UTF-8 text"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_file_that_is_no_configuration_says_why(tmp_path, content, message):
    file = tmp_path / "c.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        load_config(file, id="X-v0")


def test_keys_of_lora_are_reached_checked_and_written(tmp_path):
    config = load_config(None, ["lora.r=4", "lora.target_modules=[q_proj]"], id="TextQA-v0")
    assert config.lora is not None
    assert (config.lora.r, config.lora.alpha, config.lora.target_modules) == (4, 32, ["q_proj"])
    write_config(config, tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config
    # What is off in a file can be turned on.
    write_config(load_config(None, [], id="TextQA-v0"), tmp_path / "config.yaml")
    again = load_config(tmp_path / "config.yaml", ["lora.r=8"])
    assert again.lora is not None
    assert again.lora.r == 8
    with pytest.raises(UnknownNameError, match=r"'lora\.rr'"):
        load_config(None, ["lora.rr=8"], id="TextQA-v0")
    with pytest.raises(ConfigError, match="dropout must be 0"):
        load_config(None, ["lora.dropout=0.1"], id="TextQA-v0")
