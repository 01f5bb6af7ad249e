"""Bytes to requests: one reader per connection, around httptools' parser (llhttp in its strict mode).

llhttp refuses what smuggles requests (both framings, two lengths, bad chunks, folded lines, bare CR or LF, NUL);
this reader adds the rules that need more than one line of the head, and bounds everything that a client could
make grow. A request that breaks a rule ends in `Refused`; nothing after it can be trusted, so the connection
must be closed. No I/O here: bytes in, requests out.
"""

import re
from collections.abc import Callable
from typing import Final, cast

import httptools

from forebay.core.http import Request
from forebay.wire.limits import ServerLimits

# Where a reader stands between two calls of `feed`.
IDLE: Final = 0
IN_HEAD: Final = 1
IN_BODY: Final = 2

# How the connection goes on after a request, as the line that its answer must bear.
KEEP: Final = ""
KEEP_LEGACY: Final = "Connection: keep-alive\r\n"
CLOSE: Final = "Connection: close\r\n"

# The methods of API Gateway and of all services; llhttp would pass forty more (and RTSP's).
_METHODS: Final = {name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")}
_HOST: Final = re.compile(r"(?:[A-Za-z0-9_.~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_ABSOLUTE_TARGET: Final = re.compile(r"https?://([^/?#@]+)(/[^?]*)?(?:\?(.*))?", re.IGNORECASE)
# Names seen so far are kept to save decoding them again; a client that invents names must not fill the memory.
_NAMES_MAX: Final = 1024
# A chunk of one byte takes six on the wire; more framing than this is padding.
_FRAMING_BYTES_PER_BODY_BYTE_MAX: Final = 16
_new_tuple: Final = cast("Callable[[type[Request], tuple[object, ...]], Request]", tuple.__new__)
_SLICE_BYTES: Final = 16 * 1024


class Refused(Exception):
    """A request that cannot be served: the status and one sentence for the client."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class BodyBudget:
    """The bytes of all bodies received and not yet answered, over all connections of a server."""

    __slots__ = ("used_bytes",)

    def __init__(self) -> None:
        self.used_bytes = 0


class RequestReader:
    """Reads one connection's bytes and calls `deliver(request, persistence)` for each whole request.

    `persistence` is `KEEP`, `KEEP_LEGACY` (an HTTP/1.0 client that asks for it) or `CLOSE`.
    """

    __slots__ = (
        "_body",
        "_budget",
        "_deliver",
        "_framed_bytes",
        "_headers",
        "_host",
        "_known_host",
        "_known_target",
        "_legacy",
        "_limits",
        "_method",
        "_names",
        "_parser",
        "_path",
        "_peer",
        "_persistence",
        "_query",
        "_request_headers",
        "_secure",
        "_target",
        "_upgrading",
        "body_bytes",
        "completed",
        "phase",
        "slice_bytes",
        "wants_continue",
    )

    def __init__(
        self,
        deliver: Callable[[Request, str], None],
        limits: ServerLimits,
        budget: BodyBudget,
        names: dict[bytes, str],
        *,
        peer: str,
        secure: bool,
    ) -> None:
        self._deliver = deliver
        self._limits = limits
        self._budget = budget
        self._names = names
        self._peer = peer
        self._secure = secure
        # Where the last request went: mostly the next one goes there, too.
        self._known_host: str | None = None
        self._known_target: bytes | None = None
        # A head within one slice is within its bound, so that only longer ones need to be counted.
        self.slice_bytes = min(_SLICE_BYTES, limits.header_bytes_max)
        # What the connection's timers watch: where we stand, requests read, bytes of the body being read.
        self.phase = IDLE
        self.completed = 0
        self.body_bytes = 0
        # The client holds its body back until it reads `100 Continue`.
        self.wants_continue = False
        self._upgrading = False
        # Bytes fed since the head (or the body) began, in whole slices: bounds what the parser itself keeps.
        self._framed_bytes = 0
        self._target = b""
        self._headers: dict[str, str] = {}
        self._request_headers = self._headers
        self._body: bytes | bytearray = b""
        self._method = self._path = self._query = self._host = ""
        self._persistence = KEEP
        self._legacy = False
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)

    def feed(self, data: bytes | memoryview) -> None:
        """Read up to `slice_bytes` more bytes; raises `Refused`, after which only `abandon` may follow."""
        parser = self._parser
        assert parser is not None
        completed = self.completed
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.feed(self._decline_upgrade(bytes(data[upgrade.args[0] :])))
            return
        except httptools.HttpParserCallbackError as error:
            # Raised by a callback below; the parser wraps it.
            raise (error.__context__ or error) from None
        except httptools.HttpParserError as error:
            raise Refused(400, f"{error}.") from None
        if self.phase != IDLE:
            # A head that began behind another request has spanned two slices, too.
            self._framed_bytes += len(data) if completed == self.completed else 1
            self._check_framing()

    def abandon(self) -> None:
        """Give up the request being read, and free what it held (the parser and we refer to each other)."""
        self._budget.used_bytes -= self.body_bytes
        self.body_bytes = 0
        self._body = b""
        self.phase = IDLE
        self.wants_continue = False
        self._parser = None

    # The parser's callbacks, in the order of a request.

    def on_url(self, part: bytes) -> None:
        """Take the request target, or a further piece of it."""
        if self.phase == IDLE:
            self.phase = IN_HEAD
            self._target = part
            self._headers = {}
        elif self.phase == IN_HEAD:
            self._target += part
        if len(self._target) > self._limits.target_bytes_max:
            raise Refused(414, f"The request target exceeds {self._limits.target_bytes_max} bytes.")

    def on_header(self, raw_name: bytes, raw_value: bytes) -> None:
        """Take one header line (or one trailer line, which lands in a map that nobody reads)."""
        name = self._names.get(raw_name) or self._learn_name(raw_name)
        value = raw_value.decode("latin-1").rstrip(" \t")
        headers = self._headers
        if name in headers:
            if name == "host":
                raise Refused(400, "The Host header is repeated.")
            value = f"{headers[name]}{'; ' if name == 'cookie' else ','}{value}"
        headers[name] = value

    def on_headers_complete(self) -> None:
        """Judge the head as a whole."""
        if self.phase == IN_BODY:
            return  # The second head of a declined upgrade.
        parser, headers = self._parser, self._headers
        assert parser is not None
        method = _METHODS.get(parser.get_method())
        if method is None:
            raise Refused(501, "The method is not implemented.")
        self._method = method
        if "connection" in headers or not parser.should_keep_alive():
            self._read_persistence(parser)
        else:
            self._persistence = KEEP
            self._legacy = False
        if self._framed_bytes or len(headers) > self._limits.header_count_max:
            self._check_head_size()
        if self._target != self._known_target or headers.get("host") != self._known_host:
            self._read_target(headers.get("host"))
        if "content-length" in headers or "transfer-encoding" in headers or "expect" in headers:
            self._judge_body(headers)
        self._upgrading = "upgrade" in headers and parser.should_upgrade()
        self._request_headers = headers
        self.phase = IN_BODY
        self._framed_bytes = 0

    def on_body(self, part: bytes) -> None:
        """Take a piece of the body."""
        self.body_bytes += len(part)
        self._budget.used_bytes += len(part)
        if self.body_bytes > self._limits.body_bytes_max:
            raise Refused(413, f"The body exceeds {self._limits.body_bytes_max} bytes.")
        if self._budget.used_bytes > self._limits.buffered_body_bytes_max:
            raise Refused(503, "Too many request bodies are being held; try again.")
        if not self._body:
            self._body = part
            return
        # One growing buffer: a list of pieces would cost many times their size when the pieces are tiny.
        if not isinstance(self._body, bytearray):
            self._body = bytearray(self._body)
        self._body += part

    def on_message_complete(self) -> None:
        """Hand on the request; its body stays in the budget until whoever answers it takes it out."""
        if self._upgrading:
            return  # The body was passed over; `_decline_upgrade` has it read.
        body = self._body
        # What Request(...) comes to, without its detour through Python (0.2 us).
        request = _new_tuple(
            Request,
            (
                self._method,
                self._path,
                self._query,
                self._request_headers,
                body if type(body) is bytes else bytes(body),
                self._host,
                self._peer,
                self._secure,
            ),
        )
        self._body = b""
        self.body_bytes = 0
        self._framed_bytes = 0
        self.phase = IDLE
        self.wants_continue = False
        self.completed += 1
        self._deliver(request, self._persistence)

    # The rules of the head.

    def _learn_name(self, raw_name: bytes) -> str:
        name = raw_name.decode("latin-1").lower()
        if len(self._names) < _NAMES_MAX:
            self._names[raw_name] = name
        return name

    def _read_persistence(self, parser: httptools.HttpRequestParser) -> None:
        version = parser.get_http_version()
        if version not in {"1.1", "1.0"}:
            raise Refused(505, "The server speaks HTTP/1.1 and HTTP/1.0.")
        self._legacy = version == "1.0"
        if not parser.should_keep_alive():
            self._persistence = CLOSE
        else:
            self._persistence = KEEP_LEGACY if self._legacy else KEEP

    def _check_head_size(self) -> None:
        headers, limits = self._headers, self._limits
        if len(headers) > limits.header_count_max:
            raise Refused(431, f"The request has more than {limits.header_count_max} headers.")
        # `Name: value\r\n`: four bytes beside the name and the value.
        if sum(len(name) + len(value) + 4 for name, value in headers.items()) > limits.header_bytes_max:
            raise Refused(431, f"The headers exceed {limits.header_bytes_max} bytes.")

    def _read_target(self, host: str | None) -> None:
        if host is None and not self._legacy:
            raise Refused(400, "The Host header is missing.")
        self._host = host or ""
        if not _HOST.fullmatch(self._host):
            raise Refused(400, "The Host header is not a host.")
        target = self._target.decode("ascii")
        if "#" in target:
            raise Refused(400, "The request target has a fragment.")
        self._known_target = None
        if target[0] != "/":
            self._read_rare_target(target)
            return
        self._path, _, self._query = target.partition("?")
        if host is not None:
            self._known_host, self._known_target = host, self._target

    def _read_rare_target(self, target: str) -> None:
        if target == "*" and self._method == "OPTIONS":
            self._path, self._query = target, ""
            return
        match = _ABSOLUTE_TARGET.fullmatch(target)
        if match is None or not _HOST.fullmatch(match[1]):
            raise Refused(400, "The request target is neither a path nor an absolute URL.")
        # RFC 9112, 3.2.2: the authority of an absolute target stands in for the Host header.
        self._host, self._path, self._query = match[1], match[2] or "/", match[3] or ""

    def _judge_body(self, headers: dict[str, str]) -> None:
        if "transfer-encoding" in headers:
            self._check_transfer_encoding(headers["transfer-encoding"])
        elif int(headers.get("content-length", 0)) > self._limits.body_bytes_max:
            raise Refused(413, f"The body exceeds {self._limits.body_bytes_max} bytes.")
        if "expect" in headers:
            self._read_expectation(headers["expect"])

    def _check_transfer_encoding(self, codings: str) -> None:
        if self._legacy:
            # RFC 9112, 6.1: such a message's framing is faulty.
            raise Refused(400, "HTTP/1.0 has no Transfer-Encoding.")
        if codings.lower() != "chunked":
            raise Refused(501, "The only transfer coding implemented is chunked.")
        # Trailers are read into a map of their own: they must not pass for headers that were judged.
        self._request_headers, self._headers = self._headers, {}

    def _read_expectation(self, expectation: str) -> None:
        if self._legacy:
            return  # RFC 9110, 10.1.1: ignored in an HTTP/1.0 request.
        if expectation.lower() != "100-continue":
            raise Refused(417, "The only expectation met is 100-continue.")
        self.wants_continue = True

    def _check_framing(self) -> None:
        limits = self._limits
        if self.phase == IN_HEAD:
            if self._framed_bytes > limits.header_bytes_max:
                raise Refused(431, f"The headers exceed {limits.header_bytes_max} bytes.")
        elif (
            self._framed_bytes
            > _FRAMING_BYTES_PER_BODY_BYTE_MAX * self.body_bytes
            + limits.header_bytes_max
            + self.slice_bytes  # the head's last slice is counted, too
        ):
            raise Refused(400, "The body is mostly chunk extensions or trailers.")

    def _decline_upgrade(self, rest: bytes) -> bytes:
        """Return what to parse next to go on as if no upgrade had been asked for (RFC 9110, 7.8).

        The parser has skipped the body, whose bytes begin `rest`. A head with nothing but the framing, which the
        callbacks pass over, makes it read them. Java's HttpClient asks for h2c with its every first request.
        """
        self._upgrading = False
        head = "POST / HTTP/1.1\r\n"
        for name in ("content-length", "transfer-encoding"):
            if name in self._request_headers:
                head += f"{name}: {self._request_headers[name]}\r\n"
        self._headers = {}
        return f"{head}\r\n".encode("latin-1") + rest
