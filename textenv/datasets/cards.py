"""The card of a data set, README.md, as the hub writes it: which files are which split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textenv.errors import DatasetError, did_you_mean


@dataclass(frozen=True)
class CardFiles:
    """Where a configuration's files are."""

    folder: Path
    splits: Mapping[str, list[str]] | None  # Patterns in the folder; None for all of its files


def card_files(folder: Path, name: str | None) -> CardFiles | None:
    """Returns the files of a configuration, None if there is no card that has any.

    Raises:
        DatasetError: There is no such configuration, or one of several has to be chosen.
    """
    known = _configurations(folder / "README.md")
    if not known:
        return None
    if name is None:
        default = [key for key, each in known.items() if each.get("default") or key == "default"]
        if len(known) > 1 and not default:
            raise DatasetError(
                f"{folder} holds the configurations {', '.join(known)}. Choose one: "
                f'{{"path": ..., "name": "{next(iter(known))}"}}.'
            )
        name = default[0] if default else next(iter(known))
    if name not in known:
        raise DatasetError(
            f"{folder} has no configuration '{name}', only {', '.join(known)}."
            + did_you_mean(name, known)
        )
    inner, declared = known[name].get("data_dir"), known[name].get("data_files")
    splits = None if declared is None and inner else _patterns(declared)
    root = folder / str(inner or "")
    if splits == {} or not root.resolve().is_relative_to(folder.resolve()):
        raise DatasetError(
            f"The card {folder / 'README.md'} does not say which files are which split of "
            f'\'{name}\'. Say it: {{"path": ..., "splits": {{"train": ...}}}}.'
        )
    if not root.is_dir():
        raise DatasetError(f"{folder} has no folder '{inner}', which its card names.")
    return CardFiles(root, splits)


def _patterns(declared: Any) -> dict[str, list[str]]:
    """Returns the patterns of each split in any form that the hub takes; {} if it is none."""
    if isinstance(declared, str):
        declared = [declared]
    if isinstance(declared, dict):
        declared = [{"split": split, "path": path} for split, path in declared.items()]
    made: dict[str, list[str]] = {}
    for item in declared if isinstance(declared, list) else ():
        named = {"split": "train", "path": item} if isinstance(item, str) else item
        path = named.get("path") if isinstance(named, dict) else None
        paths = [path] if isinstance(path, str) else path
        if not isinstance(paths, list) or not all(isinstance(each, str) for each in paths):
            return {}
        if "split" not in named:
            return {}
        made.setdefault(str(named["split"]), []).extend(paths)
    return made


def _configurations(card: Path) -> dict[str, dict[str, Any]]:
    """Returns the configurations that a card declares, by name."""
    import yaml

    from textenv.strict_yaml import load_yaml

    if not card.is_file():
        return {}
    head, mark, rest = card.read_text(encoding="utf-8", errors="replace").partition("---")
    if head.strip() or not mark:
        return {}
    try:
        declared = load_yaml(rest.partition("\n---")[0], fast=True)
    except yaml.YAMLError:
        return {}
    configs = declared.get("configs") if isinstance(declared, dict) else None
    found = configs if isinstance(configs, list) else []
    return {
        str(each.get("config_name", "default")): each for each in found if isinstance(each, dict)
    }
