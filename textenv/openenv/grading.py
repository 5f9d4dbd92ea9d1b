"""Runs the reward audit's graders on an environment's package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textenv.errors import ConfigError
from textenv.openenv.server import require_openenv

if TYPE_CHECKING:
    from openenv.validation.report import CheckResult


def grade(folder: str | Path) -> list[CheckResult]:
    """Audits the reward of an environment's package, as four checks of OpenEnv's policy.

    Args:
        folder: A package, as `textenv openenv ID --out FOLDER` writes it.

    Returns:
        OpenEnv's records: `check_id`, `status`, `measured`, `evidence` and `remediation` of each.

    Raises:
        ConfigError: openenv is not installed, or it is not a package of one of our environments.
    """
    require_openenv("grade")
    from openenv.validation.graders import Subject
    from openenv.validation.manifest import ManifestError
    from openenv.validation.parsers.openenv_yaml import OpenEnvYamlParser

    from textenv.openenv.graders import GRADERS

    folder = Path(folder)
    try:
        manifest = OpenEnvYamlParser().parse(folder)
    except (OSError, UnicodeDecodeError, ManifestError) as error:
        raise ConfigError(f"'{folder}' is no package of OpenEnv: {error}") from error
    subject = Subject(folder, manifest, None, None, folder / "outputs")
    return [grader().run(subject) for grader in GRADERS]
