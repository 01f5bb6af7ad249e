"""`forebay` as its own process, as a user runs it."""

import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

COMMAND = (sys.executable, "-m", "forebay")
_SERVES = re.compile(r"serves on (http\S+)")


def environment(**more):
    """Return this process's environment without settings of a user's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "FOREBAY_"))}
    return {**kept, "PYTHONUNBUFFERED": "1", **more}


def run(*arguments, **more):
    """Run a command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=60, env=environment(**more), check=False
    )


class Served:
    """A node as a process; `url` is where it serves."""

    def __init__(self, data, *arguments):
        self.process = subprocess.Popen(
            [*COMMAND, "serve", "--port", "0", "--data", str(data), *arguments],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env=environment(),
        )
        self.lines = []
        self.url = self._wait_for_url()

    def _wait_for_url(self):
        for line in self.process.stderr:
            self.lines.append(line)
            if found := _SERVES.search(line):
                return found[1]
        raise AssertionError("".join(self.lines))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)
        self.process.stderr.close()

    def interrupt(self, number=signal.SIGINT):
        """Send a signal; return the exit code and what was written since the start."""
        self.process.send_signal(number)
        rest = self.process.stderr.read()
        return self.process.wait(30), rest


class _Html(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, *_):
        return


@contextmanager
def serving_html():
    """Run a server that is no node; yield its URL."""
    with HTTPServer(("127.0.0.1", 0), _Html) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()
