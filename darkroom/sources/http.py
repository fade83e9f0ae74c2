"""Downloads that are resumed, retried with back-off, verified, and renamed when complete.

During a download there are `NAME.part` and `NAME.part.json` (ETag or date, and size of the whole
file). A part is resumed only if the server confirms by `If-Range` that its file is unchanged, or if
a sha256 is checked in the end; without range support the download restarts. When the file is
complete and verified, `NAME.json` is written and the part is renamed to `NAME`, which is therefore
never incomplete.
"""

from __future__ import annotations

import base64
import email.utils
import hashlib
import ipaddress
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import sleep, time
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from darkroom import __version__
from darkroom.errors import UserError
from darkroom.machine import disk
from darkroom.machine.progress import progress

log = logging.getLogger(__name__)

CHUNK = 1 << 18
TIMEOUT = (20, 60)  # seconds: to connect, between two bytes
TRIES = 6  # consecutive failures without a new byte
LONGEST_WAIT = 900.0  # most seconds of waiting in total that servers may request
RETRIED = {408, 425, 429, 500, 502, 503, 504}

T = TypeVar("T")
Open = Callable[[dict[str, str]], requests.Response]
Explain = Callable[[int, str], UserError]


class Retry(Exception):
    """A temporary failure: the reason, and the seconds that the server asks to wait."""

    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.why, self.wait = why, wait


@dataclass(frozen=True)
class Fetched:
    """A complete, verified file: its sha256, size in bytes, and the server's version of it."""

    path: str
    sha256: str
    bytes: int
    version: str | None


# ---------------------------------------------------------------- connections


def is_loopback(url: str) -> bool:
    """Whether an address is on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Adapter(HTTPAdapter):
    """Default timeouts, and no proxy for addresses on this machine."""

    def send(self, request: Any, *args: Any, **settings: Any) -> requests.Response:
        settings["timeout"] = settings.get("timeout") or TIMEOUT
        if is_loopback(request.url or ""):
            settings["proxies"] = {}
        return super().send(request, *args, **settings)


def prepare(session: requests.Session) -> requests.Session:
    """Set this module's timeouts on a session, and disable content encoding."""
    session.mount("https://", _Adapter())
    session.mount("http://", _Adapter())
    session.headers["Accept-Encoding"] = "identity"
    return session


def session() -> requests.Session:
    """A new session; it uses the proxies of the environment and the logins of ~/.netrc."""
    new = prepare(requests.Session())
    new.headers["User-Agent"] = f"darkroom/{__version__}"
    return new


def reason(error: BaseException) -> str:
    """Describe a connection failure without the address, which may contain a signature."""
    text = f"{type(error).__name__} {error}".lower()
    for sign, words in (
        ("name or service not known", "the server name cannot be resolved: no network?"),
        ("nameresolution", "the server name cannot be resolved: no network?"),
        ("refused", "connection refused"),
        ("unreachable", "network unreachable"),
        ("proxy", "the proxy does not answer"),
        ("timed out", "no answer in time"),
        ("timeout", "no answer in time"),
        ("incompleteread", "the connection was cut"),
        ("reset", "the connection was cut"),
        ("disconnected", "the connection was cut"),
        ("aborted", "the connection was cut"),
    ):
        if sign in text:
            return words
    return f"the connection failed ({type(error).__name__})"


# ---------------------------------------------------------------- patience


class Patience:
    """Limits on retries: back-off between failures, and bounded waits that a server asks for.

    Parameters
    ----------
    host : name of the server in messages.
    hint : alternative for the user, for the last message.
    """

    def __init__(self, host: str, hint: str = "") -> None:
        self.host, self.hint = host, f"; {hint}" if hint else ""
        self.failures, self.waited = 0, 0.0

    def progressed(self) -> None:
        """Reset the count of failures, as bytes have arrived."""
        self.failures = 0

    def wait(self, failure: Retry) -> None:
        """Sleep before the next try.

        Raises
        ------
        UserError
            Too many consecutive failures, or the server asks to wait too long.
        """
        self.failures += 1
        if failure.wait is not None:
            if self.waited + failure.wait > LONGEST_WAIT:
                raise UserError(
                    f"{self.host} asks to wait {failure.wait:.0f} s ({failure.why}), beyond the"
                    f" {LONGEST_WAIT:.0f} s that a download waits in total: run the same command"
                    f" again later, it resumes where it stopped{self.hint}"
                )
            seconds = max(failure.wait, 1.0)
            self.waited += seconds
            log.info("%s asks to wait %.0f s (%s)", self.host, seconds, failure.why)
        elif self.failures >= TRIES:
            raise UserError(
                f"{self.host}: {failure.why}, {self.failures} times in a row: run the same"
                f" command again later, it resumes where it stopped{self.hint}"
            )
        else:
            seconds = min(2.0 ** (self.failures - 1), 30.0)
            log.info("%s: %s; retry in %.0f s", self.host, failure.why, seconds)
        sleep(seconds)

    def attempt(self, call: Callable[[], T]) -> T:
        """Repeat a call until it does not raise `Retry`."""
        while True:
            try:
                return call()
            except Retry as failure:
                self.wait(failure)


def connect(call: Callable[[], T], host: str) -> T:
    """Make a request; a connection failure becomes `Retry` or `UserError`.

    Raises
    ------
    Retry
        The failure may be temporary.
    UserError
        The failure is permanent (certificate, address, redirects).
    """
    try:
        return call()
    except requests.exceptions.SSLError:
        raise UserError(
            f"{host}: its certificate is not trusted; behind a proxy that inspects traffic,"
            " set REQUESTS_CA_BUNDLE to the proxy's certificate"
        ) from None
    except (
        requests.exceptions.ConnectionError,
        requests.exceptions.Timeout,
        requests.exceptions.ChunkedEncodingError,
        urllib3.exceptions.HTTPError,
    ) as error:
        raise Retry(reason(error)) from None
    except requests.exceptions.RequestException as error:
        raise UserError(
            f"{host}: the request cannot be made ({type(error).__name__}): check the address"
        ) from None


def check(response: requests.Response, explain: Explain) -> None:
    """Accept a successful response.

    Raises
    ------
    Retry
        The status may be temporary.
    UserError
        From `explain`, for any other failure.
    """
    status = response.status_code
    if status < 400:
        return
    wait = retry_after(response.headers.get("Retry-After"))
    text = _message(response)
    response.close()
    if status in RETRIED:
        raise Retry(f"status {status}", wait if status in (429, 503) else None)
    raise explain(status, text)


def retry_after(value: str | None) -> float | None:
    """Seconds to wait by a `Retry-After` header: a number or a date (RFC 9110, 10.2.3)."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        end = email.utils.parsedate_to_datetime(value).timestamp()
    except ValueError:
        return None
    return max(0.0, end - time())


def _message(response: requests.Response) -> str:
    """The server's error message, shortened; from JSON only, as pages are long."""
    if "json" not in response.headers.get("Content-Type", ""):
        return ""
    try:
        value = response.json()
    except (ValueError, requests.RequestException):
        return ""
    text = value.get("message") if isinstance(value, dict) else None
    return re.sub(r"\s+", " ", str(text or ""))[:200]


# ---------------------------------------------------------------- files


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


def fetch(
    opened: Open,
    path: str,
    *,
    key: str,
    name: str,
    patience: Patience,
    explain: Explain,
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
    sha256 : expected digest; None: only a digest from the server is checked.

    Raises
    ------
    UserError
        The server refuses or cannot be reached, the disk is full, or the digest differs.
    """
    done = _finished(path, key, name)
    if done is not None and (sha256 is None or done.sha256 == sha256.lower()):
        return done
    folder = Path(path).parent
    folder.mkdir(parents=True, exist_ok=True)
    part = _Part(path + ".part", key, guarded=sha256 is not None)
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
        part, first = _Part(path + ".part", key, guarded=sha256 is not None), False
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

    def __init__(self, path: str, key: str, *, guarded: bool) -> None:
        self.path, self.key, self.guarded = Path(path), key, guarded
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
            self._read(response, name, patience)
        finally:
            response.close()

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
        length = response.headers.get("Content-Length")
        md5 = re.search(r"md5=([\w+/=]+)", response.headers.get("x-goog-hash", ""))
        self.note = {
            "key": self.key,
            **_identity(response),
            "size": int(length) if length and length.isdigit() else None,
            "md5": base64.b64decode(md5[1]).hex() if md5 else None,
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


def _content_range(value: str | None) -> tuple[int | None, int | None]:
    """First byte and total size of `bytes 5-9/10`; None where absent."""
    match = re.match(r"bytes (\d+)-\d+/(\d+|\*)$", (value or "").strip())
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
