"""A private PostgreSQL server for tests, on a Unix socket in its own folder; it can be killed and started again."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

SUPERUSER = "forebay"


def binaries():
    """Return the folder of the newest server on this machine, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    return Path(initdb).parent if initdb else None


class PostgresServer:
    """One server. PostgreSQL refuses to run as root, so then it runs as another user.

    With `wal_folder` it keeps its log there, in segments of a mebibyte.
    """

    def __init__(self, wal_folder=None, **settings):
        self.bin = binaries()
        self.folder = Path(tempfile.mkdtemp(prefix="forebay-postgres-"))
        self.user = _unprivileged()
        if self.user:
            shutil.chown(self.folder, self.user, self.user)
        self.settings = {"listen_addresses": "", "unix_socket_directories": self.folder, **settings}
        options = () if wal_folder is None else (f"--waldir={wal_folder}", "--wal-segsize=1")
        options = ("-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", *options)
        self._run("initdb", "-D", self.data, *options)

    @property
    def data(self):
        return self.folder / "data"

    @property
    def url(self):
        return f"postgresql://{SUPERUSER}@/postgres?host={self.folder}"

    @property
    def pid(self):
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def start(self):
        options = " ".join(f"-c {name}='{value}'" for name, value in self.settings.items())
        self._run("pg_ctl", "-D", self.data, "-l", self.folder / "log", "-w", "-o", options, "start")

    def new_database(self, name: str) -> str:
        """Make a database and return its URL."""
        self._run("createdb", "-h", self.folder, "-U", SUPERUSER, name)
        return f"postgresql://{SUPERUSER}@/{name}?host={self.folder}"

    def stop(self, mode="fast"):
        self._run("pg_ctl", "-D", self.data, "-w", "-m", mode, "stop")

    def kill(self):
        """Kill every process of the server at once, as a machine's death does."""
        pid = self.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for one in (pid, *map(int, children)):
            try:
                os.kill(one, signal.SIGKILL)
            except ProcessLookupError:
                continue
        for one in (pid, *map(int, children)):
            # The next server takes the old one for alive until its parent has reaped it.
            while Path(f"/proc/{one}").exists():
                time.sleep(0.005)

    def remove(self):
        if (self.data / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self.folder)

    def _run(self, program, *arguments):
        command = [str(self.bin / program), *map(str, arguments)]
        # Not into a pipe: the server would keep it open.
        with (self.folder / "control.log").open("a+") as output:
            done = subprocess.run(
                command, user=self.user, group=self.user, cwd=self.folder, stdout=output, stderr=output, check=False
            )
            output.seek(0)
            assert done.returncode == 0, output.read()[-2000:]


def _unprivileged():
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise LookupError("no unprivileged user to run PostgreSQL as")
