"""Processes and memory as Linux's /proc tells them: a tree of processes, what it uses, and whose a socket is.

On systems without /proc the answers are empty: memory limits are then not watched and connections not checked.
"""

import os
from collections.abc import Iterable
from pathlib import Path

HAS_PROC = Path("/proc/self/task").exists()

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_MEGABYTE = 1024 * 1024


def process_tree(root_pid: int) -> list[int]:
    """Return the process and all its descendants, parents first."""
    pids = [root_pid]
    for pid in pids:
        pids.extend(_children(pid))
    return pids


def resident_mb(pids: Iterable[int]) -> float:
    """Return the memory that processes hold now, shared pages counted once for each."""
    return sum(_resident_bytes(pid) for pid in pids) / _MEGABYTE


def peak_resident_mb(pid: int) -> float:
    """Return the most memory that one process has held."""
    try:
        status = Path(f"/proc/{pid}/status").read_bytes()
    except OSError:
        return 0.0
    _, found, rest = status.partition(b"VmHWM:")
    return int(rest.split(maxsplit=1)[0]) / 1024 if found else 0.0


def processes_with(environment_part: bytes) -> list[int]:
    """Return the processes whose starting environment contains `environment_part`."""
    found: list[int] = []
    for entry in _list("/proc"):
        if entry.isdecimal():
            try:
                if environment_part in Path(f"/proc/{entry}/environ").read_bytes():
                    found.append(int(entry))
            except OSError:
                continue  # ended meanwhile, or another user's
    return found


def holds_loopback_socket(pids: Iterable[int], local_port: int, remote_port: int) -> bool:
    """Return whether one of the processes holds the IPv4 loopback connection from `local_port` to `remote_port`."""
    inode = _find_inode(local_port, remote_port)
    if inode is None:
        return False
    wanted = f"socket:[{inode}]"
    for pid in pids:
        for descriptor in _list(f"/proc/{pid}/fd"):
            try:
                if os.readlink(f"/proc/{pid}/fd/{descriptor}") == wanted:  # noqa: PTH115 - hundreds of plain texts
                    return True
            except OSError:
                continue  # closed meanwhile
    return False


def _find_inode(local_port: int, remote_port: int) -> str | None:
    # The kernel prints 127.0.0.1:8080 as 0100007F:1F90 on little-endian machines; the ports alone identify it here.
    local, remote = f":{local_port:04X}".encode(), f":{remote_port:04X}".encode()
    try:
        table = Path("/proc/net/tcp").read_bytes()
    except OSError:
        return None
    for line in table.splitlines():
        if local in line and remote in line:
            fields = line.split()
            if fields[1].endswith(local) and fields[2].endswith(remote):
                return fields[9].decode()
    return None


def _children(pid: int) -> list[int]:
    children: list[int] = []
    for thread in _list(f"/proc/{pid}/task"):
        try:
            children += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_bytes().split())
        except OSError:
            continue  # ended meanwhile
    return children


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0


def _list(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names, not paths
    except OSError:
        return []
