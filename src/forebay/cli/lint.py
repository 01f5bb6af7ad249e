"""`forebay scale lint`: the known mistakes in manifests, each with what to do instead."""

from collections.abc import Sequence
from pathlib import Path

import click

from forebay.cli.client import print_json
from forebay.scaling.lint.check import RULES, Report, check
from forebay.scaling.manifests.documents import read_paths

_COLOURS = {"error": "red", "warning": "yellow"}


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--ignore", multiple=True, help="A rule that is not applied; may be given several times.")
@click.option("--strict", is_flag=True, help="Fail for warnings, too.")
@click.option("--local", is_flag=True, help="Name fields that have no effect in the local cluster, too.")
@click.option("--rules", "list_rules", is_flag=True, help="List the rules and stop.")
@click.option("--json", "as_json", is_flag=True, help="Write what is found as JSON.")
def lint(
    paths: Sequence[Path], *, ignore: Sequence[str], strict: bool, local: bool, list_rules: bool, as_json: bool
) -> None:
    """Name what people get wrong in the manifests of PATHS. Exit code 1 if there are errors."""
    if list_rules:
        for rule in RULES:
            click.echo(f"{rule.name:<30} {rule.gravity:<8} {rule.about}")
        return
    if not paths:
        raise click.UsageError("Missing argument 'PATHS...'.")
    unknown = sorted(set(ignore) - {rule.name for rule in RULES})
    if unknown:
        raise click.BadParameter(f"there is no rule {unknown[0]}; see --rules", param_hint="--ignore")
    reads, problems = read_paths(paths)
    report = check(reads, problems, frozenset(ignore))
    if not local:
        kept = tuple(problem for problem in report.problems if problem.gravity == "error")
        report = Report(report.findings, kept)
    if as_json:
        _print_json(report)
    else:
        _print(report, len(reads))
    if report.errors or (strict and report.warnings):
        raise click.exceptions.Exit(1)


def _print(report: Report, count: int) -> None:
    for problem in report.problems:
        place = f"{problem.path}: " if problem.path else ""
        click.echo(f"{click.style(problem.gravity, fg=_COLOURS[problem.gravity])}  {place}{problem.text}")
    for rule, finding in report.findings:
        gravity = click.style(f"{rule.gravity}", fg=_COLOURS[rule.gravity])
        click.echo(f"{gravity}  {finding.subject}: {finding.text}  [{rule.name}]")
        if finding.advice:
            click.echo(f"         instead: {finding.advice}")
    click.echo(f"Manifests: {count}. Errors: {report.errors}. Warnings: {report.warnings}.")


def _print_json(report: Report) -> None:
    problems = [
        {"rule": "manifest", "gravity": problem.gravity, "subject": problem.path, "text": problem.text, "advice": ""}
        for problem in report.problems
    ]
    findings = [
        {
            "rule": rule.name,
            "gravity": rule.gravity,
            "subject": finding.subject,
            "text": finding.text,
            "advice": finding.advice,
        }
        for rule, finding in report.findings
    ]
    print_json([*problems, *findings])
