"""Keys come from the environment, are refused in configurations, and masked in all else."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from agents.training.config import SFTOptions, load_config
from textenv.chat import ChatAgent, ChatError
from textenv.cli.console import parse_spec
from textenv.cli.main import make_app
from textenv.errors import ConfigError, TextEnvError
from textenv.keys import read_key, refuse_secrets
from textenv.rewards import load_reward
from textenv.rewards.judge.judge import Judge
from textenv.secrets import MASK, mask_secrets, mask_text

PLANTED = "planted-Q7x2k9-value"


@pytest.mark.parametrize(
    "text",
    [
        f"http://user:{PLANTED}@host:80/v1",
        f"https://{PLANTED}@host/v1 is away",
        f"'http:/user:{PLANTED}@host/v1' holds no run",
        f"http://host/v1#token={PLANTED}",
        f"at 'https://user:{PLANTED}@host/v1'",
        f"http://host/v1?api_key={PLANTED}&a=1",
        f"http://host/v1?a=1&token={PLANTED}",
        f"http://host/v1?key={PLANTED}",
        f"api_key: {PLANTED}",
        f"api_key={PLANTED}, then",
        f"{{'api_key': '{PLANTED}', 'model': 'm'}}",
        f'{{"api_key": "{PLANTED}"}}',
        f'"{{\\"api_key\\": \\"{PLANTED}\\"}}"',
        f"'{{judge: {{api_key: {PLANTED}, model: m}}'",
        f"my_api_key='{PLANTED}'",
        f"X-API-Key: {PLANTED}",
        f"password = {PLANTED}",
        f"Authorization: Bearer {PLANTED}",
        f"authorization: Basic {PLANTED}",
        f"Incorrect API key: sk-proj-{PLANTED}",
    ],
)  # fmt: skip
def test_a_secret_that_stands_in_a_text_is_masked(text):
    masked = mask_text(text)
    assert PLANTED not in masked
    assert MASK in masked
    assert mask_text(masked) == masked
    assert PLANTED not in str(TextEnvError(f"{'long ' * 1000}{text}"))


@pytest.mark.parametrize(
    "text",
    [
        "http://localhost:8000/v1 cannot be reached",
        "max_tokens=64, n_tokens: 5, action_level: token",
        "set OPENAI_API_KEY, or api_key_env=MY_API_KEY",
        "'api_key': None",
        "write to a@b.example about https://host/path",
        "huggingface_hub and hf_hub_download failed",
        "a risk-based-approach-to-everything and ask-for-more-and-more",
        "",
    ],
)
def test_ordinary_text_is_left_as_it_is(text):
    assert mask_text(text) == text


def test_what_the_environment_holds_as_a_key_is_masked_wherever_it_stands(monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", PLANTED)
    monkeypatch.setenv("DB_PASSWORD", f"{PLANTED}-longer")
    monkeypatch.setenv("SHORT_TOKEN", "word")
    assert mask_text(f"x{PLANTED}-longer, {PLANTED}y, a word") == f"x{MASK}, {MASK}y, a word"


def test_plain_values_are_masked_by_their_names():
    values = {
        "reward": {"judge": {"api_key": "k", "model": "m", "base_url": f"http://u:{PLANTED}@h"}},
        "env": [{"token": PLANTED}, {"password": 12345}],
        "api_key": None,
        "password": 0.5,
        "eos_token": "<|end_of_sentence|>",
        "n": 3,
    }
    assert mask_secrets(values) == {
        "reward": {"judge": {"api_key": MASK, "model": "m", "base_url": f"http://{MASK}@h"}},
        "env": [{"token": MASK}, {"password": MASK}],
        "api_key": None,
        "password": 0.5,  # the weight of a reward of that name
        "eos_token": "<|end_of_sentence|>",
        "n": 3,
    }


@pytest.mark.parametrize(
    "value",
    [
        {"judge": {"model": "m", "api_key": PLANTED}},
        {"judge": {"model": "m", "base_url": f"http://u:{PLANTED}@h/v1"}},
        {"judge": {"model": "m", "base_url": f"http://h/v1?key={PLANTED}"}},
        {"judge": {"model": "m", "request": {"headers": {"Authorization": PLANTED}}}},
        {"all_of": {"of": [{"judge": {"model": "m", "api_key": PLANTED}}, "bleu"]}},
        {"mine.py:Judge": {"access_token": PLANTED}},
        {"judge": {"model": "m", "api_key_env": PLANTED}},
        {"mine.py:Judge": {"MY-API-KEY": PLANTED}},
    ],
)
def test_a_secret_is_refused_in_every_configuration(value):
    for refuse in (
        lambda: refuse_secrets(value),
        lambda: load_reward(value),
        lambda: parse_spec(str(value)),
        lambda: load_config(id="TextQA-v0", reward=value),
        lambda: load_config(None, [f"reward={value}"], id="TextQA-v0"),
        lambda: load_config(id="TextQA-v0", env={"reward": value}),
        lambda: SFTOptions(seed=value),
    ):
        with pytest.raises(ConfigError, match="environment variable") as caught:
            refuse()
        assert PLANTED not in str(caught.value)


def test_the_weights_of_rewards_are_no_secrets():
    refuse_secrets({"password": 1, "mine.py:token": 0.5, "judge": {"api_key_env": "MY_API_KEY"}})
    refuse_secrets({"token": "<|end_of_sentence|>", "tokenizer": "a/b", "rubric": "password: no"})


def test_a_key_is_read_by_the_name_of_its_variable(monkeypatch, server):
    monkeypatch.setenv("MY_API_KEY", f" {PLANTED}\n")
    assert read_key("MY_API_KEY") == PLANTED
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert read_key() is None
    assert PLANTED not in repr(Judge("m", base_url=server.url, api_key_env="MY_API_KEY"))


@pytest.mark.parametrize("name", ["HOME", "AWS_SECRET_ACCESS_KEY", "sk-1", "", None, "A API_KEY"])
def test_no_other_variable_is_sent_anywhere(name):
    with pytest.raises(ConfigError, match="API_KEY or API_TOKEN in its name"):
        read_key(name)


@pytest.mark.parametrize("key", ["a\nb: c", "schlüssel", "a\x00b"[:1] + "\x7f"])
def test_a_key_that_is_none_is_refused_and_not_told(monkeypatch, key):
    monkeypatch.setenv("MY_API_KEY", key)
    with pytest.raises(ConfigError, match="MY_API_KEY holds no key") as caught:
        ChatAgent("m", base_url="http://localhost/v1", api_key_env="MY_API_KEY")
    assert key not in str(caught.value)


def test_a_key_itself_is_refused_and_not_told():
    with pytest.raises(ConfigError, match="api_key_env") as caught:
        ChatAgent("m", base_url="http://localhost/v1", api_key=PLANTED)
    assert PLANTED not in str(caught.value)


@pytest.mark.parametrize("status", [200, 307, 401, 500])
def test_a_server_that_repeats_the_key_does_not_have_it_told(monkeypatch, server, status):
    monkeypatch.setenv("OPENAI_API_KEY", PLANTED)
    agent = ChatAgent("m", base_url=server.url, max_retries=0)
    server.headers = {"location": f"http://other/?{PLANTED}"}
    said = f"Wrong key {PLANTED}."
    server.answer = lambda body: (
        server.completion(said)
        if status == 200
        else (status, f'{{"error": {{"message": "{said}"}}}}')
    )
    if status == 200:
        assert agent.reply([]) == f"Wrong key {MASK}."
        return
    with pytest.raises(ChatError) as caught:
        agent.reply([])
    assert PLANTED not in str(caught.value)
    assert f"status {status}" in str(caught.value)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text", ["://a" * 100_000, "a." * 200_000, "api_key: " * 50_000, "a://" * 50_000 + "@"]
)
def test_a_long_text_is_masked_without_hanging(text):
    assert mask_text(text)


_TRACEBACK = f"""
import logging, textenv.secrets
textenv.secrets.mask_tracebacks()
raise RuntimeError("http://user:{PLANTED}@host")
"""


def test_a_traceback_tells_no_secret():
    done = subprocess.run(
        [sys.executable, "-c", _TRACEBACK], capture_output=True, text=True, check=False, timeout=50
    )
    assert done.returncode == 1
    assert f"RuntimeError: http://{MASK}@host" in done.stderr
    assert PLANTED not in done.stderr


def test_what_is_logged_tells_no_secret(capsys):
    from textenv.cli.console import print_error, printed_logs

    with printed_logs():
        logging.getLogger("textenv").warning("api_key=%s", PLANTED)
    print_error(f"http://u:{PLANTED}@h")
    said = capsys.readouterr().err
    assert said.count(MASK) == 2
    assert PLANTED not in said


@pytest.mark.parametrize(
    "address",
    [
        f"user:{PLANTED}@host/v1",
        f"//user:{PLANTED}@host/v1",
        f"http:\\\\user:{PLANTED}@host/v1",
        f"http://user:a\t{PLANTED}@host/v1",
        f"http://host/v1?api%5Fkey={PLANTED}",
        f"http://user:{PLANTED}%40host/v1",
    ],
)
def test_an_address_of_any_form_that_holds_one_is_refused(address):
    with pytest.raises(ConfigError, match=r"judge\.base_url holds a key or a password") as caught:
        refuse_secrets({"judge": {"base_url": address}})
    assert PLANTED not in str(caught.value)
    assert PLANTED not in str(mask_secrets({"base_url": address}))


@pytest.mark.parametrize("arguments", [["list"], [], ["rewards"]])
def test_arguments_that_do_not_fit_are_quoted_without_it(arguments):
    address = f"http://user:{PLANTED}@host/v1"
    done = CliRunner(env={"COLUMNS": "300"}).invoke(make_app(), [*arguments, address])
    assert done.exit_code == 2
    assert PLANTED not in done.output
    assert MASK in done.output
