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
_PATIENCE_SECONDS = 60.0


class Disk:
    """An ext4 file system on a loop device, mounted at `path`."""

    def __init__(self, folder):
        self.image = folder / "disk.img"
        self.path = folder / "disk"
        self.path.mkdir()
        with self.image.open("wb") as file:
            file.truncate(MEGABYTES * 1024 * 1024)
        _run("mkfs.ext4", "-q", "-F", self.image)
        # One device for all mounts: one that `mount` makes by itself may linger, and be found again as it was.
        self.device = _run("losetup", "--find", "--show", self.image)
        try:
            self.mount()
        except subprocess.CalledProcessError:
            _run("losetup", "--detach", self.device)
            raise

    def mount(self, *options):
        _run("mount", "-o", ",".join(("defaults", *options)), self.device, self.path)

    def unmount(self):
        _run("umount", self.path)
        # A process with mounts of its own that was started meanwhile (a function, say) holds a copy of ours until it
        # ends, and with it the file system as it is.
        until = time.monotonic() + _PATIENCE_SECONDS
        while not self._is_free():
            assert time.monotonic() < until, "another process holds the disk"
            time.sleep(0.02)

    def _is_free(self):
        try:
            os.close(os.open(self.device, os.O_RDONLY | os.O_EXCL))
        except OSError:
            return False
        return True

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
            _run("umount", self.path)
        with contextlib.suppress(subprocess.CalledProcessError):
            _run("losetup", "--detach", self.device)
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
    done = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)
    return done.stdout.strip()
