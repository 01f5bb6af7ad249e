"""One client's connection: requests in, answers out in their order, with back-pressure both ways.

A request whose handler has its answer at hand is answered within the call that read it; only a handler that waits
gets a task. The connection is the scope of these tasks: it holds them, and they are cancelled when it is lost, so
that nobody receives messages on behalf of a client that has gone. A client that closes its sending side counts
as gone, as it does for nginx and uvicorn.

Timers do not run per request: the server sweeps over all connections, and one in which nothing has moved for the
timeout of its activity is given up.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable
from functools import partial
from http import HTTPStatus
from typing import Final, cast

import structlog

from forebay.core.http import Answer, Request, Response, StreamedResponse
from forebay.wire.answers import CONTINUE, LAST_CHUNK, render_chunk
from forebay.wire.exchange import Exchange, Shared
from forebay.wire.request_reader import CLOSE, IDLE, IN_BODY, IN_HEAD, Refused, RequestReader

_PLAIN_TEXT: Final = (("Content-Type", "text/plain"),)
_FAILED: Final = Response(500, _PLAIN_TEXT, b"Internal Server Error\n")
# Connections over the limit that are told so; past these they are dropped without a word.
_TURNED_AWAY_MAX: Final = 256

# Stands for an answer that has been written already, bit by bit.
_STREAMED: Final = Response(0)

log = structlog.stdlib.get_logger()


class Connection(asyncio.Protocol):
    """The protocol object of one connection."""

    __slots__ = (
        "_discarded",
        "_ending",
        "_input_closed",
        "_parsed",
        "_pumping",
        "_reader",
        "_reading_paused",
        "_running",
        "_seen",
        "_seen_at",
        "_shared",
        "_transport",
        "_unparsed",
        "_writable",
        "_writing_paused",
    )

    _reader: RequestReader

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._transport: asyncio.Transport | None = None
        # Handed out, in the order of their answers; then read but not handed out; then not even parsed.
        self._running: deque[Exchange] = deque()
        self._parsed: deque[Exchange] = deque()
        self._unparsed: memoryview | None = None
        # No further request will be served here; what still arrives is thrown away.
        self._input_closed = False
        self._discarded = False
        self._ending = False
        self._writing_paused = False
        # For those who stream: set as soon as the client takes more.
        self._writable: asyncio.Event | None = None
        self._reading_paused = False
        self._pumping = False
        self._seen: tuple[str, int] = ("", 0)
        self._seen_at = 0.0

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take up the connection, or turn it away when there are too many."""
        shared = self._shared
        # uvloop's transports have the methods of asyncio.Transport without being its children.
        self._transport = transport = cast("asyncio.Transport", transport)
        peer: tuple[str, int] | str | None = transport.get_extra_info("peername")
        self._reader = RequestReader(
            self._accept,
            shared.limits,
            shared.budget,
            shared.names,
            peer=peer[0] if isinstance(peer, tuple) else "",
            secure=transport.get_extra_info("sslcontext") is not None,
        )
        excess = len(shared.connections) - shared.limits.connections_max
        shared.connections.add(self)
        if excess >= _TURNED_AWAY_MAX:
            transport.abort()
        elif excess >= 0:
            self._refuse(Refused(503, "Too many connections."))
        elif shared.draining:
            self._finish()

    def data_received(self, data: bytes) -> None:
        """Read `data` as far as the bounds allow."""
        if self._input_closed:
            self._discarded = True
            return
        reader = self._reader
        if self._unparsed is None and len(data) <= reader.slice_bytes:
            try:
                reader.feed(data)
            except Refused as refused:
                self._stop_reading(refused)
            if self._running or self._parsed or reader.wants_continue:
                self._pump()
            return
        kept = b"" if self._unparsed is None else bytes(self._unparsed)
        self._unparsed = memoryview(kept + data)
        self._pump()

    def eof_received(self) -> None:
        """Let the transport close: the client has gone."""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why it was lost changes nothing
        """Cancel who still works for this client and forget everything."""
        self._transport = None
        self._input_closed = True
        self._unparsed = None
        self._reader.abandon()
        for exchange in self._parsed:
            self._release(exchange.request)
        self._parsed.clear()
        for exchange in list(self._running):
            if exchange.task is None or exchange.task.done():
                self._drop(exchange)
            else:
                exchange.task.cancel()
                exchange.task.add_done_callback(partial(self._drop_cancelled, exchange))
        if not self._running:
            self._shared.forget(self)

    def pause_writing(self) -> None:
        """Stop answering, and with it reading: the client does not take what it has asked for."""
        self._writing_paused = True
        self._steer_reading()

    def resume_writing(self) -> None:
        """Go on where `pause_writing` stopped."""
        self._writing_paused = False
        if self._writable is not None:
            self._writable.set()
        self._pump()

    # Called by the server.

    def sweep(self, now: float) -> None:
        """Give the connection up if nothing has moved for the timeout of what it is doing; `now` is loop time."""
        activity, measure, timeout_seconds = self._activity()
        if (activity, measure) != self._seen:
            self._seen, self._seen_at = (activity, measure), now
        elif now - self._seen_at >= timeout_seconds:
            self._give_up(activity)

    def drain(self) -> None:
        """Close after the requests under way have been answered, now if there are none."""
        if self._ending or self._input_closed:
            return
        if self._unparsed is not None or self._reader.phase != IDLE:
            return  # `_accept` marks the request that is being read as the last one.
        if self._parsed:
            self._parsed[-1].persistence = CLOSE
        elif self._running:
            self._running[-1].persistence = CLOSE
        else:
            self._finish()
        self._input_closed = True

    def abort(self) -> None:
        """Close without ceremony."""
        if self._transport is not None:
            self._transport.abort()

    # Reading and handing out.

    def _stop_reading(self, refused: Refused) -> None:
        # After the last request llhttp calls further bytes an error, but its answer is still due.
        if self._input_closed:
            self._discarded = True
            self._reader.abandon()
        else:
            self._refuse(refused)

    def _accept(self, request: Request, persistence: str) -> None:
        if self._input_closed:
            self._discarded = True
            self._release(request)
            return
        if persistence == CLOSE or self._shared.draining:
            persistence = CLOSE
            self._input_closed = True
        if (self._running and not self._has_room()) or self._parsed or self._writing_paused:
            self._parsed.append(Exchange(request, persistence))
        else:
            self._start(request, persistence)

    def _has_room(self) -> bool:
        return len(self._running) < self._shared.limits.pipelined_requests_max

    def _start(self, request: Request, persistence: str) -> None:
        shared = self._shared
        try:
            outcome = shared.handler(request)
        except Exception as error:  # noqa: BLE001 - the last catch before the client
            outcome = _fail(request, error)
        if isinstance(outcome, Response) and not self._running:
            shared.budget.used_bytes -= len(request.body)
            self._write(outcome, request.method, persistence)
            return
        exchange = Exchange(request, persistence)
        self._running.append(exchange)
        if isinstance(outcome, Response):
            exchange.response = outcome
        else:
            # Not in a task group: one group per connection would need a task that waits in it, at the price of
            # this one. The exchange holds the task, we hold the exchange, and the server holds us until it ends.
            exchange.task = shared.loop.create_task(self._wait(exchange, request, outcome))

    async def _wait(self, exchange: Exchange, request: Request, outcome: Awaitable[Answer]) -> None:
        try:
            response = await outcome
            if isinstance(response, StreamedResponse):
                response = await self._stream(exchange, request, response)
            if not isinstance(response, Response):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError("the handler has not returned a Response")
            exchange.response = response
        except asyncio.CancelledError as error:
            if self._transport is None:
                raise
            exchange.response = _fail(request, error)
        except Exception as error:  # noqa: BLE001 - the last catch before the client
            exchange.response = _fail(request, error)
        if len(self._running) == 1 and self._is_quiet() and exchange.response is not _STREAMED:
            # The common case of what `_pump` does, at a third of its cost.
            self._running.clear()
            self._release(request)
            self._write(exchange.response, request.method, exchange.persistence)
        else:
            self._pump()

    async def _stream(self, exchange: Exchange, request: Request, streamed: StreamedResponse) -> Response:
        """Write an answer as it comes, when its turn has come; return what stands for it in the order."""
        while self._running[0] is not exchange:
            exchange.turn = asyncio.Event()
            await exchange.turn.wait()
        chunks = streamed.chunks
        try:
            transport = self._transport
            if transport is None or transport.is_closing():
                return _STREAMED
            transport.write(self._shared.renderer.render_streamed(streamed, exchange.persistence))
            if request.method != "HEAD":
                async for data in chunks:
                    await self._write_chunk(render_chunk(data) if data else b"")
                await self._write_chunk(LAST_CHUNK)
        except Exception as error:  # noqa: BLE001 - the last catch before the client, whose answer has begun
            _fail(request, error)
            self.abort()
        finally:
            if isinstance(chunks, AsyncGenerator):
                await cast("AsyncGenerator[bytes]", chunks).aclose()
        return _STREAMED

    async def _write_chunk(self, data: bytes) -> None:
        while self._writing_paused:
            self._writable = asyncio.Event()
            await self._writable.wait()
        if self._transport is not None:
            self._transport.write(data)

    def _is_quiet(self) -> bool:
        """Return whether nothing but an answer is under way here."""
        transport = self._transport
        return (
            transport is not None
            and not (self._parsed or self._reading_paused or self._writing_paused or self._pumping)
            and self._unparsed is None
            and not self._reader.wants_continue
            and not transport.is_closing()
        )

    def _refuse(self, refused: Refused) -> None:
        log.debug("request.refused", status=refused.status, reason=refused.reason)
        self._input_closed = self._discarded = True
        self._unparsed = None
        self._reader.abandon()
        exchange = Exchange(None, CLOSE)
        text = f"{HTTPStatus(refused.status).phrase}: {refused.reason}\n"
        exchange.response = Response(refused.status, _PLAIN_TEXT, text.encode())
        # Requests that were read before it are answered before it.
        self._parsed.append(exchange)
        self._pump()

    # Moving on.

    def _pump(self) -> None:
        """Do all that can be done now: write answers that are due, hand out requests, read on."""
        if self._pumping or self._transport is None:
            return
        self._pumping = True
        while self._advance():
            pass
        self._pumping = False
        if self._reader.wants_continue:
            self._continue()
        self._steer_reading()

    def _advance(self) -> bool:  # noqa: C901 - one branch a step
        """Take one step; return whether another may be possible."""
        if self._writing_paused or self._transport is None or self._transport.is_closing():
            return False
        if self._running and (response := self._running[0].response) is not None:
            exchange = self._running.popleft()
            self._release(exchange.request)
            method = exchange.request.method if exchange.request else ""
            if self._running and (turn := self._running[0].turn) is not None:
                turn.set()
            if response is not _STREAMED:
                self._write(response, method, exchange.persistence)
            elif exchange.persistence == CLOSE:
                self._finish()
        elif self._parsed and self._has_room():
            exchange = self._parsed.popleft()
            if exchange.request is None:
                self._running.append(exchange)
            else:
                self._start(exchange.request, exchange.persistence)
        elif self._unparsed is not None and not self._parsed and self._has_room():
            self._feed_slice(self._unparsed)
        else:
            return False
        return True

    def _feed_slice(self, unparsed: memoryview) -> None:
        size = self._reader.slice_bytes
        self._unparsed = unparsed[size:] if len(unparsed) > size else None
        try:
            self._reader.feed(unparsed[:size])
        except Refused as refused:
            self._stop_reading(refused)
        if self._input_closed and self._unparsed is not None:
            self._unparsed = None
            self._discarded = True

    def _continue(self) -> None:
        reader = self._reader
        if reader.phase != IN_BODY or reader.body_bytes:
            reader.wants_continue = False
        elif self._transport and not (self._running or self._parsed or self._writing_paused):
            reader.wants_continue = False
            self._transport.write(CONTINUE)

    def _write(self, response: Response, method: str, persistence: str) -> None:
        transport = self._transport
        assert transport is not None
        renderer = self._shared.renderer
        try:
            head, body = renderer.render(response, method, persistence)
        except Exception:
            log.exception("response.unwritable", method=method, status=response.status)
            head, body = renderer.render(_FAILED, method, persistence)
        if body:
            transport.writelines((head, body))
        else:
            transport.write(head)
        if persistence == CLOSE:
            self._finish()

    def _steer_reading(self) -> None:
        """Read, or not: what has been taken in must be bounded, but an end of the client must be seen."""
        pauses = not self._input_closed and (
            self._writing_paused or self._unparsed is not None or bool(self._parsed) or not self._has_room()
        )
        if pauses == self._reading_paused or self._transport is None or self._transport.is_closing():
            return
        self._reading_paused = pauses
        if pauses:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    # Ending.

    def _finish(self) -> None:
        """Close when everything written has been flushed."""
        self._ending = self._input_closed = True
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._discarded and transport.can_write_eof():
            # Closing with bytes unread makes the kernel reset the connection, and the client may then lose the
            # answer. So we end our side only, and read on until the client ends its own.
            transport.write_eof()
            self._steer_reading()
        else:
            transport.close()

    def _activity(self) -> tuple[str, int, float]:
        """Return what we are at, a number that changes as it moves, and how long it may stand still."""
        limits, reader, transport = self._shared.limits, self._reader, self._transport
        if transport is None:
            return "cancelling", 0, float("inf")
        if self._ending or self._writing_paused:
            unflushed = transport.get_write_buffer_size()
            patience = limits.write_timeout_seconds if unflushed else limits.linger_timeout_seconds
            return "flushing", unflushed // limits.progress_bytes_min, patience
        if self._running or self._parsed:
            return "answering", 0, float("inf")
        if reader.phase == IDLE:
            return "idle", reader.completed, limits.idle_timeout_seconds
        if reader.phase == IN_HEAD:
            return "head", reader.completed, limits.header_timeout_seconds
        return "body", reader.body_bytes // limits.progress_bytes_min, limits.body_timeout_seconds

    def _give_up(self, activity: str) -> None:
        if activity == "flushing":
            self.abort()
        elif activity == "idle":
            self._finish()
        else:
            self._refuse(Refused(408, f"The {activity} did not arrive in time."))

    def _drop(self, exchange: Exchange) -> None:
        self._running.remove(exchange)
        self._release(exchange.request)

    def _drop_cancelled(self, exchange: Exchange, _task: "asyncio.Task[None]") -> None:
        self._drop(exchange)
        if not self._running:
            self._shared.forget(self)

    def _release(self, request: Request | None) -> None:
        if request is not None:
            self._shared.budget.used_bytes -= len(request.body)


def _fail(request: Request, error: BaseException) -> Response:
    log.error(
        "request.failed",
        method=request.method,
        path=request.path,
        error=type(error).__name__,
        exc_info=error,
    )
    return _FAILED
