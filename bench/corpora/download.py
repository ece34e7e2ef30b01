"""Files over HTTP: checked against their published checksum, resumed, whole or not at all.

    archive = Remote("speech.zip", "https://…/speech.zip", "md5:bc69…")
    download(archive, folder)                    # folder/speech.zip
    download_many(recordings, folder, "crema_d")

pooch checks and places the files; this module adds the resuming. What has come of a file lies in
`<name>.part` until all of it has. A file that has no published checksum is fetched from its start each
time, as two halves of different files could not be told from one whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import SuiteError
from bench.progress import track, transfer

if TYPE_CHECKING:
    import requests
    from pooch import Pooch

RETRIES = 3  # after a broken connection, each going on where the last stopped
TIMEOUT_S = (10, 60)  # to connect, and between two pieces
CHUNK_BYTES = 1 << 16  # so many at most are lost of a broken download
WORKERS = 8  # small files fetched at once
GOES_ON = "the same command goes on where this one stopped"

Report = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Remote:
    """A file to download to `name`, a path relative to the folder.

    `checksum` is the one that the publisher gives ("md5:…", "sha256:…"), None where there is none.
    """

    name: str
    url: str
    checksum: str | None


@dataclass(frozen=True)
class Resuming:
    """A pooch downloader that goes on where an earlier call for the same file stopped."""

    session: requests.Session
    part: Path
    resume: bool
    report: Report

    def __call__(self, url: str, output_file: Any, pooch: Any) -> None:
        """Bring `url` to `part`, then move it to `output_file`; pooch checks it there."""
        have = self.part.stat().st_size if self.resume and self.part.exists() else 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with self.session.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
            if response.status_code == 416:  # the file ends before our part does: ours is of another file
                self.part.unlink()
            response.raise_for_status()
            self._append(response, have if _goes_on(response, have) else 0)
        self.part.replace(output_file)

    def _append(self, response: requests.Response, have: int) -> None:
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        with self.part.open("ab" if have else "wb") as file:
            for chunk in response.iter_content(CHUNK_BYTES):
                file.write(chunk)
                file.flush()
                self.report(file.tell(), total)


def _goes_on(response: requests.Response, have: int) -> bool:
    """Whether the server sends what follows our first `have` bytes; else it sends the whole file."""
    sent = response.headers.get("Content-Range", "")
    return response.status_code == 206 and sent.startswith(f"bytes {have}-")


def download(file: Remote, folder: Path) -> Path:
    """Bring one file into `folder`, with a progress bar in bytes; one that is there and checks is kept.

    SuiteError where it cannot be had, where its checksum is not the published one, or the disk is full.
    """
    import requests

    with requests.Session() as session, transfer(file.name) as report, _explained(file.url, folder):
        _bring(_registry([file], folder), file, session, report)
    return folder / file.name


def download_many(files: Sequence[Remote], folder: Path, description: str) -> None:
    """Bring many small files into `folder`, several at once; errors as in `download`, at the first."""
    import requests

    pooch = _registry(files, folder)
    with requests.Session() as session, ThreadPoolExecutor(WORKERS) as pool:

        def bring(file: Remote) -> None:
            with _explained(file.url, folder):
                _bring(pooch, file, session, lambda done, total: None)

        try:
            for _ in track(pool.map(bring, files), f"downloading {description}", len(files)):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _registry(files: Sequence[Remote], folder: Path) -> Pooch:
    import pooch

    pooch.get_logger().setLevel("WARNING")
    return pooch.create(
        path=folder,
        base_url="",
        registry={file.name: file.checksum for file in files},
        urls={file.name: file.url for file in files},
        retry_if_failed=RETRIES,
    )


def _bring(pooch: Pooch, file: Remote, session: requests.Session, report: Report) -> None:
    part = Path(pooch.abspath) / f"{file.name}.part"
    part.parent.mkdir(parents=True, exist_ok=True)  # pooch fails where another thread makes it first
    if file.checksum is None:
        part.with_suffix("").unlink(missing_ok=True)
    pooch.fetch(file.name, downloader=Resuming(session, part, file.checksum is not None, report))


@contextmanager
def _explained(url: str, folder: Path) -> Iterator[None]:
    """What went wrong, as a SuiteError."""
    import requests

    try:
        yield
    except requests.HTTPError as error:
        answer = error if error.response is None else error.response.status_code
        raise SuiteError(f"{url}: the server answers {answer}; try again later") from error
    except requests.RequestException as error:
        raise SuiteError(f"{url}: the connection failed or broke off ({error}); {GOES_ON}") from error
    except ValueError as error:  # pooch's word for a wrong checksum
        raise SuiteError(f"{url}: what came is not the published file, so it was deleted: {error}") from error
    except OSError as error:
        raise SuiteError(
            f"cannot write {folder}: {error.strerror or error}; free space, then {GOES_ON}"
        ) from error
