"""Rounds of faults under load, each followed by a check of everything that was ever acknowledged.

    .venv/bin/python -m tests.fault.rounds --rounds 200 [--store sqlite|postgres|both] [--fault NAME] [--seed N]

With the embedded store the node stands on a disk of its own (a loop device, which needs root). With PostgreSQL two
nodes share a private server, one of them through a proxy that can cut its connection inside a commit.
"""

import argparse
import contextlib
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from tests.fault.disk import Disk
from tests.fault.kill import free_port
from tests.fault.ledger import QUEUES, Client, Ledger, Load, Unanswered, counts, drain
from tests.fault.postgres_proxy import Proxy
from tests.postgres import PostgresServer

_ROOT = Path(__file__).parents[2]
_START_SECONDS = 30.0
_DRAIN_SECONDS = 240.0
_HOUR = 3600.0


class MachineClock:
    """What the nodes take for the machine's time, as seconds ahead of it."""

    def __init__(self, folder):
        self.path = folder / "clock"
        self.shift = self.highest = 0.0
        self.move_to(0.0)

    def move_to(self, shift):
        self.shift = shift
        self.highest = max(self.highest, shift)
        # In place: nodes have the file mapped.
        with contextlib.suppress(FileNotFoundError), self.path.open("r+b") as file:
            file.write(struct.pack("d", shift))
            return
        self.path.write_bytes(struct.pack("d", shift))

    def move_past_everything(self):
        """Let every visibility timeout that was ever set be over."""
        self.move_to(self.highest + 10)


class NodeProcess:
    """A node in a process of its own."""

    def __init__(self, clock, *arguments):
        self.port = free_port()
        self._clock = clock
        self._arguments = arguments
        self.process = None

    def start(self, **environment):
        command = [sys.executable, "-m", "tests.fault.faulty_node", "serve", "--log-level", "error"]
        command += ["--port", str(self.port), *self._arguments]
        environment = {**os.environ, "FAULT_CLOCK": str(self._clock.path), **environment}
        self.process = subprocess.Popen(command, cwd=_ROOT, env=environment, stderr=subprocess.DEVNULL)

    def wait_up(self):
        until = time.monotonic() + _START_SECONDS
        while not self.is_answering():
            assert self.process.poll() is None, f"the node ended by itself ({self.process.returncode})"
            assert time.monotonic() < until, "the node does not answer"
            time.sleep(0.02)

    def is_answering(self):
        client = Client([self.port])
        try:
            return client.call("ListQueues", MaxResults=1)[0] == 200
        except Unanswered:
            return False
        finally:
            client.close()

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    @contextlib.contextmanager
    def held(self):
        """Hold the process still, with no system call of it under way.

        A sync that the kernel works on while its file system is aborted or shut down may be answered with success
        (ext4, Linux 6.18, seen with a bare loop of writes and syncs), which no program can help.
        """
        self.process.send_signal(signal.SIGSTOP)
        while not all(_is_held(path) for path in Path(f"/proc/{self.process.pid}/task").iterdir()):
            time.sleep(0.002)
        yield
        self.process.send_signal(signal.SIGCONT)

    def exit_code(self):
        return self.process.wait(_START_SECONDS)


# --- the embedded store ---


class SqliteWorld:
    """One node on a disk of its own."""

    # Faults after which the disk is mounted anew, for which nobody else must hold it.
    remounting = frozenset({"read-only", "power"})

    def __init__(self, folder):
        self.clock = MachineClock(folder)
        self.disk = Disk(folder)
        self.node = NodeProcess(self.clock, "--data", str(self.disk.path / "data"))
        self.nodes = [self.node]
        self.faults = {
            "kill": self.kill,
            "full": self.full,
            "full-kill": self.full_kill,
            "read-only": self.read_only,
            "power": self.power,
            "frozen": self.frozen,
            "clock-forward": lambda pause: jump(self.clock, _HOUR, pause),
            "clock-back": lambda pause: jump(self.clock, -_HOUR, pause),
        }

    def start(self):
        self.node.start()
        self.node.wait_up()

    def kill(self, pause):
        self.node.kill()
        pause()
        self.node.start()

    def full(self, pause):
        self.disk.fill()
        pause()
        self.disk.free()

    def full_kill(self, pause):
        self.disk.fill()
        pause()
        self.node.kill()
        # On a full disk it may start or refuse, but it must not harm what is there.
        self.node.start()
        pause()
        self.node.kill()
        self.disk.free()
        self.node.start()

    def read_only(self, pause):
        with self.node.held():
            self.disk.make_read_only()
        pause()
        self._mount_anew(pause)

    def power(self, pause):
        with self.node.held():
            self.disk.lose()
        pause()
        self._mount_anew(pause)

    def frozen(self, pause):
        self.disk.freeze()
        pause()
        self.disk.thaw()

    def _mount_anew(self, pause):
        self.node.kill()
        self.disk.unmount()
        # Replay the journal, then try to start where nothing can be written.
        self.disk.mount()
        self.disk.unmount()
        self.disk.mount("ro")
        self.node.start()
        assert self.node.exit_code() == 2, "a node started on a read-only disk"
        pause()
        self.disk.unmount()
        self.disk.mount()
        self.node.start()

    def close(self):
        self.node.kill()
        self.disk.remove()


# --- PostgreSQL ---


class PostgresWorld:
    """Two nodes on one server; the first reaches it through a proxy."""

    def __init__(self, folder):
        self.clock = MachineClock(folder)
        self.server = PostgresServer()
        self.server.start()
        socket_folder = folder / "proxy"
        socket_folder.mkdir()
        self.proxy = Proxy(self.server, socket_folder)
        stores = (self.proxy.url, self.server.url)
        self.nodes = [
            NodeProcess(self.clock, "--store", url, "--data", str(folder / f"data-{number}"))
            for number, url in enumerate(stores)
        ]
        self.is_ahead = False
        self.faults = {
            "kill": self.kill,
            "kill-postgres": self.kill_postgres,
            "frozen-postgres": self.freeze_postgres,
            "cut-before-commit": lambda pause: self.cut("before", pause),
            "cut-after-commit": lambda pause: self.cut("after", pause),
            "schema-lag": self.lag,
            "clock-forward": lambda pause: jump(self.clock, _HOUR, pause),
            "clock-back": lambda pause: jump(self.clock, -_HOUR, pause),
        }

    def start(self):
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            node.wait_up()

    def kill(self, pause):
        self.nodes[0].kill()
        pause()
        self.nodes[0].start()

    def kill_postgres(self, pause):
        self.server.kill()
        pause()
        self.server.start()

    def freeze_postgres(self, pause):
        pids = [self.server.pid, *_children(self.server.pid)]
        _signal(pids, signal.SIGSTOP)
        pause()
        _signal(pids, signal.SIGCONT)

    def cut(self, where, pause):
        for _ in range(5):
            self.proxy.cut_at_commit = where
            pause()

    def lag(self, pause):
        """Bring the second node to the next version, whose migration runs while the first one works."""
        self.nodes[1].kill()
        self.nodes[1].start(FAULT_FUTURE="1")
        pause()
        pause()
        if not self.is_ahead:
            # A node of the older version also starts on the newer schema.
            self.nodes[0].kill()
            self.nodes[0].start()
            self.is_ahead = True

    def close(self):
        for node in self.nodes:
            node.kill()
        self.proxy.close()
        self.server.remove()


def _is_held(task):
    return (task / "stat").read_text().rpartition(")")[2].split()[0] == "T"


def _children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _signal(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def jump(clock, seconds, pause):
    clock.move_to(clock.shift + seconds)
    pause()


def _print(store, line):
    print(store, line, flush=True)  # noqa: T201 - a command


WORLDS = {"sqlite": SqliteWorld, "postgres": PostgresWorld}


# --- rounds ---


def run_rounds(world, rounds, seed, report, only=None, without=frozenset()):
    """Let faults strike, in turn and in an order of chance, and check after each; return the ledger."""
    chance = random.Random(seed)
    ledger = Ledger()
    world.start()
    ports = [node.port for node in world.nodes]
    with contextlib.closing(Client(ports)) as client:
        for name, attributes in QUEUES.items():
            assert client.call("CreateQueue", QueueName=name, Attributes=attributes)[0] == 200
    names = []
    for number in range(1, rounds + 1):
        names = names or chance.sample(sorted(set(world.faults) - without), len(set(world.faults) - without))
        name = only or names.pop()
        try:
            _round(world, ports, ledger, world.faults[name], chance)
        except AssertionError as error:
            error.add_note(f"in round {number} ({name})")
            raise
        assert not ledger.failures, f"round {number} ({name}): {ledger.failures[:3]}"
        lost = ledger.lost()
        assert not lost, f"round {number} ({name}): {len(lost)} lost, such as {sorted(lost)[:3]}"
        left = _left(world, ports, ledger)
        assert not any(left.values()), f"round {number} ({name}): empty queues say that they hold {left}"
        report(
            f"round {number}: {name}; so far {len(ledger.sent)} sent, {ledger.received} received, "
            f"{len(ledger.deleted)} deleted; nothing lost, doubled or out of order"
        )
    return ledger


def _left(world, ports, ledger):
    """Return what empty queues say that they hold, after whatever was still in flight has come back and gone."""
    for _ in range(3):
        left = {queue: counts(ports, queue) for queue in QUEUES}
        if not any(left.values()):
            break
        world.clock.move_past_everything()
        drain(ports, ledger, _DRAIN_SECONDS)
    return left


def _round(world, ports, ledger, strike, chance):
    load = Load(ports, ledger, lambda: world.clock.shift)
    load.start()
    time.sleep(chance.uniform(0.2, 0.7))
    strike(lambda: time.sleep(chance.uniform(0.1, 0.8)))
    for node in world.nodes:
        node.wait_up()
    time.sleep(chance.uniform(0.2, 0.5))
    load.stop()
    world.clock.move_past_everything()
    drain(ports, ledger, _DRAIN_SECONDS)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--store", choices=[*WORLDS, "both"], default="both")
    parser.add_argument("--fault", help="only this one")
    arguments = parser.parse_args()
    stores = list(WORLDS) if arguments.store == "both" else [arguments.store]
    for store in stores:
        with tempfile.TemporaryDirectory() as folder:
            world = WORLDS[store](Path(folder))
            try:
                rounds = arguments.rounds // len(stores)
                run_rounds(world, rounds, arguments.seed, partial(_print, store), arguments.fault)
            finally:
                world.close()


if __name__ == "__main__":
    main()
