"""What a connection works with: one request and the place of its answer, and what all connections share."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from forebay.core.http import Answer, Request, Response
from forebay.wire.answers import AnswerRenderer
from forebay.wire.limits import ServerLimits
from forebay.wire.request_reader import BodyBudget

# A plain response is written at once; only an awaitable costs a task.
Handler = Callable[[Request], Response | Awaitable[Answer]]


class ServedConnection(Protocol):
    """What the server asks of a connection."""

    def sweep(self, now: float) -> None:
        """Give up if nothing has moved for too long; `now` is loop time."""
        ...

    def drain(self) -> None:
        """Close after the requests under way have been answered."""
        ...

    def abort(self) -> None:
        """Close without ceremony."""
        ...


class Exchange:
    """A request (or a refusal, which has none) and the place of its answer in the order."""

    __slots__ = ("persistence", "request", "response", "task", "turn")

    def __init__(self, request: Request | None, persistence: str) -> None:
        self.request = request
        self.persistence = persistence
        self.task: asyncio.Task[None] | None = None
        self.response: Response | None = None
        # Set when a streamed answer is the next to be written, for one that had to wait.
        self.turn: asyncio.Event | None = None


class Shared:
    """What the connections of one server have in common."""

    __slots__ = ("budget", "connections", "draining", "emptied", "handler", "limits", "loop", "names", "renderer")

    def __init__(self, handler: Handler, limits: ServerLimits, loop: asyncio.AbstractEventLoop) -> None:
        self.handler = handler
        self.limits = limits
        self.loop = loop
        self.renderer = AnswerRenderer()
        self.budget = BodyBudget()
        self.names: dict[bytes, str] = {}
        self.connections: set[ServedConnection] = set()
        self.draining = False
        # Set when the last connection has ended and none of its tasks runs any more.
        self.emptied = asyncio.Event()

    def forget(self, connection: ServedConnection) -> None:
        """Strike `connection` off the list."""
        self.connections.discard(connection)
        if not self.connections:
            self.emptied.set()
