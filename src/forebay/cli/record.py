"""`forebay scale record`: the arrivals of a live queue as a curve for `simulate`."""

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from forebay.cli.client import Endpoint, answer, endpoint_options
from forebay.core.clock import wall_seconds
from forebay.scaling.manifests.problem import InvalidManifest
from forebay.scaling.manifests.quantity import parse_duration
from forebay.scaling.simulation.arrivals import format_arrivals

_PERIOD_SECONDS = 60
# GetMetricStatistics gives at most 1,440 values: a day of minutes.
_CHUNK_SECONDS = 86_400


@click.command()
@click.argument("queue")
@click.option("--last", default="24h", show_default=True, help="How far back.")
@click.option("--output", "-o", type=click.File("w"), default="-", help="Where to write the CSV file.")
@endpoint_options
def record(queue: str, *, last: str, output: Any, endpoint: str, region: str, account: str) -> None:
    """Write how many messages QUEUE got in each minute (CloudWatch's NumberOfMessagesSent); AWS's queues work, too."""
    try:
        seconds = parse_duration(last)
    except InvalidManifest as error:
        raise click.BadParameter(str(error), param_hint="--last") from None
    client = Endpoint(endpoint, region, account).client("cloudwatch")
    # The minute that runs is part of it.
    end = (wall_seconds() // _PERIOD_SECONDS + 1) * _PERIOD_SECONDS
    begin = (end - seconds) // _PERIOD_SECONDS * _PERIOD_SECONDS
    found: dict[float, float] = {}
    moment = begin
    while moment < end:
        until = min(moment + _CHUNK_SECONDS, end)
        found.update(_sent(client, queue, moment, until))
        moment = until
    if not any(found.values()):
        raise click.ClickException(f"No messages were sent to {queue} in the last {last}.")
    rows = [
        (begin + step * _PERIOD_SECONDS, found.get(begin + step * _PERIOD_SECONDS, 0.0))
        for step in range(int((end - begin) / _PERIOD_SECONDS))
    ]
    output.write(format_arrivals(rows))
    click.echo(f"{sum(found.values()):,.0f} messages in {len(rows)} minutes.", err=True)


def _sent(client: Any, queue: str, begin: float, end: float) -> dict[float, float]:
    start = datetime.fromtimestamp(begin, UTC)
    page = answer(
        lambda: client.get_metric_statistics(
            Namespace="AWS/SQS",
            MetricName="NumberOfMessagesSent",
            Dimensions=[{"Name": "QueueName", "Value": queue}],
            StartTime=start,
            EndTime=start + timedelta(seconds=end - begin),
            Period=_PERIOD_SECONDS,
            Statistics=["Sum"],
        )
    )
    return {point["Timestamp"].timestamp(): point["Sum"] for point in page["Datapoints"]}
