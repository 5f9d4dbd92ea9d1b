"""The card of a data set, README.md, as the hub writes it: which files are which split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from textenv.errors import DatasetError, did_you_mean


def card_files(folder: Path, name: str | None) -> dict[str, list[str]] | None:
    """Returns the patterns of each split's files in a configuration, None if no card has any.

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
    declared: Any = known[name].get("data_files")
    if isinstance(declared, str):
        declared = [{"split": "train", "path": declared}]
    try:
        return {
            str(item["split"]): [item["path"]] if isinstance(item["path"], str) else item["path"]
            for item in declared
        }
    except (TypeError, KeyError):
        raise DatasetError(
            f"The card {folder / 'README.md'} does not say which files are which split of "
            f'\'{name}\'. Say it: {{"path": ..., "splits": {{"train": ...}}}}.'
        ) from None


def _configurations(card: Path) -> dict[str, dict[str, Any]]:
    """Returns the configurations that a card declares, by name."""
    import yaml

    if not card.is_file():
        return {}
    head, mark, rest = card.read_text(encoding="utf-8", errors="replace").partition("---")
    if head.strip() or not mark:
        return {}
    try:
        declared = yaml.safe_load(rest.partition("\n---")[0])
    except yaml.YAMLError:
        return {}
    configs = declared.get("configs") if isinstance(declared, dict) else None
    found = configs if isinstance(configs, list) else []
    return {
        str(each.get("config_name", "default")): each for each in found if isinstance(each, dict)
    }
