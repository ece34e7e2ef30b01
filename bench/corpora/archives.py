"""Zip files from elsewhere, unpacked only where every member is a plain file below the target folder.

    with opened(Path("ravdess.zip")) as archive:
        unpack(archive, folder)

Refused as a whole, before anything is written: names that are absolute, lead upwards or stand twice, links
and other special files, encrypted members, and archives that would become far larger than recordings do. The
sizes that the members state are binding, as zipfile never reads more of one than that.
"""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath

from bench.errors import SuiteError, shown

MAX_RATIO = 50  # contents over archive; speech packs to half its size, silence to a hundredth
SMALL_BYTES = 1 << 24  # contents up to this size may have any ratio
MAX_MEMBERS = 1_000_000
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)


@contextmanager
def opened(file: Path) -> Iterator[zipfile.ZipFile]:
    """The zip `file`, its members checked; one that cannot be read or trusted is removed with SuiteError."""
    try:
        with _read(file) as archive:
            fault = _fault(archive, file.stat().st_size)
            if fault:
                file.unlink()
                raise SuiteError(f"{file.name}: not unpacked, and deleted: {fault}; get it from elsewhere")
            yield archive
    except UNREADABLE as error:
        file.unlink()
        raise SuiteError(
            f"{file.name}: what was downloaded is no readable zip ({error}); try again"
        ) from error


def _read(file: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except Exception as error:  # OSError too: of a directory that lies where no file reaches
        raise zipfile.BadZipFile(str(error)) from error


@contextmanager
def _damage() -> Iterator[None]:
    """Whatever a damaged member makes zipfile raise, as BadZipFile; errors of the disk stay what they are."""
    try:
        yield
    except (OSError, *UNREADABLE):
        raise
    except Exception as error:
        raise zipfile.BadZipFile(str(error)) from error


def unpack(archive: zipfile.ZipFile, folder: Path) -> None:
    """All members of an archive of `opened`, into `folder`; SuiteError where the disk is too small."""
    needed, free = _size(archive), shutil.disk_usage(folder).free
    if needed > free:
        raise SuiteError(
            f"{folder}: the archive unpacks to {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free; "
            "free space or choose another folder"
        )
    with _damage():
        archive.extractall(folder)


def contents(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """What one member of an archive of `opened` holds."""
    with _damage():
        return archive.read(member)


def _size(archive: zipfile.ZipFile) -> int:
    return sum(member.file_size for member in archive.infolist())


def _fault(archive: zipfile.ZipFile, packed_bytes: int) -> str:
    """Why an archive is not unpacked; "" where it may be."""
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        return f"it holds {len(members):,} members, at most {MAX_MEMBERS:,} are read"
    seen: set[str] = set()
    for member in members:
        fault = _member_fault(member) or ("stands twice" if member.filename in seen else "")
        if fault:
            return f"its member {shown(member.filename)!r} {fault}"
        seen.add(member.filename)
    size = _size(archive)
    if size > max(SMALL_BYTES, MAX_RATIO * packed_bytes):
        return f"its {packed_bytes:,} bytes would become {size:,}, over {MAX_RATIO} times as many"
    return ""


def _member_fault(member: zipfile.ZipInfo) -> str:
    posix, windows = PurePosixPath(member.filename), PureWindowsPath(member.filename)
    if not member.filename:
        return "has no name"
    if posix.is_absolute() or windows.drive or windows.root:
        return "has an absolute name"
    if ".." in windows.parts:  # which parts at slashes of both kinds
        return "leads out of the folder"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):  # 0: made on a system without kinds
        return "is a link or another special file"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is packed in a way that is not read"
    if member.header_offset < 0:
        return "lies before the archive"
    return "is encrypted" if member.flag_bits & 1 else ""
