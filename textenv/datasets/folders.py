"""Which files of a local folder belong to which split, by stated rules of their names."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from textenv.datasets.base import Split
from textenv.datasets.cards import card_files
from textenv.datasets.formats.files import READERS, is_readable, suffix_of
from textenv.errors import DatasetError, did_you_mean

# The words of a name that tell a split.
SPLIT_WORDS: Mapping[str, Split] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}

# Files that stand beside the rows: their names without what they end in.
_BESIDE = re.compile(
    r"(readme|licen[cs]e|notice|citation|changelog|dataset_infos?|dataset_dict|state|metadata|"
    r"croissant|config|package|schema|ontology)([-_.].*)?",
    re.IGNORECASE,
)
# Files that may hold rows and are not read.
_OTHERS = (".txt", ".xlsx", ".xls", ".ods", ".zip", ".tar", ".arrow", ".yaml", ".yml", ".pkl")
# Words that differ in their ending alone.
_ONE_WORD = {
    "training": "train",
    "testing": "test",
    "evaluation": "eval",
    "val": "valid",
    "validation": "valid",
}
_WORDS = re.compile(r"[^\W\d_]+")
_PART = re.compile(r"\b(of|part|shard|chunk|split|[a-z])\b")  # what numbers the files of one set
# What numbers the files of one set that say how many there are: "-00000-of-00003".
_SHARD = re.compile(r"(.*?)(\d+)[-_]of[-_](\d+)(.*)", re.IGNORECASE)
_SURE = 3  # digits of a number that is surely one of a file
_MOST = 100_000  # files of one set
_LISTED = 12


@dataclass(frozen=True)
class FolderFiles:
    """The files of each split, and what is left aside."""

    splits: Mapping[str, tuple[Path, ...]]  # In their order; all are "train" if none is named
    ignored: tuple[str, ...]  # Files that stand beside the data and may hold some
    chosen: bool = False  # Whether the user named the files


def split_words(name: str) -> dict[str, Split]:
    """Returns the words of a name that tell a split: "dev-00001" has one, "part_a" none."""
    words = (word.removesuffix("set") or word for word in _WORDS.findall(name.lower()))
    return {word: SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS}


def find_files(
    folder: Path, name: str | None, splits: Mapping[str, str | Sequence[str]]
) -> FolderFiles:
    """Finds the files of a folder's splits.

    The first that applies: the files that `splits` names; those that the card, README.md, names;
    those whose own name, or whose nearest folder's, has a word of `SPLIT_WORDS`; or all files, as
    "train", where no name has one.

    Raises:
        DatasetError: A file belongs to no split or to several, or there is no file.
    """
    chosen = not all(isinstance(v, str) and v.lower() in SPLIT_WORDS for v in splits.values())
    card = None if chosen and name is None else card_files(folder, name)
    root = folder if card is not None or name is None else folder / name
    if card is not None and not chosen:
        root = card.folder
    if not root.is_dir():
        names = [entry.name for entry in folder.iterdir() if entry.is_dir()]
        raise DatasetError(f"{folder} has no folder '{name}'.{did_you_mean(str(name), names)}")
    files, others = _data_files(root)
    if not files:
        raise DatasetError(
            f"{root} holds no files that can be read. Use files that end in "
            f"{', '.join(READERS)}. Others: {', '.join(others[:_LISTED]) or 'none'}."
        )
    patterns = None if card is None else card.splits
    if chosen:
        patterns = {ours: [v] if isinstance(v, str) else list(v) for ours, v in splits.items()}
    if patterns is None:
        return FolderFiles(_by_words(folder, root, files, others), others)
    found = _matched(root, files, patterns)
    taken = {path for paths in found.values() for path in paths}
    rest = [path.relative_to(root).as_posix() for path in files if path not in taken]
    return FolderFiles(found, (*others, *rest), chosen)


def missing_shards(paths: Sequence[Path]) -> list[str]:
    """Returns the names of files that are not there, though the others' names count them."""
    sets: dict[tuple[Path, str, str], dict[int, tuple[str, str]]] = {}
    for path in paths:
        if found := _SHARD.fullmatch(path.name):
            start, number, total, end = found.groups()
            sets.setdefault((path.parent, start, total), {})[int(number)] = (number, end)
    missing = []
    for (_, start, total), known in sets.items():
        number, end = next(iter(known.values()))
        is_lone = len(known) == 1 and len(number) < _SURE  # "3-of-5" may mean anything
        if len(number) != len(total) or is_lone or int(total) > _MOST:
            continue
        first = 1 if int(total) in known and 0 not in known else 0
        end = end if len({end for _, end in known.values()}) == 1 else ""
        missing += [
            f"{start}{n:0{len(number)}}-of-{total}{end}"
            for n in range(first, first + int(total))
            if n not in known
        ]
    return missing


def _by_words(
    folder: Path, root: Path, files: Sequence[Path], others: Sequence[str]
) -> dict[str, tuple[Path, ...]]:
    """Returns the files of each split by the words of their names."""
    named: dict[str, list[Path]] = {}
    words: dict[str, set[str]] = {}
    variants: dict[tuple[str, Path], dict[str, str]] = {}
    problems = []
    for path in files:
        own = _words_of(path.relative_to(root))
        split = next(iter(own.values()), "")
        if len(set(own.values())) > 1:
            problems.append(f"{path.name} names several")
            split = ""
        named.setdefault(split, []).append(path)
        rest = " ".join(w for w in _WORDS.findall(_stem(path)) if w.removesuffix("set") not in own)
        rest = " ".join(_PART.sub("", rest).split())
        if split_words(_stem(path)):
            variants.setdefault((split, path.parent), {}).setdefault(rest, path.name)
        words.setdefault(split, set()).update(_ONE_WORD.get(word, word) for word in own)
    if list(named) == [""] and not problems:
        named = {"train": named[""]}
    problems += [f"{path.relative_to(root)} names none" for path in named.get("", ())]
    for split, paths in named.items():
        if len(words.get(split, ())) > 1:
            problems.append(f"'{split}' goes by several names, {', '.join(sorted(words[split]))}")
        if len({suffix_of(path) for path in paths}) > 1:
            problems.append(f"'{split}' may be there twice, in files of several formats")
    for (split, _), variant in variants.items():
        if split and len(variant) > 1:
            problems.append(f"'{split}' may be {' or '.join(list(variant.values())[:3])}")
    for other in others:
        split = next(iter(split_words(_stem(Path(other))).values()), "")
        if split and split not in named:
            problems.append(f"{other} cannot be read")
    if not problems:
        return {split: tuple(paths) for split, paths in named.items()}
    listed = [
        f"{path.relative_to(root).as_posix()} ({split or 'no split'})"
        for split, paths in named.items()
        for path in paths
    ]
    more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    chosen: dict[str, str | list[str]] = {}
    for split, paths in named.items():
        names = [path.relative_to(root).as_posix() for path in paths]
        chosen.setdefault(split or "train", names if not split and 1 < len(names) < 5 else names[0])
    raise DatasetError(
        f"It is not plain which files of {folder} are which split: {problems[0]}. Found "
        f"{', '.join(listed[:_LISTED])}{more}. Say it, by names of files or patterns such as "
        f'"part_*": {{"path": ..., "splits": {json.dumps(chosen)}}}.'
    )


def _words_of(path: Path) -> dict[str, Split]:
    """Returns the split words of a file's own name, else of the nearest folder with some."""
    for part in (_stem(path), *reversed(path.parts[:-1])):
        if found := split_words(part):
            return found
    return {}


def _stem(path: Path) -> str:
    """Returns a file's name without the suffixes of its format: "data.train" of a .jsonl.gz."""
    name = path.name.lower().removesuffix(".gz")
    return name.removesuffix(suffix_of(path))


def _data_files(root: Path) -> tuple[list[Path], tuple[str, ...]]:
    """Returns the files that can be read, and the names of others that may hold rows."""
    files, others = [], []
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root)
        if not path.is_file() or any(part.startswith((".", "__")) for part in inside.parts):
            continue
        if _BESIDE.fullmatch(_stem(path)):
            continue
        if is_readable(path):
            files.append(path)
        elif suffix_of(path) in _OTHERS:
            others.append(inside.as_posix())
    return files, tuple(others)


def _matched(
    root: Path, files: Sequence[Path], patterns: Mapping[str, Sequence[str]]
) -> dict[str, tuple[Path, ...]]:
    """Returns the files whose paths in the folder are those that are named, or match a pattern."""
    found: dict[str, tuple[Path, ...]] = {}
    owner: dict[Path, str] = {}
    names = {path: path.relative_to(root).as_posix() for path in files}
    for split, globs in patterns.items():
        matched: dict[Path, None] = {}
        for glob in globs:
            wanted = glob.removeprefix("./")
            those = [path for path, name in names.items() if name == wanted] or [
                path for path, name in names.items() if _matches(name.split("/"), wanted.split("/"))
            ]
            if not those:
                listed = ", ".join(list(names.values())[:_LISTED])
                deeper = any(fnmatch.fnmatchcase(path.name, wanted) for path in names)
                hint = f" '**/{wanted}' names those in its folders, too." if deeper else ""
                raise DatasetError(
                    f"No file of {root} is named '{glob}', which is to be '{split}'. It holds "
                    f"{listed}.{hint or did_you_mean(glob, names.values())}"
                )
            matched |= dict.fromkeys(those)
        for path in matched:
            if path in owner:
                raise DatasetError(
                    f"{names[path]} of {root} cannot be '{owner[path]}' and '{split}' at once."
                )
            owner[path] = split
        found[split] = tuple(matched)
    return found


def _matches(name: Sequence[str], glob: Sequence[str]) -> bool:
    """Matches a path, part by part: "**" stands for any number of folders, "*" for none."""
    if not glob:
        return not name
    if glob[0] == "**":
        return any(_matches(name[n:], glob[1:]) for n in range(len(name) + 1))
    return bool(name) and fnmatch.fnmatchcase(name[0], glob[0]) and _matches(name[1:], glob[1:])
