"""What stops a release before anything is built."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest

from tools import release
from tools.release import ReleaseError, commit_of, version_of, write_sums

FILES = {
    "pyproject.toml": '[project]\nname = "textenv"\nversion = "1.2.0"\nrequires-python = ">=3.11"\n'
    '[tool.hatch.build.targets.sdist]\nonly-include = ["textenv"]\n',
    "textenv/__init__.py": '"""A package."""\n\n__version__ = "1.2.0"\n',
    "CITATION.cff": "cff-version: 1.2.0\nversion: 1.2.0\n",
    "CHANGELOG.md": "# Changelog\n\n## 1.2.0 (2026-01-31)\n\n- New.\n\n## 1.1.0 (2025-12-01)\n",
}


@pytest.fixture
def project(tmp_path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    git(tmp_path, "init", "--quiet")
    commit(tmp_path)
    return tmp_path


def git(root: Path, *words: str) -> None:
    who = ("-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True)


def commit(root: Path) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--allow-empty", "--message", "Change")


def test_this_project_names_one_version():
    assert version_of(release.ROOT)


def test_a_clean_commit_is_released_under_a_version_that_is_not_tagged(project):
    assert version_of(project) == "1.2.0"
    first = commit_of(project, "1.2.0")
    assert len(first) == 40
    git(project, "tag", "--annotate", "--message", "1.2.0", "v1.2.0")
    # A second maintainer builds it from its tag.
    assert commit_of(project, "1.2.0") == first
    commit(project)
    with pytest.raises(ReleaseError, match=r"tag v1\.2\.0 is on commit " + first[:12]):
        commit_of(project, "1.2.0")
    assert commit_of(project, "1.2.1") != first


@pytest.mark.parametrize("name", ["pyproject.toml", "new.txt"])
def test_a_tree_with_changes_is_not_released(project, name):
    with (project / name).open("a", encoding="utf-8") as file:
        file.write("\n")
    with pytest.raises(ReleaseError, match=rf"has changes: {name}\."):
        commit_of(project, "1.2.0")


@pytest.mark.parametrize("name", sorted(set(FILES) - {"pyproject.toml"}))
def test_a_file_of_another_version_is_named(project, name):
    text = FILES[name].replace("version: 1.2.0", "version: 1.3.0", 2).replace('"1.2.0"', '"1.3.0"')
    (project / name).write_text(text.replace("## 1.2.0", "## 1.3.0"), encoding="utf-8")
    with pytest.raises(ReleaseError, match=rf"version 1\.2\.0, and {name} has 1\.3\.0"):
        version_of(project)


def test_a_changelog_without_a_date_is_told(project):
    text = FILES["CHANGELOG.md"].replace(" (2026-01-31)", "")
    (project / "CHANGELOG.md").write_text(text, encoding="utf-8")
    with pytest.raises(ReleaseError, match=r"no date for 1\.2\.0"):
        version_of(project)


def test_sums_are_what_sha256sum_checks(tmp_path):
    paths = [tmp_path / "a.tar.gz", tmp_path / "b.whl"]
    for path in paths:
        path.write_bytes(path.name.encode())
    write_sums(paths)
    done = subprocess.run(
        ["sha256sum", "--check", "SHA256SUMS"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout == "a.tar.gz: OK\nb.whl: OK\n"
    paths[0].write_bytes(b"other")
    done = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=tmp_path, capture_output=True)
    assert done.returncode == 1


@pytest.fixture
def package(tmp_path) -> Path:
    """A project of one file, whose source archive holds that file alone."""
    pytest.importorskip("hatchling")
    (tmp_path / "textenv").mkdir()
    (tmp_path / "textenv" / "__init__.py").write_text("", encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "textenv"\nversion = "1.2.0"\nrequires-python = ">=3.11"\n'
        '[tool.hatch.build.targets.sdist]\nonly-include = ["textenv/__init__.py"]\n',
        encoding="utf-8",
    )
    return tmp_path


def test_both_archives_are_built_with_the_given_time(package):
    archives = release.build(package, package / "dist", "1700000000")
    assert [path.name for path in archives] == [
        "textenv-1.2.0.tar.gz",
        "textenv-1.2.0-py3-none-any.whl",
    ]
    with tarfile.open(archives[0]) as archive:
        assert {member.mtime for member in archive} == {1700000000}


def test_a_wheel_that_the_source_archive_does_not_give_stops_the_build(package):
    (package / "textenv" / "left_out.py").write_text("", encoding="utf-8")
    with pytest.raises(ReleaseError, match=r"second build of textenv-1\.2\.0-py3-none-any\.whl"):
        release.build(package, package / "dist", "1700000000")


def test_a_path_of_this_machine_stops_the_build(package):
    text = f"# {package}/model\n"
    (package / "textenv" / "__init__.py").write_text(text, encoding="utf-8")
    with pytest.raises(ReleaseError, match=r"textenv/__init__\.py names the folder"):
        release.build(package, package / "dist", "1700000000")
