"""The way from a node to other HTTP servers, for API destinations and their tokens."""

import asyncio
import importlib
from typing import TYPE_CHECKING

from forebay.services.events import limits
from forebay.services.events.invocation import HttpAnswer, HttpRequest

if TYPE_CHECKING:
    import aiohttp


class NoAnswer(Exception):
    """A server did not answer: it cannot be reached, or not in time. The text says which."""


class HttpClient:
    """Connections to other servers, opened when first needed."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Send a request and return the answer; redirects are not followed.

        Raises:
            NoAnswer: there is none in time.
        """
        if self._session is None:
            # Loading it takes a fifth of a second, which no other request waits for.
            await asyncio.to_thread(importlib.import_module, "aiohttp")
        import aiohttp  # noqa: PLC0415 - see above
        import yarl  # noqa: PLC0415 - comes with aiohttp

        try:
            async with (
                asyncio.timeout(limits.INVOCATION_SECONDS_MAX),
                self._open().request(
                    request.method,
                    yarl.URL(request.url, encoded=True),
                    headers=request.headers,
                    data=request.body or None,
                    allow_redirects=False,
                ) as answer,
            ):
                body = await answer.content.read(limits.ANSWER_BYTES_MAX)
                return HttpAnswer(answer.status, {name.lower(): text for name, text in answer.headers.items()}, body)
        except TimeoutError:
            raise NoAnswer(f"No answer within {limits.INVOCATION_SECONDS_MAX:g} s") from None
        except (aiohttp.ClientError, ValueError, OSError) as error:
            raise NoAnswer(f"API destination endpoint cannot be reached ({type(error).__name__})") from None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> "aiohttp.ClientSession":
        import aiohttp  # noqa: PLC0415 - see send

        if self._session is None:
            self._session = aiohttp.ClientSession(
                # How many run at once is bounded by the dispatcher, and for each destination by its target.
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._session
