"""The source that a reader reads: opened when it is first needed and again after it was lost."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import structlog

from forebay.core.errors import ServiceError

log = structlog.get_logger()

S = TypeVar("S")


class OpenedSource(Generic[S]):
    """One source by its ARN, for one target. `problem` says why nothing is read at present; empty when all is well."""

    def __init__(
        self,
        reader: str,
        arn: str,
        open_source: Callable[[], Awaitable[S | None]],
        find_problem: Callable[[], Awaitable[str | None]],
    ) -> None:
        self._reader = reader
        self._arn = arn
        self._open_source = open_source
        self._find_problem = find_problem
        self._source: S | None = None
        self.problem = ""

    async def find(self) -> S | None:
        """Return the source, or None while the target cannot take anything or the source is not there."""
        problem = await self._find_problem()
        if problem is None and self._source is None:
            self._source = await self._open_source()
            if self._source is None:
                problem = f"{self._arn} does not exist."
        self._note(problem or "")
        return None if problem else self._source

    def lose(self, error: ServiceError) -> None:
        """Open the source anew next time: it has answered with an error."""
        self._source = None
        self._note(error.message)

    def _note(self, problem: str) -> None:
        if problem and problem != self.problem:
            log.warning("reader.stuck", reader=self._reader, source=self._arn, problem=problem)
        self.problem = problem
