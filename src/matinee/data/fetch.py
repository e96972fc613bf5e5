"""Download, verification and unpacking of archives into the cache folder.

A file gets its final name only when it is complete and its checksum is right. A cached archive with a wrong
checksum is neither read nor replaced silently.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pooch

from matinee.errors import DownloadError

CONNECT_SECONDS = 8
"""Timeout of one connection."""

READ_SECONDS = 60
"""Timeout between two blocks of a file."""

PIP_SECONDS = 90
"""Timeout of pip for one wheel."""

EXPANSION = 20
"""An archive that unpacks to more than this many times its size is refused."""


@dataclass(frozen=True)
class Archive:
    """A zip file or wheel: address, checksum, folder and reader.

    `address` is an https address, or `pip:NAME==VERSION` for a wheel of the package index. `sha256` must match,
    and `md5` too where the publisher states one; `size` in bytes. `folder` is the part inside that is unpacked,
    `reader` the kind in `data/readers/` that reads it. `checksum_source` is the origin of the checksum.
    """

    address: str
    file: str
    sha256: str
    size: int
    folder: str
    reader: str
    checksum_source: str
    md5: str = ""


class UnreachableError(Exception):
    """A source that could not be reached at all; the next one may be tried."""


def cache() -> Path:
    """Where archives and their folders are kept: `MATINEE_DATA`, or the user's cache folder."""
    named = os.environ.get("MATINEE_DATA")
    return Path(named).expanduser() if named else Path(pooch.os_cache("matinee"))


def cache_path(archive: Archive) -> Path:
    """The path of the archive in the cache, whether it is there or not."""
    return cache() / archive.file


def evict(name: str, archive: Archive) -> None:
    """Remove the archive and its unpacked folder from the cache."""
    path = cache_path(archive)
    if path.is_dir():
        raise DownloadError(name, *_folder_there(path))
    path.unlink(missing_ok=True)
    shutil.rmtree(_root(name, archive), ignore_errors=True)


def download(name: str, archive: Archive) -> None:
    """Put the archive into the cache. A source that cannot be reached raises `UnreachableError`."""
    home = cache()
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=".fetching-") as scratch:
        fresh = Path(scratch) / archive.file
        if archive.address.startswith("pip:"):
            _from_index(archive, fresh)
        else:
            _from_address(archive, fresh)
        wrong = _checksum_error(archive, fresh)
        if wrong:
            todo = "Nothing was kept. Try again; if it stays so, the publisher has changed the file"
            raise DownloadError(name, f"{archive.address} gave a file with {wrong}", f"{todo}.")
        fresh.replace(cache_path(archive))


def unpacked(name: str, archive: Archive) -> Path:
    """The folder of a cached archive, verified every time and unpacked once."""
    path = cache_path(archive)
    if path.is_dir():
        raise DownloadError(name, *_folder_there(path))
    wrong = _checksum_error(archive, path)
    if wrong:
        raise DownloadError(name, f"{path} has {wrong}", "Delete it and fetch again, or fetch with --force")
    root = _root(name, archive)
    if not root.exists():
        with tempfile.TemporaryDirectory(dir=cache(), prefix=".unpacking-") as scratch:
            _unpack(name, archive, Path(scratch) / "all")
            _move_into_place(Path(scratch) / "all", root)
    return root / PurePosixPath(archive.folder).name


def _root(name: str, archive: Archive) -> Path:
    """Named by checksum, so a folder that exists is complete and of this very archive."""
    return cache() / f"{name}-{archive.sha256[:12]}"


def _folder_there(path: Path) -> tuple[str, str]:
    return f"{path} is a folder, and an archive belongs there", "Move the folder away"


def _move_into_place(fresh: Path, root: Path) -> None:
    try:
        fresh.replace(root)
    except OSError:
        if not root.is_dir():  # otherwise another process was first, with the same files
            raise


def _checksum_error(archive: Archive, path: Path) -> str:
    """What is wrong with the file, found and expected; empty if it is what the entry promises."""
    for algorithm, expected in (("sha256", archive.sha256), ("md5", archive.md5)):
        found = pooch.file_hash(str(path), alg=algorithm) if expected else ""
        if found != expected:
            return f"{algorithm} {found}, expected {expected} ({path.stat().st_size:,} bytes, not {archive.size:,})"
    return ""


def _from_address(archive: Archive, to: Path) -> None:
    import requests  # slow to import, and only needed here

    download = pooch.HTTPDownloader(
        progressbar=sys.stderr.isatty(), chunk_size=1 << 16, timeout=(CONNECT_SECONDS, READ_SECONDS)
    )
    try:
        download(archive.address, str(to), None)
    except requests.RequestException as error:
        raise UnreachableError(f"{archive.address}: {_cause(error)}") from None


def _from_index(archive: Archive, to: Path) -> None:
    wanted = archive.address.removeprefix("pip:")
    options = ["--no-deps", "--only-binary=:all:", "--quiet", "--no-input", "--disable-pip-version-check"]
    limits = ["--retries", "0", "--timeout", str(CONNECT_SECONDS)]
    folder = to.parent.resolve()
    # -P and the empty folder: a pip.py in the user's folder must not run in pip's place
    command = [sys.executable, "-P", "-m", "pip", "download", *options, *limits, wanted, "-d", str(folder)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=PIP_SECONDS,
            check=False,
            cwd=folder,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise UnreachableError(f"pip download {wanted}: no answer in {PIP_SECONDS} s") from None
    if done.returncode or not to.exists():
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no wheel came"]
        raise UnreachableError(f"pip download {wanted}: {lines[-1].strip()}")


def _cause(error: Exception) -> str:
    """The innermost reason of a chain of wrapped network errors, in one line."""
    reason: BaseException = error
    while reason.__context__ is not None:
        reason = reason.__context__
    return f"{type(error).__name__} ({str(reason) or type(reason).__name__})"


def _unpack(name: str, archive: Archive, to: Path) -> None:
    """The members under `archive.folder`, after every member of the archive has been looked at."""
    parent = PurePosixPath(archive.folder).parent
    with _opened(name, archive) as (bundle, members):
        wanted = [member for member in members if PurePosixPath(member.filename).is_relative_to(archive.folder)]
        if not any(not member.is_dir() for member in wanted):
            raise DownloadError(name, f"{cache_path(archive)} has no folder {archive.folder!r}", "Fetch with --force")
        for member in wanted:
            path = to / PurePosixPath(member.filename).relative_to(parent)
            try:
                _extract(bundle, member, path)
            except OSError as error:  # a file and a folder of one name, a name that is too long, a full disk
                found = (
                    f"{member.filename[:80]!r} of {cache_path(archive)} cannot be written ({error.strerror or error})"
                )
                raise DownloadError(name, found, "Nothing was kept of it; look at the disk, or delete it") from None


def _extract(bundle: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    if member.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with bundle.open(member) as source, path.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)


@contextmanager
def _opened(name: str, archive: Archive) -> Generator[tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]]:
    """The zip and its members, all of them harmless; anything else is a `DownloadError`."""
    path = cache_path(archive)
    try:
        with zipfile.ZipFile(path) as bundle:
            members = bundle.infolist()
            _refuse_escapes(name, path, members)
            if sum(member.file_size for member in members) > EXPANSION * path.stat().st_size:
                found = f"{path} unpacks to more than {EXPANSION} times its size"
                raise DownloadError(name, found, "It was not unpacked; delete it")
            yield bundle, members
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise DownloadError(name, f"{path} is no sound zip file ({error})", "Delete it and fetch again") from None


def _refuse_escapes(name: str, path: Path, members: list[zipfile.ZipInfo]) -> None:
    for member in members:
        inner = PurePosixPath(member.filename)
        # orig_filename is the name in the archive, before zipfile normalizes it
        escapes = inner.is_absolute() or ".." in inner.parts or any(sign in member.orig_filename for sign in "\\:\0")
        if escapes or stat.S_ISLNK(member.external_attr >> 16):
            found = f"{path} holds {member.orig_filename!r}, a link or a path that leads out of its folder"
            raise DownloadError(name, found, "It was not unpacked; delete it")
