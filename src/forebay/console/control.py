"""The node's own API under `/_forebay/`: health for probes, and for local use the clock, reset, traces and live views.

All but health, readiness and version are refused unless the node runs in its local mode, and to web pages of another
origin always: a page that somebody visits must not wipe the node on the same machine.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from urllib.parse import parse_qsl

import msgspec

from forebay.core.errors import ServiceError
from forebay.core.http import Request, Response
from forebay.delivery.trace import ARRIVALS, decode_arrivals
from forebay.operations.call import Caller
from forebay.operations.platform import Platform
from forebay.store.commands import ReadLog

_JSON = (("Content-Type", "application/json"),)
_WAIT_SECONDS_MAX = 30.0
# Entries, each with the events of one request.
_ARRIVALS_MAX = 50
# Positions and seconds; more digits would not fit the store's numbers.
_NUMBER = re.compile("[0-9]{1,15}")
# The last second of the year 9999.
_TIME_MAX = 253_402_300_799

# What `Host` may say of a node that listens on loopback; another name is one that an attacker points at loopback.
_LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})

Handle = Callable[[Mapping[str, str], bytes], Awaitable[object]]


class ClockChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A change of the node's clock: at most one of the three; none only asks what it shows."""

    freeze: bool | float | None = None
    advance: float | None = None
    resume: bool | None = None


class Control:
    """Answers `/_forebay/...`."""

    def __init__(
        self,
        platform: Platform,
        version: str,
        is_ready: Callable[[], bool],
        on_wiped: Callable[[], Awaitable[None]],
    ) -> None:
        self._platform = platform
        self._version = version
        self._is_ready = is_ready
        self._followers: set[asyncio.Event] = set()
        self._is_draining = False
        self._on_wiped = on_wiped
        self._open: Mapping[str, Handle] = {"health": self._health, "ready": self._ready, "version": self._show_version}
        self._local: Mapping[str, Handle] = {
            "reset": self._reset,
            "clock": self._clock,
            "trace": self._trace,
            "events": self._events,
        }

    @property
    def follower_count(self) -> int:
        """How many wait for events at the moment."""
        return len(self._followers)

    def drain(self) -> None:
        """Answer whoever follows events now: the node is about to stop."""
        self._is_draining = True
        for arrived in self._followers:
            arrived.set()

    async def handle(self, request: Request) -> Response:
        """Answer a request to the node's own API."""
        name = request.path.removeprefix("/_forebay/").strip("/")
        query = dict(parse_qsl(request.query))
        try:
            return _json(200, await self._run(name, query, request))
        except ServiceError as error:
            return _json(error.status, {"error": error.code, "message": error.message})

    async def _run(self, name: str, query: Mapping[str, str], request: Request) -> object:
        handle = self._open.get(name)
        if handle is not None:
            return await handle(query, request.body)
        if not self._platform.config.local:
            raise ServiceError.of("AccessDenied", "This is open in the node's local mode only.", 403)
        _check_origin(request)
        if request.method != "POST" and (name == "reset" or (name == "clock" and request.body)):
            raise ServiceError.of("MethodNotAllowed", f"/_forebay/{name} changes the node, so it takes POST.", 405)
        handle = self._local.get(name)
        if handle is not None:
            return await handle(query, request.body)
        return await self._service_control(name, query)

    async def _service_control(self, name: str, query: Mapping[str, str]) -> object:
        service, _, control_name = name.partition("/")
        parts = await self._platform.table.parts(service)
        control = parts.controls.get(control_name) if parts is not None else None
        if control is None:
            raise ServiceError.of("NotFound", f"There is no /_forebay/{name}.", 404)
        return await control(self._caller(query), query)

    def _caller(self, query: Mapping[str, str]) -> Caller:
        config = self._platform.config
        account = query.get("account", config.account)
        return Caller(
            account,
            query.get("region", config.region),
            account,
            f"arn:aws:iam::{account}:root",
            self._platform.ids.uuid(),
            self._platform.endpoint(),
        )

    async def _health(self, _query: Mapping[str, str], _body: bytes) -> object:
        loaded = [service.name for service in self._platform.table.loaded]
        return {"status": "ok", "services": sorted(self._platform.table.names), "loaded": sorted(loaded)}

    async def _ready(self, _query: Mapping[str, str], _body: bytes) -> object:
        if not self._is_ready():
            raise ServiceError.of("NotReady", "The node is starting or stopping.", 503)
        return {"status": "ready"}

    async def _show_version(self, _query: Mapping[str, str], _body: bytes) -> object:
        return {"version": self._version}

    async def _reset(self, _query: Mapping[str, str], _body: bytes) -> object:
        await self._platform.store.wipe()
        await self._on_wiped()
        return {"status": "wiped"}

    async def _clock(self, _query: Mapping[str, str], body: bytes) -> object:
        clock = self._platform.clock
        try:
            change = msgspec.json.decode(body or b"{}", type=ClockChange)
        except msgspec.DecodeError as error:
            raise ServiceError.of("ValidationException", str(error), 400) from None
        _check_change(change, clock.now())
        if change.freeze:
            clock.freeze(None if change.freeze is True else change.freeze)
        if change.advance is not None:
            clock.advance(change.advance)
        if change.resume:
            clock.resume()
        return {"now": clock.now(), "frozen": clock.is_frozen}

    async def _trace(self, query: Mapping[str, str], _body: bytes) -> object:
        event_id = query.get("id", "")
        steps = await self._platform.trace.path(event_id)
        if not steps:
            raise ServiceError.of("NotFound", f"No trace of event {event_id}: unknown, or older than is kept.", 404)
        return {"event_id": event_id, "steps": steps}

    async def _events(self, query: Mapping[str, str], _body: bytes) -> object:
        """Return events that arrived behind `after`; `wait` seconds for the first; without `after`, where to begin."""
        store = self._platform.store
        if "after" not in query:
            newest = ReadLog(ARRIVALS, limit=1, newest_first=True)
            entries = await store.view(lambda view: view.ask(newest))
            return {"next": entries[0].position if entries else 0, "events": []}
        after = _number(query["after"])
        arrived = asyncio.Event()
        end = store.listen(("log", ARRIVALS), arrived.set)
        self._followers.add(arrived)
        try:
            ask = ReadLog(ARRIVALS, limit=_ARRIVALS_MAX, after=after)
            entries = await store.view(lambda view: view.ask(ask))
            if (
                not entries
                and not self._is_draining
                and (wait_seconds := min(_number(query.get("wait", "0")), _WAIT_SECONDS_MAX))
            ):
                # Real time: a frozen clock must not leave a client waiting for ever.
                with suppress(TimeoutError):
                    await asyncio.wait_for(arrived.wait(), wait_seconds)
                entries = await store.view(lambda view: view.ask(ask))
        finally:
            end()
            self._followers.discard(arrived)
        events = [{"at": entry.at_ms / 1000, **arrival} for entry in entries for arrival in decode_arrivals(entry.data)]
        return {"next": entries[-1].position if entries else after, "events": events}


def _check_change(change: ClockChange, now: float) -> None:
    given = [value for value in (change.freeze, change.advance, change.resume) if value is not None]
    if len(given) > 1:
        raise ServiceError.of("ValidationException", "Give one of freeze, advance and resume.", 400)
    if change.freeze is False or change.resume is False:
        raise ServiceError.of("ValidationException", "freeze is true or a time, resume is true.", 400)
    if change.advance is not None and change.advance < 0:
        raise ServiceError.of("ValidationException", "advance must not be negative.", 400)
    shown = change.freeze if isinstance(change.freeze, float) else now + (change.advance or 0.0)
    # Dates of answers and the store's numbers end somewhere.
    if not 0 < shown < _TIME_MAX:
        raise ServiceError.of("ValidationException", "The clock shows times from 1970 to 9999 only.", 400)


def _check_origin(request: Request) -> None:
    """Refuse what a browser sends for a page of another origin (Fetch Metadata; `Origin`; a rebound host name)."""
    origin = request.headers.get("origin")
    is_foreign = origin is not None and origin.partition("://")[2] != request.host
    name = request.host if request.host.endswith("]") else request.host.rpartition(":")[0] or request.host
    is_rebound = name.lower() not in _LOCAL_NAMES and not name.lower().endswith(".localhost")
    if is_foreign or is_rebound or request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise ServiceError.of("AccessDenied", "This is refused to web pages of another origin.", 403)


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ServiceError.of("ValidationException", f"'{text}' is not a number.", 400)
    return int(text)


def _json(status: int, value: object) -> Response:
    return Response(status, _JSON, msgspec.json.encode(value))
