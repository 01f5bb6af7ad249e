"""`forebay backup` and `forebay restore`: a data folder's copy, made while its node runs, and the way back.

A backup is a folder, or with a name that ends in .tar or .tar.gz one file. A PostgreSQL store is PostgreSQL's to back
up; what is printed then says how.
"""

import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import click

from forebay.core.clock import Clock
from forebay.core.errors import ConfigError
from forebay.store.sqlite import backup as copies

F = TypeVar("F", bound=Callable[..., Any])

_FILE_SUFFIXES = (".tar", ".tar.gz", ".tgz")


def _place_options(function: F) -> F:
    for option in (
        click.option("--store", envvar="FOREBAY_STORE", help="URL of the store, as for `serve`."),
        click.option(
            "--data",
            envvar="FOREBAY_DATA",
            default=".forebay",
            show_default=True,
            type=click.Path(path_type=Path),
            help="Data folder of the node.",
        ),
    ):
        function = option(function)
    return function


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@_place_options
def backup(target: Path, *, data: Path, store: str | None) -> None:
    """Copy the data of a node to TARGET (a new folder, or a new file that ends in .tar or .tar.gz), also while it runs.

    TARGET appears when it is whole and on disk, never before.
    """
    _refuse_postgres(store, "pg_dump --format=custom --schema=forebay --file=TARGET URL")
    with _progress("Copying") as progress:
        if target.name.endswith(_FILE_SUFFIXES):
            manifest = _pack(data, target, progress)
        else:
            manifest = copies.back_up(data, target, Clock().now(), progress)
    click.echo(f"{target}: {manifest.database_bytes} bytes of data and {manifest.blobs} blobs.")


@click.command()
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.option("--replace", "is_replacing", is_flag=True, help="Replace the store that the data folder holds.")
@_place_options
def restore(source: Path, *, is_replacing: bool, data: Path, store: str | None) -> None:
    """Make the data folder of a node, which must not run, what the backup SOURCE holds, if that is whole."""
    _refuse_postgres(store, "pg_restore --clean --if-exists --dbname=URL SOURCE")
    with _unpacked(source, data) as folder, _progress("Restoring") as progress:
        manifest = copies.restore(folder, data, is_replacing=is_replacing, progress=progress)
    click.echo(f"{data}: {manifest.database_bytes} bytes of data and {manifest.blobs} blobs.")


def _refuse_postgres(store: str | None, command: str) -> None:
    if store is not None and store.startswith(("postgres://", "postgresql://")):
        raise ConfigError(
            f"A PostgreSQL store holds everything in its database, and PostgreSQL copies it consistently: {command}. "
            "See docs/how-to/back-up-and-restore."
        )


@contextmanager
def _progress(label: str) -> Generator[copies.Progress]:
    """Show progress on a terminal, and nothing elsewhere."""
    is_shown = sys.stderr.isatty()

    def show(done: int, total: int) -> None:
        if is_shown:
            click.echo(f"\r{label} {done * 100 // max(total, 1):>3} %", nl=False, err=True)

    try:
        yield show
    finally:
        if is_shown:
            click.echo(err=True)


def _pack(data: Path, target: Path, progress: copies.Progress) -> copies.Manifest:
    if target.exists():
        raise ConfigError(f"{target} is there already; a backup is not written over anything.")
    partial = target.with_name(f".{target.name}.partial")
    folder = target.with_name(f".{target.name}.folder")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        manifest = copies.back_up(data, folder, Clock().now(), progress)
        # The least compression: bodies and code gain little by more, and it costs minutes.
        options: dict[str, Any] = {"mode": "w"} if target.suffix == ".tar" else {"mode": "w:gz", "compresslevel": 1}
        with tarfile.open(partial, **options) as archive:
            archive.add(folder, "backup")
        copies.move_into_place(partial, target)
    except (OSError, tarfile.TarError) as error:
        raise ConfigError(f"The backup of {data} failed, nothing is left of it: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
    return manifest


@contextmanager
def _unpacked(source: Path, data: Path) -> Generator[Path]:
    """Give the folder of a backup, unpacked beside the data folder where it is a file."""
    if source.is_dir():
        yield source
        return
    data.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=data.parent, prefix=".forebay-restore-") as folder:
        try:
            with tarfile.open(source) as archive:
                _unpack(archive, folder)
        except (OSError, EOFError, tarfile.TarError) as error:
            raise ConfigError(f"{source} is no backup of Forebay: {error}") from error
        yield Path(folder) / "backup"


def _unpack(archive: tarfile.TarFile, folder: str) -> None:
    """Unpack what backups consist of; anything else, or a way out of the folder, makes it no backup."""
    for member in archive:
        path = PurePosixPath(member.name)
        if not (member.isfile() or member.isdir()) or path.is_absolute() or ".." in path.parts:
            raise tarfile.ReadError(f"{member.name} is nothing that a backup holds")
    # Python before 3.11.4 has no filters.
    archive.extraction_filter = getattr(tarfile, "data_filter", None)
    archive.extractall(folder)  # noqa: S202 - the members were looked at
