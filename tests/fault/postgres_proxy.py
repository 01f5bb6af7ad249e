"""A proxy on a Unix socket between a node and PostgreSQL, which can cut a connection at a commit."""

import contextlib
import select
import socket
import threading
from pathlib import Path

from forebay.store.postgres import connection as engine_connection

SOCKET_NAME = ".s.PGSQL.5432"


class Proxy:
    """Forwards bytes both ways. `cut_at_commit` says what becomes of the next commit that passes."""

    def __init__(self, server, folder):
        self.upstream = server.folder / SOCKET_NAME
        self.url = server.url.replace(str(server.folder), str(folder))
        # None, "before" (the server never hears of it) or "after" (it does it, and the answer is lost).
        self.cut_at_commit = None
        self.cuts = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(Path(folder) / SOCKET_NAME))
        self._listener.listen()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self):
        # Closing alone does not wake who accepts.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client):
        # A line that breaks on one side is cut on the other.
        with client, socket.socket(socket.AF_UNIX) as server, contextlib.suppress(OSError):
            server.connect(str(self.upstream))
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(1 << 20)
                    if not data:
                        return
                    if ready is server:
                        client.sendall(data)
                    elif self._is_cut(data, server):
                        return

    def _is_cut(self, data, server):
        """Forward what the client says; return whether the line is to be cut now."""
        cut = self.cut_at_commit if engine_connection._COMMIT.name in data else None
        if cut is None:
            server.sendall(data)
            return False
        self.cut_at_commit = None
        self.cuts += 1
        if cut == "after":
            server.sendall(data)
            # The last answer to a commit is ReadyForQuery, idle.
            answer = b""
            while not answer.endswith(b"Z\x00\x00\x00\x05I"):
                answer += server.recv(1 << 20)
        return True
