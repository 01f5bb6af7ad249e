"""The HTTP server: listens, sweeps over its connections, and drains.

The room's other files, in reading order: `limits` (the bounds), `request_reader` (bytes to requests), `answers`
(responses to bytes), `exchange` and `connection` (order, back-pressure, tasks), `tls`. It knows nothing of AWS: a
plain request goes to the handler, a plain response comes back. It runs on any asyncio loop; the node picks uvloop.
"""

import asyncio
import ssl

from forebay.core.clock import Clock
from forebay.wire.connection import Connection
from forebay.wire.exchange import Handler, Shared
from forebay.wire.limits import ServerLimits

__all__ = ["Handler", "Server", "ServerLimits"]

_BACKLOG = 2048
# After a drain's time is up: what a cancelled task may take to end.
_CANCEL_SECONDS = 1.0


class Server:
    """Serves `handler` on any number of addresses until drained.

    The handler returns a `Response`, which is written at once, or an awaitable of one, which is awaited in a task
    that is cancelled when the client goes away. The clock is asked only for the `Date` header, so that clients
    which correct their skew by it sign with the time that the node believes; timeouts run on real time.
    """

    def __init__(self, handler: Handler, limits: ServerLimits, clock: Clock, tls: ssl.SSLContext | None = None) -> None:
        self._handler = handler
        self._limits = limits
        self._clock = clock
        self._tls = tls
        self._listeners: list[asyncio.Server] = []
        self._shared: Shared | None = None
        self._sweeping: asyncio.TimerHandle | None = None

    @property
    def connection_count(self) -> int:
        """Return the number of open connections."""
        return len(self._shared.connections) if self._shared else 0

    async def start(self, host: str, port: int) -> int:
        """Listen on `host` and `port` (0: any free one) and return the port; may be called for several addresses.

        Raises `OSError` if the address cannot be had.
        """
        loop = asyncio.get_running_loop()
        if self._shared is None:
            self._shared = Shared(self._handler, self._limits, loop)
        shared = self._shared
        patience = self._limits.header_timeout_seconds if self._tls else None
        listener = await loop.create_server(
            lambda: Connection(shared),
            host,
            port,
            backlog=_BACKLOG,
            ssl=self._tls,
            ssl_handshake_timeout=patience,
            ssl_shutdown_timeout=self._limits.linger_timeout_seconds if self._tls else None,
        )
        self._listeners.append(listener)
        if self._sweeping is None:
            self._sweep()
        bound_port: int = listener.sockets[0].getsockname()[1]
        return bound_port

    async def drain(self, timeout_seconds: float) -> None:
        """Stop accepting, answer the requests under way with `Connection: close`, and return when all have gone.

        What is not done after `timeout_seconds` of real time is cancelled and its connection closed.
        """
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        if shared := self._shared:
            shared.draining = True
            for connection in tuple(shared.connections):
                connection.drain()
            if not await self._wait_emptied(shared, timeout_seconds):
                for connection in tuple(shared.connections):
                    connection.abort()
                await self._wait_emptied(shared, _CANCEL_SECONDS)
        if self._sweeping:
            self._sweeping.cancel()
            self._sweeping = None

    async def _wait_emptied(self, shared: Shared, timeout_seconds: float) -> bool:
        shared.emptied.clear()
        if not shared.connections:
            return True
        try:
            async with asyncio.timeout(timeout_seconds):
                await shared.emptied.wait()
        except TimeoutError:
            return False
        return True

    def _sweep(self) -> None:
        shared = self._shared
        assert shared is not None
        loop = shared.loop
        self._sweeping = loop.call_later(self._limits.sweep_seconds, self._sweep)
        shared.renderer.set_date(self._clock.now())
        now = loop.time()
        for connection in tuple(shared.connections):
            connection.sweep(now)
