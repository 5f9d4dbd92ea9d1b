import os

import pytest

from textenv.errors import ConfigError
from textenv.named_paths import named_path


def test_a_name_longer_than_the_system_allows_is_refused():
    for name in ("f" * 5000, "a/" * 4000, "f" * 300):
        with pytest.raises(ConfigError, match=f"it has {len(name):,} characters"):
            named_path(name)


@pytest.mark.parametrize(
    "name", ["rows.csv", "a/b", "~nosuchuser/x", "a\0b", "~\0b", "", "owner/name"]
)
def test_other_names_are_paths_whether_or_not_they_exist(name):
    assert str(named_path(name)) == (name or ".")


def test_the_home_is_written_out():
    assert named_path("~/runs") == named_path(os.path.expanduser("~/runs"))
