from textenv.cli.console import parse_specs
from textenv.rewards.naming import describe_reward, name_rewards


def test_rewards_are_named_together_or_one_by_one():
    assert parse_specs(["a,b", " c "]) == ["a", "b", "c"]
    assert parse_specs(["{a: 1, b: 2}", "c"]) == [{"a": 1, "b": 2}, "c"]


def test_rewards_are_called_by_short_names(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "from textenv.rewards import RewardResult\n"
        "def chrf(episodes):\n"
        "    return RewardResult(np.zeros(len(episodes)))\n"
        "ones = chrf\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    specs = ["chrf", "mine:chrf", "mine:ones", {"chrf": 2}]
    assert list(name_rewards(specs)) == ["chrf", "mine:chrf", "ones", "2 chrf"]


def test_options_alone_keep_two_rewards_apart():
    recall, precision = ({"rouge1": {"measure": measure}} for measure in ("recall", "precision"))
    assert list(name_rewards([recall, precision])) == ["rouge1", describe_reward(precision)]
    assert describe_reward(precision) == '{"rouge1": {"measure": "precision"}}'
