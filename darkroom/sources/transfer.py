"""Downloads that are resumed, retried with back-off, verified, and renamed when complete.

During a download there are `NAME.part` and `NAME.part.json` (ETag or date, and size of the whole
file). A part is resumed only if the server confirms by `If-Range` that its file is unchanged, or if
a sha256 is checked in the end; without range support the download restarts. When the file is
complete and verified, `NAME.json` is written and the part is renamed to `NAME`, which is therefore
never incomplete.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import requests
import urllib3

from darkroom.errors import UserError
from darkroom.machine import disk
from darkroom.machine.progress import progress
from darkroom.sources import http
from darkroom.sources.addresses import shown
from darkroom.sources.http import Explain, Patience, Retry, check, connect, reason

log = logging.getLogger(__name__)

CHUNK = 1 << 18

Open = Callable[[dict[str, str]], requests.Response]


@dataclass(frozen=True)
class Fetched:
    """A complete, verified file: its sha256, size in bytes, and the server's version of it."""

    path: str
    sha256: str
    bytes: int
    version: str | None


def sha256_of(path: str, what: str = "Verifying") -> str:
    """sha256 of a file, with a progress bar."""
    digest = hashlib.sha256()
    with progress(what, Path(path).stat().st_size, "B") as bar, Path(path).open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
            bar.update(len(chunk))
    return digest.hexdigest()


def mismatch(name: str, expected: str, actual: str, remedy: str) -> UserError:
    """The error for a file whose sha256 is not the one in the config."""
    return UserError(
        f"{name}: its sha256 is {actual}, but the config has {expected.lower()}; {remedy}"
    )


def get(
    address: str,
    path: str,
    *,
    name: str,
    setting: str,
    hint: str,
    most: int,
    sha256: str | None = None,
    verified: bool = False,
    explain: Explain | None = None,
) -> Fetched:
    """Download the file of an https address to `path`, resuming an earlier attempt.

    Parameters
    ----------
    address : of the file.
    path : path of the complete file.
    name : name of the file in messages.
    setting : words for the setting that gives the address.
    hint : what else can be done, for messages.
    most : bytes that are taken.
    sha256 : expected digest; None: only a digest from the server is checked.
    verified : the caller checks another digest.
    explain : makes the error for a failed status; None: one with the status and the hint.

    Raises
    ------
    UserError
        Plain http without a digest, except from this machine; else as of `fetch`.
    """
    host = urlsplit(address).netloc
    session = http.session()

    def check_secure(url: str) -> None:
        plain = url.lower().startswith("http:") and not http.is_loopback(url)
        if plain and sha256 is None and not verified:
            raise UserError(
                f"{setting} {shown(address)!r} uses http, which does not protect the file from changes:"
                " use https, or give its sha256"
            )

    def opened(headers: dict[str, str]) -> requests.Response:
        response = session.get(address, headers=headers, stream=True)
        for step in (*response.history, response):
            check_secure(step.url)
        return response

    def status_error(status: int, text: str) -> UserError:
        reason = f" ({text})" if text else ""
        return UserError(f"{host} answers status {status} for {name}{reason}; {hint}")

    check_secure(address)
    with session:
        return fetch(
            opened,
            path,
            key=shown(address),
            name=name,
            patience=Patience(host, hint),
            explain=explain or status_error,
            most=most,
            sha256=sha256,
        )


def fetch(
    opened: Open,
    path: str,
    *,
    key: str,
    name: str,
    patience: Patience,
    explain: Explain,
    most: int,
    sha256: str | None = None,
) -> Fetched:
    """Download a file to `path`, resuming an earlier attempt.

    Parameters
    ----------
    opened : starts a request with given headers; returns the response with its body unread.
    path : path of the complete file; the part and its notes are beside it.
    key : identity of the file (source and version): a part of another file is discarded.
    name : name of the file in messages.
    patience : limits on retries.
    explain : makes the error for a failed status.
    most : bytes that are taken.
    sha256 : expected digest; None: only a digest from the server is checked.

    Raises
    ------
    UserError
        The server refuses or cannot be reached, the file is larger than `most`, the disk is
        full, or the digest differs.
    """
    done = _finished(path, key, name)
    if done is not None and (sha256 is None or done.sha256 == sha256.lower()):
        return done
    folder = Path(path).parent
    folder.mkdir(parents=True, exist_ok=True)
    part = _Part(path + ".part", key, most, guarded=sha256 is not None)
    first = True
    while True:
        load = partial(part.load, opened, name, patience, explain)
        with disk.full_disk_in_words(str(folder)):
            patience.attempt(load)
        actual = part.mismatch(sha256)
        if actual is None:
            break
        part.remove()
        if not (part.resumed and first):
            if sha256 is None:
                raise UserError(
                    f"{name} arrived damaged (its md5 differs from the server's): run again"
                )
            raise mismatch(
                name,
                sha256,
                actual,
                "the download is removed: ask the publisher which is right, or correct sha256 in"
                " the config",
            )
        log.info("%s: the resumed file is damaged; the download restarts", name)
        part, first = _Part(path + ".part", key, most, guarded=sha256 is not None), False
    fetched = Fetched(path, part.sha256.hexdigest(), part.at, part.version())
    disk.write_json(
        path + ".json",
        {
            "key": key,
            "sha256": fetched.sha256,
            "bytes": fetched.bytes,
            "version": fetched.version,
        },
    )
    part.path.replace(path)
    part.remove()
    return fetched


def _finished(path: str, key: str, name: str) -> Fetched | None:
    """The complete file of an earlier run, verified again; None if there is none."""
    note = disk.read_json(path + ".json")
    if note.get("key") != key or not Path(path).is_file():
        return None
    size = Path(path).stat().st_size
    if size != note.get("bytes") or sha256_of(path) != note.get("sha256"):
        return None
    log.info("%s was already downloaded", name)
    return Fetched(path, str(note["sha256"]), size, note.get("version"))


class _Part:
    """An incomplete file: `path`, its note, and the digests of its bytes so far."""

    def __init__(self, path: str, key: str, most: int, *, guarded: bool) -> None:
        self.path, self.key, self.most, self.guarded = Path(path), key, most, guarded
        self.note_path = Path(path + ".json")
        self.note = disk.read_json(str(self.note_path))
        self.at = self.furthest = 0
        self.resumed = False
        self.md5_wanted: str | None = None
        self._reset()
        if self.note.get("key") == key and self.path.is_file():
            self._digest_existing()
            self.resumed = self.at > 0
        else:
            self.note = {}

    def _reset(self) -> None:
        self.at = 0
        self.sha256, self.md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)

    def _digest_existing(self) -> None:
        with self.path.open("rb") as file:
            while chunk := file.read(1 << 20):
                self._add(chunk)
        self.furthest = self.at

    def _add(self, chunk: bytes) -> None:
        self.sha256.update(chunk)
        self.md5.update(chunk)
        self.at += len(chunk)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note_path.unlink(missing_ok=True)

    def version(self) -> str | None:
        return self.note.get("etag") or self.note.get("modified")

    def mismatch(self, sha256: str | None) -> str | None:
        """The sha256 of the file, if it or the md5 differs from the expected one; else None."""
        actual = self.sha256.hexdigest()
        if sha256 is not None and actual != sha256.lower():
            return actual
        md5 = self.note.get("md5")
        return actual if md5 is not None and self.md5.hexdigest() != md5 else None

    # -- one request

    def load(self, opened: Open, name: str, patience: Patience, explain: Explain) -> None:
        """Make one request; its body is appended to the part or replaces it."""
        size = self.note.get("size")
        if size is not None and self.at == size:
            return
        headers = self._range()
        response = connect(lambda: opened(headers), patience.host)
        try:
            if response.status_code != 416:
                check(response, explain)
            if not self._continues(response):
                self._start_again(response)
            self._check_size(self.note.get("size") or 0, name)
            self._read(response, name, patience)
        finally:
            response.close()

    def _check_size(self, size: int, name: str) -> None:
        """Refuse a file that is, or becomes, larger than may be taken."""
        if size > self.most:
            self.remove()
            raise UserError(
                f"{name} is larger than the {disk.size_text(self.most)} that are downloaded at"
                " most: if this is intended, raise limits: {max_gb: …} of a data set, or download"
                " the file yourself"
            )

    def _range(self) -> dict[str, str]:
        etag, modified = self.note.get("etag"), self.note.get("modified")
        strong = etag if etag and not etag.startswith("W/") else None
        if not self.at or not (strong or modified or self.guarded):
            return {}
        headers = {"Range": f"bytes={self.at}-"}
        if strong or modified:
            headers["If-Range"] = str(strong or modified)
        return headers

    def _continues(self, response: requests.Response) -> bool:
        """Whether the response is the missing rest of the same file."""
        if response.status_code != 206 or not self.at:
            return False
        first, total = _content_range(response.headers.get("Content-Range"))
        same = [
            self.note.get(k) in (None, v) for k, v in _identity(response).items() if v is not None
        ]
        if first != self.at or not all(same) or self.note.get("size") not in (None, total):
            raise self._discard("the server's file has changed")
        self.note["size"] = total
        self.resumed = True
        return True

    def _discard(self, why: str) -> Retry:
        self.remove()
        self.note = {}
        self._reset()
        return Retry(why)

    def _start_again(self, response: requests.Response) -> None:
        if response.status_code != 200:
            raise self._discard("the server has no such part of the file")
        if self.at:
            log.info("the server sends the file from the start")
        self._reset()
        self.resumed = False
        length = response.headers.get("Content-Length", "")
        self.note = {
            "key": self.key,
            **_identity(response),
            "size": int(length) if re.fullmatch("[0-9]{1,18}", length) else None,
            "md5": _md5(response.headers.get("x-goog-hash", "")),
        }
        if self.note["size"] is not None:
            disk.require(str(self.path.parent), self.note["size"], "the download")
        self.path.write_bytes(b"")
        disk.write_json(str(self.note_path), self.note)

    def _read(self, response: requests.Response, name: str, patience: Patience) -> None:
        size = self.note.get("size")
        total = disk.size_text(size) if size is not None else ""
        if self.at:
            of_total = f" of {total}" if total else ""
            log.info("%s: resumed at %s%s", name, disk.size_text(self.at), of_total)
        elif not self.furthest:
            log.info("Downloading %s%s", name, f", {total}" if total else "")
        with (
            progress(f"Downloading {name}", size or 0, "B") as bar,
            self.path.open("r+b") as file,
        ):
            bar.update(self.at)
            file.seek(self.at)
            for chunk in _chunks(response):
                file.write(chunk)
                self._add(chunk)
                self._check_size(self.at, name)
                bar.update(len(chunk))
                if self.at > self.furthest:
                    self.furthest = self.at
                    patience.progressed()
        if size is not None and self.at < size:
            raise Retry(f"the connection was cut at {disk.size_text(self.at)}")
        if size is not None and self.at > size:
            raise self._discard("the server sent more than it announced")


def _identity(response: requests.Response) -> dict[str, str | None]:
    return {
        "etag": response.headers.get("ETag"),
        "modified": response.headers.get("Last-Modified"),
    }


def _md5(header: str) -> str | None:
    """The md5 of Google's `x-goog-hash`, in hexadecimal digits; None where it has none."""
    found = re.search(r"md5=([A-Za-z0-9+/]{22}==)", header)
    return base64.b64decode(found[1]).hex() if found else None


def _content_range(value: str | None) -> tuple[int | None, int | None]:
    """First byte and total size of `bytes 5-9/10`; None where absent."""
    match = re.match(r"bytes ([0-9]{1,18})-[0-9]+/([0-9]{1,18}|\*)$", (value or "").strip())
    if match is None:
        return None, None
    return int(match[1]), None if match[2] == "*" else int(match[2])


def _chunks(response: requests.Response) -> Iterator[bytes]:
    """The body without content decoding, so that its hash is that of the published file."""
    stream = response.raw.stream(CHUNK, decode_content=False)
    while True:
        try:
            chunk = next(stream, b"")
        except (urllib3.exceptions.HTTPError, requests.RequestException, OSError) as error:
            raise Retry(reason(error)) from None
        if not chunk:
            return
        yield chunk
