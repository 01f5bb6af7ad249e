"""`forebay scale explain`, `simulate` and `instance-types`: what manifests will do, without a node or a cluster."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from forebay.cli.client import print_json
from forebay.core.clock import monotonic
from forebay.core.errors import ConfigError
from forebay.scaling.manifests.documents import read_paths
from forebay.scaling.manifests.problem import InvalidManifest, Problem
from forebay.scaling.manifests.quantity import parse_duration
from forebay.scaling.policies.instance_types import format_instance_types, kwok_instance_types, read_instance_types
from forebay.scaling.simulation.arrivals import ArrivalCurve, parse_arrivals
from forebay.scaling.simulation.facts import facts, scenario_start
from forebay.scaling.simulation.page import page
from forebay.scaling.simulation.panels import format_time
from forebay.scaling.simulation.plots import draw
from forebay.scaling.simulation.result import Result
from forebay.scaling.simulation.run import simulate as run
from forebay.scaling.simulation.scenario import Options, QueueTrigger, Scenario, parse_start, scenario_of
from forebay.scaling.simulation.tables import comparison, costs, timeline

F = TypeVar("F", bound=Callable[..., Any])

# The burst that `explain` assumes fills the largest number of replicas, within reason.
_BURST_MAX = 5_000


def _assumptions(function: F) -> F:
    """Add the options that say what manifests do not: work, starts, nodes, prices."""
    for option in (
        click.option("--instance-types", "types", type=click.Path(exists=True, dir_okay=False, path_type=Path),
                     help="Instance types and prices, in the format of kwok's INSTANCE_TYPES_FILE_PATH."),
        click.option("--node-seconds", type=float, help="Seconds until a new node is ready [35; kwok: its own]."),
        click.option("--start-seconds", type=float, help="Seconds from a pod's binding to its first message [3]."),
        click.option("--concurrency", type=click.IntRange(1), help="Messages that a pod works on at once [1]."),
        click.option("--message-seconds", help="Work on a message: '2', '1-5' or 'p50=2 p95=30' [1]."),
        click.option("--start", default=None, help="When the simulation begins, for schedules [2026-01-05T00:00:00Z]."),
    ):  # fmt: skip
        function = option(function)
    return function


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--arrivals", multiple=True, help="When messages come; as in `simulate`. [a burst that fills all pods]")
@click.option("--for", "span", default="30m", show_default=True, help="How long to look ahead.")
@click.option("--most", default=60, show_default=True, type=click.IntRange(4), help="Most decisions to show.")
@click.option("--json", "as_json", is_flag=True, help="Write the timeline as JSON.")
@_assumptions
def explain(
    paths: tuple[Path, ...], *, arrivals: tuple[str, ...], span: str, most: int, as_json: bool, **assumed: Any
) -> None:
    """Say what the manifests in PATHS mean, and print the timeline they follow with the reason of each decision."""
    with _told():
        scenario, start = _scenario(paths, assumed, "setting")
        curves = _curves(arrivals) if arrivals else _bursts(scenario)
        result = run(scenario, curves, parse_duration(span), start)
    if as_json:
        print_json(msgspec.to_builtins({"timeline": result.timeline, "summary": result.summary}))
        return
    _warn(scenario.problems)
    click.secho("What the manifests say", bold=True)
    click.echo(facts(scenario))
    click.echo()
    coming = ", ".join(f"{curve.total:,.0f} messages{f' to {name}' if name else ''}" for name, curve in curves.items())
    click.secho(f"What follows, with {coming}", bold=True)
    click.echo(timeline(result, most))
    click.echo()
    click.echo(comparison([result]))


@click.command()
@click.argument("settings", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--arrivals", multiple=True, required=True,
              help="When messages come: a CSV file, or a text such as 'burst 5000 at 1m, steady 20/s to 2h'. "
                   "With several queues, QUEUE=... for each.")  # fmt: skip
@click.option("--with", "common", multiple=True, type=click.Path(exists=True, path_type=Path),
              help="Manifests that belong to every setting.")  # fmt: skip
@click.option("--for", "span", help="How long to simulate [until 15 minutes after the last arrival].")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with pictures here.")
@click.option("--png", type=click.Path(dir_okay=False, path_type=Path), help="Write a picture here (extra `plots`).")
@click.option("--json", "as_json", is_flag=True, help="Write the results as JSON.")
@click.option("--timeline", "with_timeline", is_flag=True, help="Write the decisions of each setting, too.")
@_assumptions
def simulate(  # noqa: PLR0913 - one parameter an option
    settings: tuple[Path, ...],
    *,
    arrivals: tuple[str, ...],
    common: tuple[Path, ...],
    span: str | None,
    html: Path | None,
    png: Path | None,
    as_json: bool,
    with_timeline: bool,
    **assumed: Any,
) -> None:
    """Simulate each of SETTINGS (a file or folder of manifests) against the same arrivals, and compare them."""
    began = monotonic()
    with _told():
        curves = _curves(arrivals)
        seconds = parse_duration(span) if span else max(curve.end for curve in curves.values()) + 900
        scenarios = [
            _scenario((*common, path), assumed, name) for path, name in zip(settings, _names(settings), strict=True)
        ]
        results = [run(scenario, curves, seconds, start) for scenario, start in scenarios]
    if png is not None:
        draw(results, png, _title(settings))
    if html is not None:
        html.write_text(page(results, _title(settings)))
    if as_json:
        print_json(msgspec.to_builtins(results))
        return
    for scenario, _ in scenarios:
        _warn(scenario.problems)
    _print(results, with_timeline=with_timeline)
    took = monotonic() - began
    click.echo(f"\n{format_time(seconds)} simulated {len(results)} times in {took:.1f} s.", err=True)


def _print(results: Sequence[Result], *, with_timeline: bool) -> None:
    click.echo(comparison(results))
    for result in results:
        click.echo()
        click.secho(f"Cost of {result.name}", bold=True)
        click.echo(costs(result))
        if with_timeline:
            click.echo()
            click.secho(f"Decisions of {result.name}", bold=True)
            click.echo(timeline(result))


@click.command("instance-types")
@click.option("--instance-types", "types", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="A table of your own, to check it.")  # fmt: skip
def instance_types(*, types: Path | None) -> None:
    """Print the table of instance types and prices, as JSON in kwok's format."""
    with _told():
        click.echo(format_instance_types(read_instance_types(types) if types else kwok_instance_types()), nl=False)


class _told:  # noqa: N801 - reads as a word in `with`
    """Turns what is wrong with manifests into a message and exit code 2."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, InvalidManifest):
            raise ConfigError(str(error)) from None


def _scenario(paths: Sequence[Path], assumed: Mapping[str, Any], name: str) -> tuple[Scenario, float]:
    types, start = assumed["types"], assumed["start"]
    options = Options(
        message_seconds=assumed["message_seconds"],
        concurrency=assumed["concurrency"],
        start_seconds=assumed["start_seconds"],
        node_seconds=assumed["node_seconds"],
        instance_types=read_instance_types(types) if types else (),
    )
    reads, problems = read_paths(paths)
    unreadable = [problem for problem in problems if problem.gravity == "error"]
    # Kinds that are not about scaling (Services, our own stacks) are told of and left out.
    if unreadable and not reads:
        raise InvalidManifest(str(unreadable[0]))
    return scenario_of(reads, problems, options, name), parse_start(start) if start else scenario_start()


def _curves(arrivals: Sequence[str]) -> dict[str, ArrivalCurve]:
    found: dict[str, ArrivalCurve] = {}
    for text in arrivals:
        queue, separator, description = text.partition("=")
        named = bool(separator) and " " not in queue and not Path(text).exists()
        found[queue if named else ""] = parse_arrivals(description if named else text)
    if "" in found and len(found) > 1:
        raise InvalidManifest("--arrivals names queues for some curves and not for others")
    return found


def _bursts(scenario: Scenario) -> dict[str, ArrivalCurve]:
    found: dict[str, ArrivalCurve] = {}
    for plan in scenario.workloads:
        targets = [t.trigger.sqs.target for t in plan.triggers if isinstance(t.trigger, QueueTrigger)]
        most = (
            plan.scaled_object.spec.max_replica_count
            if plan.scaled_object
            else plan.scaled_job.spec.max_replica_count
            if plan.scaled_job
            else plan.hpa.spec.max_replicas
            if plan.hpa
            else 1
        )
        count = min(_BURST_MAX, most * (targets[0] if targets else 5))
        found[plan.queue or plan.name] = parse_arrivals(f"burst {count} at 1m")
    return found


def _names(settings: Sequence[Path]) -> list[str]:
    stems = [path.stem for path in settings]
    return stems if len(set(stems)) == len(stems) else [str(path) for path in settings]


def _title(settings: Sequence[Path]) -> str:
    return "Scaling simulation: " + " against ".join(_names(settings))


def _warn(problems: Sequence[Problem]) -> None:
    for problem in problems:
        if problem.gravity == "error":
            click.echo(f"{problem}", err=True)
