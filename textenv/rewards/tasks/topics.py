"""Topics and their vocabularies, from topics.yaml."""

from __future__ import annotations

from pathlib import Path

from textenv.strict_yaml import load_yaml_file

TOPICS = load_yaml_file(Path(__file__).with_suffix(".yaml"), dict[str, frozenset[str]])
