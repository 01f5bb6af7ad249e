"""A small file system in a file, which can be full, frozen, read-only or gone, as often as a test likes."""

import contextlib
import fcntl
import os
import struct
import subprocess
import time

# Linux: EXT4_IOC_SHUTDOWN without flushing the journal. What was not synced is lost, as when the power goes.
_SHUTDOWN = 0x8004587D
_WITHOUT_LOG = 2

MEGABYTES = 96


class Disk:
    """An ext4 file system on a loop device, mounted at `path`."""

    def __init__(self, folder):
        self.image = folder / "disk.img"
        self.path = folder / "disk"
        self.path.mkdir()
        with self.image.open("wb") as file:
            file.truncate(MEGABYTES * 1024 * 1024)
        _run("mkfs.ext4", "-q", "-F", self.image)
        self.mount()

    def mount(self, *options):
        # The loop device of the mount before may still be on its way out.
        for pause in (0.1, 0.5, 2.0, None):
            try:
                _run("mount", "-o", ",".join(("loop", *options)), self.image, self.path)
            except subprocess.CalledProcessError:
                if pause is None:
                    raise
                time.sleep(pause)
            else:
                return

    def unmount(self):
        _run("umount", self.path)

    def fill(self):
        """Leave no room."""
        with (self.path / "ballast").open("wb", buffering=0) as file:
            for size in (1 << 20, 1 << 16, 1 << 12, 1 << 9):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"\0" * size)
            os.fsync(file.fileno())

    def free(self):
        """Give the room back."""
        (self.path / "ballast").unlink(missing_ok=True)

    def freeze(self):
        """Let every write and sync hang."""
        _run("fsfreeze", "-f", self.path)

    def thaw(self):
        _run("fsfreeze", "-u", self.path)

    def make_read_only(self):
        """Abort the journal, as ext4 does after an error: from now on nothing can be written, until mounted anew."""
        _run("mount", "-o", "remount,abort", self.path)

    def lose(self):
        """Cut the power of the disk: what was not synced is gone, and everything fails until it is mounted anew."""
        handle = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, _SHUTDOWN, struct.pack("I", _WITHOUT_LOG))
        finally:
            os.close(handle)

    def remove(self):
        with contextlib.suppress(subprocess.CalledProcessError):
            self.unmount()
        self.image.unlink(missing_ok=True)


def can_mount(folder):
    """Return whether this user can have such disks here."""
    if os.geteuid() != 0:
        return False
    try:
        disk = Disk(folder)
    except (OSError, subprocess.CalledProcessError):
        return False
    disk.remove()
    disk.path.rmdir()
    return True


def _run(*command):
    subprocess.run([str(word) for word in command], check=True, capture_output=True)
