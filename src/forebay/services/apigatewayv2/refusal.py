"""How a request to an API ends without an integration's answer."""

import msgspec

from forebay.core.http import Response

_TEXTS = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    413: "Request Entity Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class Refusal(Exception):
    """The request is answered with this status; `detail` is for the access log.

    `challenge` tells the client how to ask (`www-authenticate`).
    """

    def __init__(self, status: int, detail: str = "", *, challenge: str | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.challenge = challenge

    @property
    def text(self) -> str:
        """What the client is told."""
        return _TEXTS[self.status]

    def response(self) -> Response:
        """Return the answer as HTTP APIs give it."""
        body = msgspec.json.encode({"message": self.text})
        challenge = () if self.challenge is None else (("www-authenticate", self.challenge),)
        return Response(self.status, (("content-type", "application/json"), *challenge), body)
