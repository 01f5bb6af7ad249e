"""All rules over manifests that have been read."""

from collections.abc import Sequence

import msgspec

from forebay.scaling.lint import cluster_rules, keda_rules
from forebay.scaling.lint.finding import Finding, Rule
from forebay.scaling.lint.setting import Setting
from forebay.scaling.manifests.documents import Read
from forebay.scaling.manifests.problem import Problem

RULES: tuple[Rule, ...] = (*keda_rules.RULES, *cluster_rules.RULES)


class Report(msgspec.Struct, frozen=True):
    """What rules have found, and what is wrong with the documents themselves."""

    findings: tuple[tuple[Rule, Finding], ...]
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> int:
        """How many of them are errors."""
        found = [rule.gravity for rule, _ in self.findings] + [problem.gravity for problem in self.problems]
        return found.count("error")

    @property
    def warnings(self) -> int:
        """How many of them are warnings."""
        return len(self.findings) + len(self.problems) - self.errors


def check(reads: Sequence[Read], problems: Sequence[Problem], ignored: frozenset[str] = frozenset()) -> Report:
    """Apply all rules but the ignored ones."""
    setting = Setting(tuple(read.manifest for read in reads))
    findings = tuple((rule, finding) for rule in RULES if rule.name not in ignored for finding in rule.check(setting))
    own = tuple(
        msgspec.structs.replace(problem, path=f"{read.manifest.kind}/{read.manifest.metadata.name} {problem.path}")
        for read in reads
        for problem in read.problems
    )
    return Report(findings, (*problems, *own))
