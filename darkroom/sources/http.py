"""Connections to servers: time limits, waits between failures, and which failures may pass."""

from __future__ import annotations

import email.utils
import ipaddress
import json
import logging
import re
from collections.abc import Callable
from time import sleep, time
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from darkroom import __version__
from darkroom.errors import UserError

log = logging.getLogger(__name__)

TIMEOUT = (20, 60)  # seconds: to connect, between two bytes
TRIES = 6  # consecutive failures without a new byte
LONGEST_WAIT = 900.0  # most seconds of waiting in total that servers may request
LONGEST_MESSAGE = 8192  # bytes of an error's body that are read
RETRIED = {408, 425, 429, 500, 502, 503, 504}

T = TypeVar("T")
Explain = Callable[[int, str], UserError]


class Retry(Exception):
    """A temporary failure: the reason, and the seconds that the server asks to wait."""

    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.why, self.wait = why, wait


def is_loopback(url: str) -> bool:
    """Whether an address is on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Adapter(HTTPAdapter):
    """Default timeouts, no proxy for addresses on this machine, and no bodies of redirects."""

    def send(self, request: Any, *args: Any, **settings: Any) -> requests.Response:
        settings["timeout"] = settings.get("timeout") or TIMEOUT
        if is_loopback(request.url or ""):
            settings["proxies"] = {}
        response = super().send(request, *args, **settings)
        if response.is_redirect:  # requests would read its body whole, however long
            response.raw.close()
        return response


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
    if re.fullmatch("[0-9]{1,9}", value.strip()):
        return float(value)
    try:
        end = email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, end - time())


def _message(response: requests.Response) -> str:
    """The server's error message, shortened; from JSON only, as pages are long.

    A few kB are read, in a few seconds.
    """
    if "json" not in response.headers.get("Content-Type", ""):
        return ""
    body, end = b"", time() + 10
    try:
        while len(body) < LONGEST_MESSAGE and time() < end:
            if not (part := response.raw.read1(LONGEST_MESSAGE - len(body))):
                body = body or response.content  # that Kaggle's client has read before
                break
            body += part
        value = json.loads(body)
    except (ValueError, RecursionError, OSError, urllib3.exceptions.HTTPError):
        return ""
    text = value.get("message") if isinstance(value, dict) else None
    return re.sub(r"\s+", " ", str(text or ""))[:200]
