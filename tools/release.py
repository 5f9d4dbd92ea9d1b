"""Builds a release into `dist/` and checks it: `make release`. A person publishes it.

Stops, before anything is built, where the working tree has changes, where files name different
versions, where the changelog has no dated section of the version, and where its tag stands on
another commit. The archives are built twice, with the commit's time, and must be equal: the second
wheel comes from the source archive. Their descriptions are checked by twine.

Needs hatchling and twine, and nothing of this project.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
# Where a version stands beside pyproject.toml.
_VERSIONS = {
    "textenv/__init__.py": re.compile(r'^__version__ = "(.+)"$', re.M),
    "CITATION.cff": re.compile(r"^version: (.+)$", re.M),
    "CHANGELOG.md": re.compile(r"^## (\S+)", re.M),
}
_BUILD = """
import sys
from hatchling.build import build_sdist, build_wheel
print({"sdist": build_sdist, "wheel": build_wheel}[sys.argv[1]](sys.argv[2]))
"""
_NEXT = """
Release {version} of commit {commit} is ready in {dist}. What is left to you:

1. git tag --sign v{version} && git push origin v{version}
2. gpg --armor --detach-sign {dist}/SHA256SUMS
3. A second maintainer runs make release on the tag in a clean clone, and compares SHA256SUMS.
4. python -m twine upload {dist}/*.whl {dist}/*.tar.gz
5. Publish the section of CHANGELOG.md, SHA256SUMS and its signature with the tag."""
_NO_ADDRESS = """
pyproject.toml has no [project.urls]. A package index shows README.md, whose links to docs/ and
pictures lead nowhere there: add the repository's address, and write these links with it."""


class ReleaseError(Exception):
    """There is no release to build; the message says why, and what to do."""


def version_of(root: Path) -> str:
    """Returns the version that every file names.

    Raises:
        ReleaseError: They differ, or the changelog has no date for it.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = str(project["version"])
    for name, pattern in _VERSIONS.items():
        found = pattern.search((root / name).read_text(encoding="utf-8"))
        if found is None or found[1] != version:
            said = "none" if found is None else found[1]
            raise ReleaseError(
                f"pyproject.toml has version {version}, and {name} has {said}. Make them equal."
            )
    changes = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    if not re.search(rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)$", changes, re.M):
        raise ReleaseError(
            f"CHANGELOG.md has no date for {version}: head its section '## {version} (YYYY-MM-DD)'."
        )
    return version


def commit_of(root: Path, version: str) -> str:
    """Returns the commit that is released.

    Raises:
        ReleaseError: The working tree has changes, or the version's tag is on another commit.
    """
    if changed := _git(root, "status", "--porcelain"):
        names = ", ".join(line[3:] for line in changed.splitlines()[:5])
        raise ReleaseError(f"The working tree has changes: {names}. Commit or remove them.")
    commit = _git(root, "rev-parse", "HEAD")
    tagged = _git(root, "tag", "--list", f"v{version}") and _git(root, "rev-parse", f"v{version}^0")
    if tagged and tagged != commit:
        raise ReleaseError(
            f"The tag v{version} is on commit {tagged[:12]}: that version is out. Take a new one."
        )
    return commit


def build(root: Path, dist: Path, epoch: str) -> list[Path]:
    """Builds the source archive and the wheel, and checks that they can be built again.

    Args:
        root: Folder of the project.
        dist: Folder for the archives; made if it is missing.
        epoch: Time that the archives give their files, in seconds since 1970.

    Raises:
        ReleaseError: A second build gave other bytes, or an archive holds a path of this machine.
    """
    dist.mkdir(parents=True, exist_ok=True)
    built = [_build(kind, root, dist, epoch) for kind in ("sdist", "wheel")]
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(built[0]) as archive:
            archive.extractall(folder, filter="data")
        (source,) = Path(folder).iterdir()
        again = [_build(kind, source, Path(folder), epoch) for kind in ("sdist", "wheel")]
        for first, second in zip(built, again, strict=True):
            if first.read_bytes() != second.read_bytes():
                raise ReleaseError(f"A second build of {first.name} gave other bytes.")
        for path in sorted(source.rglob("*")):
            for ours in {str(root), str(Path.home())} - {"/"}:
                if path.is_file() and ours.encode() in path.read_bytes():
                    raise ReleaseError(f"{path.relative_to(source)} names the folder {ours}.")
    return built


def write_sums(paths: list[Path]) -> Path:
    """Writes SHA256SUMS beside the archives, as `sha256sum --check` reads it."""
    sums = paths[0].with_name("SHA256SUMS")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in paths]
    sums.write_text("".join(lines), encoding="utf-8")
    return sums


def main() -> int:
    """Builds and checks; returns the exit status."""
    try:
        version = version_of(ROOT)
        commit = commit_of(ROOT, version)
        for old in (*DIST.glob("*.whl"), *DIST.glob("*.tar.gz"), *DIST.glob("SHA256SUMS*")):
            old.unlink()
        archives = build(ROOT, DIST, _git(ROOT, "log", "-1", "--format=%ct"))
        _run([sys.executable, "-m", "twine", "check", "--strict", *map(str, archives)], ROOT)
    except ReleaseError as error:
        sys.stderr.write(f"No release: {error}\n")
        return 1
    sums = write_sums(archives)
    dist = DIST.relative_to(ROOT)
    sys.stdout.write(sums.read_text(encoding="utf-8"))
    sys.stdout.write(_NEXT.format(version=version, commit=commit[:12], dist=dist) + "\n")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    if "urls" not in project:
        sys.stdout.write(_NO_ADDRESS + "\n")
    return 0


def _build(kind: str, root: Path, dist: Path, epoch: str) -> Path:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": epoch}
    printed = _run([sys.executable, "-c", _BUILD, kind, str(dist)], root, environment)
    return dist / printed.splitlines()[-1]


def _git(root: Path, *words: str) -> str:
    return _run(["git", *words], root)


def _run(command: list[str], cwd: Path, environment: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    except FileNotFoundError:
        raise ReleaseError(f"{command[0]} is not installed.") from None
    if done.returncode:
        raise ReleaseError(f"{' '.join(command[:4])} failed: {(done.stdout + done.stderr).strip()}")
    return done.stdout.rstrip("\n")


if __name__ == "__main__":
    sys.exit(main())
