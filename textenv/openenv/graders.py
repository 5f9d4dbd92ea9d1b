"""The reward audit as graders of OpenEnv's validation.

An environment's package, as `textenv openenv ID --out FOLDER` writes it, says which environment of
ours it is. Its reward is audited in this process, on ideal texts and on texts that should not be
paid, and each of four checks of OpenEnv's policy reads its answer from the same audit:

| check | passes where |
|---|---|
| `semantic.oracle_max` | ideal texts earn the top of the declared range, within its tolerance |
| `semantic.floor_gap` | empty texts earn less than the top by the declared margin |
| `statistical.adversarial_floor` | no text without any skill earns nearly as much as an ideal one |
| `statistical.gameability_gap` | texts that say something wrong are not paid as right ones are |

openenv 0.10 declares the entry point `openenv.validation.graders` and these ids, but its own
`openenv validate` does not ask for either yet. `textenv.openenv.grade` runs them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import yaml
from openenv.validation.graders import Subject
from openenv.validation.manifest import NormalizedManifest
from openenv.validation.report import CheckResult
from openenv.validation.types import CheckStatus, Level, ProviderCapability

from textenv.benchmark.audit import audit
from textenv.benchmark.results import Audit, PartName
from textenv.errors import ConfigError
from textenv.named_code import find_code
from textenv.openenv.arguments import text_level
from textenv.openenv.package import BLOCK, TAG
from textenv.rewards.naming import describe_reward
from textenv.strict_yaml import load_yaml
from textenv.vector import make_core

_N_EXAMPLES = 100
_STATUS = {
    "holds": CheckStatus.PASS,
    "fails": CheckStatus.FAIL,
    "unknown": CheckStatus.SKIP,
}


@dataclass(frozen=True)
class _Finding:
    """What a check found."""

    status: CheckStatus
    words: str
    measured: dict[str, Any]
    remedy: str = ""


class AuditGrader:
    """One check that reads its answer from the audit of a package's reward."""

    check_id: ClassVar[str]
    level: ClassVar[Level] = Level.SEMANTIC
    requires_capabilities: ClassVar[frozenset[str]] = frozenset()
    requires_provider: ClassVar[frozenset[ProviderCapability]] = frozenset()
    depends_on: ClassVar[tuple[str, ...]] = ("static.manifest",)

    def applies_to(self, manifest: NormalizedManifest) -> bool:
        """Tells whether the package is one of our environments."""
        return TAG in manifest.types.tags

    def run(self, subject: Subject) -> CheckResult:
        """Audits the reward, unless that was done, and reads this check's answer."""
        began_at = time.monotonic()
        found = self.read(audit_package(Path(subject.root)), subject.manifest)
        return CheckResult(
            check_id=self.check_id,
            status=found.status,
            measured=found.measured,
            evidence=[found.words],
            remediation=found.remedy if found.status is CheckStatus.FAIL and found.remedy else None,
            duration_s=time.monotonic() - began_at,
        )

    def read(self, result: Audit, manifest: NormalizedManifest) -> _Finding:
        """Returns what the audit says of this check."""
        raise NotImplementedError


class OracleGrader(AuditGrader):
    """Ideal texts earn the top of the declared range."""

    check_id = "semantic.oracle_max"

    def read(self, result: Audit, manifest: NormalizedManifest) -> _Finding:
        """Compares what ideal texts earn with the declared range."""
        top, tolerance = manifest.reward.range[1], manifest.reward.oracle_tolerance
        ideal = result.ceiling.mean
        return _Finding(
            CheckStatus.PASS if ideal >= top - tolerance - 1e-9 else CheckStatus.FAIL,
            f"Ideal texts of {result.n_examples} examples earn {ideal:.3f} of {top:g}.",
            {"oracle_reward": ideal, "declared_max": top, "declared_tolerance": tolerance},
            "Declare the range that the reward has, or a reward that ideal texts satisfy.",
        )


class FloorGrader(AuditGrader):
    """Empty texts earn less than the top of the declared range."""

    check_id = "semantic.floor_gap"

    def read(self, result: Audit, manifest: NormalizedManifest) -> _Finding:
        """Compares what empty texts earn with the declared margin."""
        top, margin = manifest.reward.range[1], manifest.reward.floor_margin
        floor = result.floor.mean
        return _Finding(
            CheckStatus.PASS if top - floor >= margin else CheckStatus.FAIL,
            f"Empty texts earn {floor:.3f} of {top:g}.",
            {"measured_floor": floor, "declared_max": top, "declared_margin": margin},
            "Pay nothing for an answer that says nothing.",
        )


class _PartGrader(AuditGrader):
    """A check that is one of the audit's three questions."""

    level = Level.STATISTICAL
    part: ClassVar[PartName]
    warned: ClassVar[CheckStatus]  # where the audit warns

    def read(self, result: Audit, manifest: NormalizedManifest) -> _Finding:
        """Returns the audit's answer to the question."""
        answer = next(part for part in result.parts if part.name == self.part)
        faults = [
            probe for probe in result.probes if probe.at_fault and _asks(self.part, probe.kind)
        ]
        scores = {probe.name: probe.score.mean for probe in faults if probe.score is not None}
        return _Finding(
            _STATUS.get(answer.outcome, self.warned),
            answer.words,
            {"ideal_reward": result.ceiling.mean, "paid_too_well": scores},
            " ".join(dict.fromkeys(probe.mend for probe in faults if probe.mend)),
        )


class LazyGrader(_PartGrader):
    """Texts that need no skill earn clearly less than ideal ones."""

    check_id = "statistical.adversarial_floor"
    part = "lazy"
    warned = CheckStatus.PASS  # OpenEnv's policy lets a package fail by it


class WrongGrader(_PartGrader):
    """Texts that say something else than ideal ones earn clearly less."""

    check_id = "statistical.gameability_gap"
    part = "wrong"
    warned = CheckStatus.FAIL  # which OpenEnv's policy reads as a warning


GRADERS = (OracleGrader, FloorGrader, LazyGrader, WrongGrader)


def audit_package(folder: Path) -> Audit:
    """Audits the reward of an environment's package; that of the same file is audited once.

    Raises:
        ConfigError: It is not a package of one of our environments, or names code.
    """
    path = folder / "openenv.yaml"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"'{path}' cannot be read: {error}.") from error
    return _audit(str(path), text)


@lru_cache(maxsize=8)
def _audit(path: str, text: str) -> Audit:
    try:
        block = load_yaml(text).get(BLOCK)
        id, arguments = block["id"], dict(block.get("arguments") or {})
    except (yaml.YAMLError, AttributeError, LookupError, TypeError, ValueError):
        raise ConfigError(
            f"'{path}' does not say which environment it is: '{BLOCK}' needs an id. Write the "
            "package with textenv openenv ID --out FOLDER."
        ) from None
    if code := find_code(arguments):
        raise ConfigError(
            f"'{path}' names code, '{code[0]}', which a package may not have run. Nothing of it "
            "was loaded."
        )
    core = make_core(str(id), 1, text_level(arguments))
    result: Audit = audit(
        core.reward,
        core,
        n_examples=_N_EXAMPLES,
        dataset=f"{id}, {describe_reward(core.reward)}",
    )
    return result


def _asks(part: PartName, kind: str) -> bool:
    return kind == "lazy" if part == "lazy" else kind in ("wrong", "same")
