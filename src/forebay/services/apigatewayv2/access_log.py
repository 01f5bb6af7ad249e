"""Access logs: a line for each request, in the form that the stage's settings give, sent to CloudWatch Logs.

Requests do not wait for the log: lines are gathered in memory and written by a worker, in batches.
"""

import re
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import structlog

from forebay.api import apigatewayv2 as api
from forebay.background.worker import IDLE
from forebay.core.arn import Arn
from forebay.core.errors import ServiceError
from forebay.core.http import Response
from forebay.operations.call import Caller
from forebay.operations.platform import Platform
from forebay.operations.table import new_caller
from forebay.services.apigatewayv2 import limits
from forebay.services.apigatewayv2.errors import bad_request, not_implemented
from forebay.services.apigatewayv2.exchange import Exchange

log = structlog.get_logger()

_VARIABLE = re.compile(r"\$context\.([A-Za-z0-9_.]*[A-Za-z0-9_])")
_FORMAT_CHARACTERS_MAX = 3_000


class Line(NamedTuple):
    """One line and where it goes."""

    group_arn: str
    at_ms: int
    text: str


class Format:
    """A stage's log format, read once."""

    def __init__(self, group_arn: str, text: str) -> None:
        self._group_arn = group_arn
        self._parts = _VARIABLE.split(text)

    def line(self, exchange: Exchange, response: Response, latency_ms: int) -> Line:
        """Return the line for a request and its answer; what is not known is a dash."""
        outcome = {
            "dataProcessed": len(exchange.request.body) + len(response.body),
            "responseLatency": latency_ms,
            "responseLength": len(response.body),
            "status": response.status,
        }
        texts = [
            (str(outcome[part]) if part in outcome else exchange.context(part) or "-") if at % 2 else part
            for at, part in enumerate(self._parts)
        ]
        return Line(self._group_arn, int(exchange.at * 1000), "".join(texts))


class AccessLog:
    """Gathers lines and writes them. A `Worker`."""

    name = "apigatewayv2.access_log"

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._lines: deque[Line] = deque()
        self._dropped = 0
        self._streams: dict[str, str] = {}
        self._duty = platform.start_worker(self)

    def add(self, line: Line) -> None:
        """Take a line; past the bound it is dropped and counted."""
        if len(self._lines) >= limits.LOG_LINES_MAX:
            self._dropped += 1
            return
        self._lines.append(line)
        self._duty.wake()

    async def run_once(self) -> float:
        """Write a batch."""
        batch = [self._lines.popleft() for _ in range(min(len(self._lines), limits.LOG_BATCH_LINES))]
        if self._dropped:
            log.warning("access_log.dropped", lines=self._dropped)
            self._dropped = 0
        for group in dict.fromkeys(line.group_arn for line in batch):
            await self._write(group, [line for line in batch if line.group_arn == group])
        return 0.0 if self._lines else IDLE

    async def flush(self) -> None:
        """Write all that is left; called when the node stops."""
        while self._lines:
            await self.run_once()

    async def _write(self, group_arn: str, lines: Sequence[Line]) -> None:
        arn = Arn.parse(group_arn)
        group = arn.resource.removeprefix("log-group:")
        platform = self._platform
        caller = new_caller(arn.region, arn.account, platform.ids, platform.endpoint(), "apigateway")
        events = [{"timestamp": line.at_ms, "message": line.text} for line in sorted(lines, key=lambda x: x.at_ms)]
        try:
            stream = self._streams.get(group_arn) or await self._open(caller, group_arn, group)
            params = {"logGroupName": group, "logStreamName": stream, "logEvents": events}
            await platform.table.run_params(caller, "logs", "PutLogEvents", params)
        except ServiceError as error:
            # A log group that is gone must not stop the API; AWS drops such lines too.
            self._streams.pop(group_arn, None)
            log.warning("access_log.failed", group=group, lines=len(lines), code=error.code)

    async def _open(self, caller: Caller, group_arn: str, group: str) -> str:
        stream = self._platform.ids.hex(32)
        params = {"logGroupName": group, "logStreamName": stream}
        await self._platform.table.run_params(caller, "logs", "CreateLogStream", params)
        self._streams[group_arn] = stream
        return stream


def check_settings(settings: api.AccessLogSettings | None) -> None:
    """Check a stage's access log settings.

    Raises:
        BadRequestException: they lack a format, or the destination is no log group's ARN.
        NotImplemented: the destination is a delivery stream.
    """
    if settings is None or (not settings.destination_arn and not settings.format):
        return
    if not settings.destination_arn or not settings.format:
        raise bad_request("Both destinationArn and format must be specified in accessLogSettings")
    if len(settings.format) > _FORMAT_CHARACTERS_MAX or "\n" in settings.format:
        raise bad_request("Access log format must be a single line of at most 3 KB")
    if ":firehose:" in settings.destination_arn:
        raise not_implemented("Access logs to Firehose are not implemented by Forebay: use a log group.")
    group_arn(settings.destination_arn)


def kept_settings(settings: api.AccessLogSettings | None) -> api.AccessLogSettings | None:
    """Return checked settings as API Gateway keeps and shows them: the group's ARN has no star."""
    if settings is None or not settings.destination_arn:
        return settings
    return msgspec.structs.replace(settings, destination_arn=group_arn(settings.destination_arn))


def group_arn(text: str) -> str:
    """Return the ARN of a log group without the star that some forms end with.

    Raises:
        BadRequestException: it is not the ARN of a log group.
    """
    try:
        arn = Arn.parse(text)
    except ValueError:
        arn = None
    if arn is None or arn.service != "logs" or not arn.resource.startswith("log-group:"):
        raise bad_request(f"Invalid ARN specified in the request. ARNs must start with 'arn:': {text}")
    return text.removesuffix(":*")


def compile_format(settings: api.AccessLogSettings | None) -> Format | None:
    """Return a stage's log format; None where it has no access log."""
    if settings is None or not settings.destination_arn or not settings.format:
        return None
    return Format(group_arn(settings.destination_arn), settings.format)
