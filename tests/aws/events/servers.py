"""An HTTP server that API destinations call, and that notes what it was asked."""

import json
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Asked:
    """One request as it came in; names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: str

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """What was asked, and what is answered: status, headers and body by path (without query), in turn."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list[Asked])
    answers: dict[str, list[tuple[int, Mapping[str, str], str]]] = field(default_factory=dict[str, Any])

    def answer(self, path: str, status: int, body: str = "", headers: Mapping[str, str] | None = None) -> None:
        """Let the next request to a path be answered so; the last answer holds on."""
        self.answers.setdefault(path, []).append((status, headers or {}, body))

    def at(self, path: str) -> list[Asked]:
        """Return the requests to a path."""
        return [asked for asked in self.asked if asked.path.split("?")[0] == path]


@contextmanager
def serving() -> Generator[Server]:
    """Serve on a free port."""
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Write nothing."""

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            headers = {name.lower(): text for name, text in self.headers.items()}
            server.asked.append(Asked(self.command, self.path, headers, body))
            answers = server.answers.get(self.path.split("?")[0], [(200, {}, "")])
            status, given, text = answers.pop(0) if len(answers) > 1 else answers[0]
            self.send_response(status)
            for name, value in {**given, "Content-Length": str(len(text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = handle_any  # noqa: N815 - their names there

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{listener.server_port}"
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
