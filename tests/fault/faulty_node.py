"""A node whose machine's clock can be moved, and whose PostgreSQL schema can be a version ahead of everyone's.

    FAULT_CLOCK=<file of 8 bytes, a double> [FAULT_FUTURE=1] [FAULT_LIES=1] python -m tests.fault.faulty_node serve ...

The clock is moved by writing seconds into the file, at any time: what reads the machine's time sees a jump, as after a
wrong NTP step. With FAULT_LIES the embedded store does not wait for the disk: so a checker must fail then.
"""

import mmap
import os
import struct
import time
from pathlib import Path
from types import SimpleNamespace

from forebay.cli.main import main
from forebay.core import clock
from forebay.store.postgres import schema
from forebay.store.sqlite import connection


def move_clock(path):
    with Path(path).open("r+b") as file:
        shown = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)

    def shifted():
        return time.time() + struct.unpack("d", shown[:8])[0]

    clock.time = SimpleNamespace(time=shifted, monotonic=time.monotonic)


def add_future_version():
    scripts = schema._scripts()
    newest = max(scripts)
    scripts[newest + 1] = f"-- compatible: {newest}\nALTER TABLE message ADD COLUMN future TEXT DEFAULT 'x';"
    schema._scripts = lambda: scripts


def stop_syncing():
    pragmas = connection._WRITER_PRAGMAS
    connection._WRITER_PRAGMAS = tuple(text.replace("synchronous = FULL", "synchronous = OFF") for text in pragmas)


if __name__ == "__main__":
    move_clock(os.environ["FAULT_CLOCK"])
    if os.environ.get("FAULT_FUTURE"):
        add_future_version()
    if os.environ.get("FAULT_LIES"):
        stop_syncing()
    main()
