"""Transfers: resumed, retried, verified; against a local server that breaks them."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import logging
import os
import shutil
import socket
import threading
from collections import namedtuple
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from darkroom.errors import UserError
from darkroom.sources import http, transfer
from tests.support.kaggle_server import Server

DATA = bytes(range(256)) * 4096  # 1 MiB
SHA = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def server() -> Any:
    with Server({"/a.zip": DATA}) as running:
        yield running


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that would have been slept."""
    out: list[float] = []
    monkeypatch.setattr(http, "sleep", out.append)
    return out


def explain(status: int, text: str) -> UserError:
    return UserError(f"status {status}: {text}")


def fetch(server: Server, path: Path, **settings: Any) -> transfer.Fetched:
    with http.session() as session:
        return transfer.fetch(
            lambda headers: session.get(f"{server.url}/a.zip", headers=headers, stream=True),
            str(path),
            **{
                "key": "a",
                "name": "a.zip",
                "patience": http.Patience("here", "or else"),
                "explain": explain,
                "most": 10**9,
                **settings,
            },
        )


def left(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_file_arrives_whole_with_its_digest(server: Server, tmp_path: Path) -> None:
    got = fetch(server, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA
    assert (got.sha256, got.bytes) == (SHA, len(DATA))
    assert got.version and got.version.startswith('"')
    assert left(tmp_path) == ["x", "x.json"]


def test_what_is_whole_is_not_downloaded_again(server: Server, tmp_path: Path) -> None:
    fetch(server, tmp_path / "x")
    again = fetch(server, tmp_path / "x")
    assert again.sha256 == SHA and len(server.gets()) == 1


def test_what_was_whole_and_is_damaged_now_is_downloaded_again(
    server: Server, tmp_path: Path
) -> None:
    fetch(server, tmp_path / "x")
    (tmp_path / "x").write_bytes(DATA[:-1] + b"?")
    fetch(server, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA and len(server.gets()) == 2


def test_a_cut_connection_is_resumed(
    server: Server, tmp_path: Path, naps: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "darkroom")
    server.script = [("cut", 300_000), ("cut", 200_000)]
    assert fetch(server, tmp_path / "x").sha256 == SHA
    assert [h.get("Range") for h in server.gets()] == [None, "bytes=300000-", "bytes=500000-"]
    assert all(h["If-Range"].startswith('"') for h in server.gets()[1:])
    assert naps == [1.0, 1.0]  # bytes came in between: no longer back-off
    assert "resumed at 300 kB of 1.0 MB" in caplog.text


def test_a_part_of_an_earlier_run_is_continued(
    server: Server, tmp_path: Path, naps: list[float]
) -> None:
    server.always = (500, {})
    server.script = [("cut", 700_000)]
    with pytest.raises(UserError, match=r"here: status 500, 6 times in a row: run the same"):
        fetch(server, tmp_path / "x")
    assert naps == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert left(tmp_path) == ["x.part", "x.part.json"]
    assert (tmp_path / "x.part").stat().st_size == 700_000
    server.always = None
    assert fetch(server, tmp_path / "x").sha256 == SHA
    assert server.gets()[-1]["Range"] == "bytes=700000-"


def test_a_part_that_only_lacks_its_new_name_needs_no_request(
    server: Server, tmp_path: Path
) -> None:
    fetch(server, tmp_path / "x")
    (tmp_path / "x").rename(tmp_path / "x.part")
    note = {"key": "a", "etag": '"e"', "modified": None, "size": len(DATA), "md5": None}
    (tmp_path / "x.part.json").write_text(json.dumps(note))
    assert fetch(server, tmp_path / "x").sha256 == SHA
    assert len(server.gets()) == 1


def test_a_file_that_changed_on_the_server_is_not_mixed(
    server: Server, tmp_path: Path, naps: list[float]
) -> None:
    server.script = [("cut", 300_000), *[500] * 6]
    with pytest.raises(UserError):
        fetch(server, tmp_path / "x")
    server.files["/a.zip"] = DATA[::-1]
    fetch(server, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA[::-1]


def test_another_range_than_the_requested_one_is_not_appended(
    server: Server, tmp_path: Path, naps: list[float]
) -> None:
    server.script, server.shift = [("cut", 300_000)], 5
    assert fetch(server, tmp_path / "x").sha256 == SHA
    assert [h.get("Range") for h in server.gets()] == [None, "bytes=300000-", None]


def test_a_part_of_something_else_is_discarded(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.part").write_bytes(b"z" * 1000)
    (tmp_path / "x.part.json").write_text(json.dumps({"key": "other", "etag": '"e"'}))
    fetch(server, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA
    (tmp_path / "y.part").write_bytes(b"z" * 1000)  # no note at all
    fetch(server, tmp_path / "y")
    assert (tmp_path / "y").read_bytes() == DATA


def test_a_part_longer_than_the_file_starts_again(
    server: Server, tmp_path: Path, naps: list[float]
) -> None:
    etag = f'"{hashlib.md5(DATA).hexdigest()}"'
    (tmp_path / "x.part").write_bytes(DATA + b"more")
    (tmp_path / "x.part.json").write_text(
        json.dumps({"key": "a", "etag": etag, "modified": None, "size": None, "md5": None})
    )
    assert fetch(server, tmp_path / "x").sha256 == SHA  # by way of status 416


def test_a_server_without_ranges_starts_again(tmp_path: Path, naps: list[float]) -> None:
    with Server({"/a.zip": DATA}, ranges=False) as server:
        server.script = [("cut", 300_000)]
        assert fetch(server, tmp_path / "x").sha256 == SHA


def test_a_server_without_ranges_that_always_cuts_is_given_up(
    tmp_path: Path, naps: list[float]
) -> None:
    with Server({"/a.zip": DATA}, ranges=False) as server:
        server.always = ("cut", 300_000)
        with pytest.raises(UserError, match=r"cut.*6 times in a row.*or else"):
            fetch(server, tmp_path / "x")
    assert len(server.gets()) == 6


def test_without_etag_only_a_digest_lets_a_part_be_resumed(
    tmp_path: Path, naps: list[float]
) -> None:
    with Server({"/a.zip": DATA}, etags=False) as server:
        server.script = [("cut", 300_000), None, ("cut", 300_000)]
        fetch(server, tmp_path / "x")
        assert [h.get("Range") for h in server.gets()] == [None, None]
        fetch(server, tmp_path / "y", sha256=SHA)
        assert server.gets()[-1]["Range"] == "bytes=300000-"


def test_an_unknown_length_is_fine(tmp_path: Path) -> None:
    with Server({"/a.zip": DATA}, lengths=False) as server:
        assert fetch(server, tmp_path / "x", sha256=SHA).bytes == len(DATA)


@pytest.mark.parametrize("lengths", [True, False])
def test_no_more_is_taken_than_may_be(tmp_path: Path, lengths: bool) -> None:
    with (
        Server({"/a.zip": DATA}, lengths=lengths) as server,
        pytest.raises(UserError, match=r"a\.zip is larger than the 500 kB .* limits: \{max_gb"),
    ):
        fetch(server, tmp_path / "x", most=500_000)
    assert left(tmp_path) == []


def test_an_endless_message_is_not_read_to_its_end(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script = [(403, {"message": "no " * 100_000})]
    taken: list[int] = []
    read1 = urllib3.HTTPResponse.read1

    def counted(self: Any, amt: int | None = None, **more: Any) -> bytes:
        part = read1(self, amt, **more)
        taken.append(len(part))
        return part

    monkeypatch.setattr(urllib3.HTTPResponse, "read1", counted)
    with pytest.raises(UserError, match=r"status 403: $"):
        fetch(server, tmp_path / "x")
    assert 0 < sum(taken) <= http.LONGEST_MESSAGE


@pytest.mark.parametrize("lengths", [True, False])
def test_the_body_of_a_redirect_is_not_read(tmp_path: Path, lengths: bool) -> None:
    """Requests itself reads it whole, and keeps it in memory."""
    sent = 0

    class Endless(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            nonlocal sent
            whole = self.path == "/whole"
            self.send_response(200 if whole else 302)
            self.send_header("Location", "/whole")
            self.send_header("Set-Cookie", "seen=1")
            if whole or lengths:
                self.send_header("Content-Length", str(len(DATA) if whole else 10**9))
            self.end_headers()
            try:
                if whole:
                    assert self.headers["Cookie"] == "seen=1"
                    self.wfile.write(DATA)
                while not whole and sent < 10**9:
                    sent += self.wfile.write(DATA)
            except OSError:
                pass

        def log_message(self, *words: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Endless) as running:
        running.url = f"http://127.0.0.1:{running.server_port}"  # type: ignore[attr-defined]
        threading.Thread(target=running.serve_forever, daemon=True).start()
        assert fetch(running, tmp_path / "x", sha256=SHA).bytes == len(DATA)  # type: ignore[arg-type]
        running.shutdown()
    assert sent < 50e6, "what fits into the buffers of the connection"


@pytest.mark.parametrize(
    ("header", "read"),
    [("²", None), ("9" * 5000, None), ("Sat, 99 Foo 2024", None), ("12", 12.0)],
)
def test_odd_times_to_wait(header: str, read: float | None) -> None:
    assert http.retry_after(header) == read


@pytest.mark.parametrize(
    ("header", "read"),
    [("md5=AAAAAAAAAAAAAAAAAAAAAA==", "0" * 32), ("md5=abc=x", None), ("md5=AAAA", None)],
)
def test_odd_digests_of_a_server(header: str, read: str | None) -> None:
    assert transfer._md5(header) == read


def test_the_wrong_file_is_reported_and_removed(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"a.zip: its sha256 is {SHA}, but the config has 00"):
        fetch(server, tmp_path / "x", sha256="0" * 64)
    assert left(tmp_path) == []


def test_a_damaged_part_fails_its_digest_and_is_downloaded_again(
    server: Server, tmp_path: Path, naps: list[float]
) -> None:
    server.script = [("cut", 300_000), *[500] * 6]
    with pytest.raises(UserError):
        fetch(server, tmp_path / "x", sha256=SHA)
    part = tmp_path / "x.part"
    part.write_bytes(b"!" + part.read_bytes()[1:])
    assert fetch(server, tmp_path / "x", sha256=SHA.upper()).sha256 == SHA


def test_the_digest_that_a_server_gives_is_checked(tmp_path: Path) -> None:
    right = base64.b64encode(hashlib.md5(DATA).digest()).decode()
    with Server({"/a.zip": DATA}, md5=right) as server:
        assert fetch(server, tmp_path / "x").sha256 == SHA
        server.md5 = base64.b64encode(hashlib.md5(b"").digest()).decode()
        with pytest.raises(UserError, match="arrived damaged"):
            fetch(server, tmp_path / "y")
    assert not (tmp_path / "y").exists()


def test_refusals_are_not_retried(server: Server, tmp_path: Path, naps: list[float]) -> None:
    server.script = [404]
    with pytest.raises(UserError, match="status 404: Not found"):
        fetch(server, tmp_path / "x")
    assert naps == [] and len(server.gets()) == 1


def test_it_waits_as_requested(server: Server, tmp_path: Path, naps: list[float]) -> None:
    server.script = [(429, {"Retry-After": "7"}), 503, (429, {"Retry-After": "5"})]
    assert fetch(server, tmp_path / "x").sha256 == SHA
    assert naps == [7.0, 2.0, 5.0]


def test_it_does_not_wait_for_ever(server: Server, tmp_path: Path, naps: list[float]) -> None:
    server.always = (429, {"Retry-After": "400"})
    with pytest.raises(UserError, match=r"asks to wait 400 s \(status 429\), beyond the 900 s"):
        fetch(server, tmp_path / "x")
    assert naps == [400.0, 400.0]


def test_retry_after_may_be_a_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "time", lambda: 1e9)
    assert http.retry_after(formatdate(1e9 + 30, usegmt=True)) == 30
    assert http.retry_after(formatdate(0, usegmt=True)) == 0
    assert http.retry_after("when it suits") is None
    assert http.retry_after(None) is None


def test_no_server_answers(tmp_path: Path, naps: list[float]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = namedtuple("Gone", "url")(f"http://127.0.0.1:{port}")
    with pytest.raises(UserError, match="here: connection refused, 6 times in a row"):
        fetch(server, tmp_path / "x")  # type: ignore[arg-type]


def test_no_space_is_reported_before_a_byte_is_written(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("U", "free")(1000))
    with pytest.raises(UserError, match=r"no space: the download needs 1.0 MB.*1.0 kB free"):
        fetch(server, tmp_path / "x")
    assert left(tmp_path) == []


def test_a_disk_that_fills_up_is_reported(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(transfer, "_chunks", full)
    with pytest.raises(UserError, match=r"no space: .*run the same command again"):
        fetch(server, tmp_path / "x")


def test_a_content_encoding_is_left_as_it_is(tmp_path: Path) -> None:
    """A published .tar.gz that a server labels as gzip keeps the bytes of its sha256."""
    with Server({"/a.zip": DATA}) as server:
        fetch(server, tmp_path / "x")
        assert server.gets()[0]["Accept-Encoding"] == "identity"


def test_a_proxy_is_not_asked_for_this_machine(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # no server
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert fetch(server, tmp_path / "x").sha256 == SHA


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (requests.exceptions.SSLError("bad"), "certificate is not trusted"),
        (requests.exceptions.TooManyRedirects("loop"), "TooManyRedirects"),
        (requests.exceptions.InvalidHeader("Bearer secret"), "InvalidHeader"),
    ],
)
def test_permanent_failures_are_reported_at_once(error: Exception, words: str) -> None:
    def call() -> None:
        raise error

    with pytest.raises(UserError, match=words) as caught:
        http.connect(call, "there")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Name or service not known", "no network"),
        ("Read timed out.", "no answer in time"),
        ("IncompleteRead(3 bytes read)", "was cut"),
        ("what?", "the connection failed (ConnectionError)"),
    ],
)
def test_reasons_never_quote_an_address(text: str, words: str) -> None:
    said = http.reason(requests.ConnectionError(f"{text} https://x/?sig=1"))
    assert words in said and "sig" not in said


def test_loopback() -> None:
    for url in ("http://localhost:7777/x", "http://127.0.0.1", "http://[::1]:80/"):
        assert http.is_loopback(url)
    for url in ("http://example.org", "https://10.0.0.1/", "not an address"):
        assert not http.is_loopback(url)
