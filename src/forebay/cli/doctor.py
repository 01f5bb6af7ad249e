"""`forebay doctor`: say what runs here, what does not, and what to do about it."""

import os
import shutil
import sys
import textwrap
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from forebay.cli.client import Endpoint, endpoint_options, print_json
from forebay.cli.machine import (
    Finding,
    Status,
    look_at_data,
    look_at_limits,
    look_at_runtimes,
    look_at_versions,
)
from forebay.config import Config, load_config

_MARKS: dict[Status, tuple[str, str]] = {"ok": ("✓", "green"), "note": ("!", "yellow"), "problem": ("✗", "red")}
_NODE_SECONDS_MAX = 3.0
_WIDTH_MAX = 110


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Data folder to look at, as for `serve`.")
@click.option("--json", "as_json", is_flag=True, help="Write the findings as JSON.")
@endpoint_options
def doctor(*, data: Path | None, as_json: bool, endpoint: str, region: str, account: str) -> None:
    """Say what runs here: versions, disk, interpreters, limits, and the node at --endpoint.

    Leaves with 1 when something is missing that a node cannot do without.
    """
    # Settings that do not fit are the first thing to know; ConfigError says which.
    config = load_config({"data": data}, os.environ)
    findings = look_around(config, Endpoint(endpoint, region, account), _show_progress)
    problems = [finding for finding in findings if finding.status == "problem"]
    if as_json:
        print_json({"ok": not problems, "findings": msgspec.to_builtins(findings)})
    else:
        for line in report_lines(findings):
            click.echo(line)
    if problems:
        raise SystemExit(1)


def look_around(config: Config, node: Endpoint, progress: Callable[[str], None]) -> list[Finding]:
    """Return everything that is found, in the order of the report."""
    looks: Sequence[tuple[str, Callable[[], list[Finding]]]] = (
        ("versions", look_at_versions),
        ("the disk", lambda: look_at_data(config)),
        ("interpreters", lambda: look_at_runtimes(config)),
        ("limits", lambda: look_at_limits(config)),
        ("the node", lambda: look_at_node(node)),
    )
    findings: list[Finding] = []
    for name, look in looks:
        progress(f"Looking at {name} ...")
        findings += look()
    progress("")
    return findings


def look_at_node(node: Endpoint) -> list[Finding]:
    """Return what answers at the endpoint: a node with its services, something else, or nothing."""
    try:
        with urllib.request.urlopen(f"{node.url}/_forebay/health", timeout=_NODE_SECONDS_MAX) as answer:  # noqa: S310
            health: dict[str, Any] = msgspec.json.decode(answer.read(), type=dict[str, Any])
        services: list[str] = health["services"]
        loaded: list[str] = health["loaded"]
    except (urllib.error.HTTPError, msgspec.DecodeError, KeyError):
        advice = "Give `serve` another --port, or stop what listens there."
        return [Finding("Node", "endpoint", "problem", f"something else answers at {node.url}", advice, node.url)]
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        advice = "Start one with `forebay serve`, or name another with --endpoint."
        return [Finding("Node", "endpoint", "note", f"no node answers at {node.url} ({reason})", advice, node.url)]
    version = node.control("version")["version"]
    return [
        Finding("Node", "endpoint", "ok", f"Forebay {version} answers at {node.url}", value=node.url),
        Finding("Node", "services", "ok", ", ".join(services), value=services),
        Finding("Node", "in use", "ok", ", ".join(loaded) or "none yet", value=loaded),
    ]


def report_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """Return the report for people."""
    width = max(len(finding.name) for finding in findings)
    room = min(shutil.get_terminal_size().columns, _WIDTH_MAX) - width - 6
    section = ""
    for finding in findings:
        if finding.section != section:
            section = finding.section
            yield click.style(f"\n{section}", bold=True)
        mark, colour = _MARKS[finding.status]
        first, *rest = textwrap.wrap(finding.text, max(room, 20)) or [""]
        yield f"  {click.style(mark, fg=colour)} {finding.name:<{width}}  {first}"
        advice = textwrap.wrap(finding.advice, max(room, 20))
        yield from (f"    {'':<{width}}  {line}" for line in rest)
        yield from (click.style(f"    {'':<{width}}  {line}", dim=True) for line in advice)
    yield ""
    yield _verdict(findings)


def _verdict(findings: Sequence[Finding]) -> str:
    problems = [finding.name for finding in findings if finding.status == "problem"]
    if problems:
        return click.style(f"A node does not work like this; see {', '.join(problems)}.", fg="red")
    return click.style("A node works here.", fg="green")


def _show_progress(text: str) -> None:
    # The line is overwritten by the next one; nothing of it in a file or a pipe.
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{text}", nl=False, err=True)
