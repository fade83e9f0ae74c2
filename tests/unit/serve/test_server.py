"""The server itself, on a port of this machine."""

from __future__ import annotations

import dataclasses
import functools
import gc
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
import requests
from django.core.wsgi import get_wsgi_application

from darkroom.serve.server import SMALL, listen
from darkroom.serve.service import Service
from darkroom.serve.uploads import Upload
from tests.support.small_chain import Chain
from tests.unit.serve.conftest import OPTIONS
from tests.unit.serve.test_serve import PREDICT, some


@pytest.fixture
def server(service: Service) -> Iterator[Any]:
    options = dataclasses.replace(
        OPTIONS, port=0, request_bytes=2_000_000, large_bytes=0, connections=20, receive_seconds=3.0
    )
    made = listen(get_wsgi_application(), options)
    thread = threading.Thread(target=_run, args=(made,), daemon=True)
    thread.start()
    yield made
    made.close()
    thread.join(5)


def _run(server: Any) -> None:
    while server.accepting:
        server.asyncore.loop(timeout=0.2, map=server._map, count=1)


def address(server: Any) -> str:
    return f"http://127.0.0.1:{server.effective_port}"


def read(connection: socket.socket) -> bytes:
    connection.settimeout(20)
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def test_many_at_once_are_all_answered(server: Any, chain: Chain) -> None:
    data = some(chain)[0].read_bytes() + b"\0" * 200_000  # padding after the picture's end
    memory = psutil.Process().memory_info().rss

    def ask(_: int) -> int:
        form = {"pictures": ("a.png", data)}
        return requests.post(address(server) + PREDICT, files=form, timeout=60).status_code

    with ThreadPoolExecutor(40) as pool:
        assert set(pool.map(ask, range(200))) == {200}
    assert psutil.Process().memory_info().rss - memory < 200_000_000


def test_large_requests_wait_for_memory_and_small_ones_do_not(server: Any, chain: Chain) -> None:
    data = some(chain)[0].read_bytes()
    large = {"pictures": ("a.png", data + b"\0" * 1_500_000)}
    head = b"POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    held = []

    def watch() -> None:
        while server.accepting:
            parsers = [
                one
                for channel in list(server.active_channels.values())
                for one in (channel.request, *channel.requests)
                if one is not None
            ]
            held.append(sum(one.body_bytes_received for one in parsers))
            time.sleep(0.002)

    threading.Thread(target=watch, daemon=True).start()
    with socket.create_connection(("127.0.0.1", server.effective_port)) as slow:
        slow.sendall(head + b"Content-Length: 1500000\r\n\r\n" + b"\0" * 1_000_000)
        time.sleep(0.3)  # it has all the room there is: 2 MB
        with ThreadPoolExecutor(8) as pool:
            ask = functools.partial(requests.post, address(server) + PREDICT, timeout=60)
            waiting = [pool.submit(ask, files=large) for _ in range(8)]
            time.sleep(0.3)
            assert ask(files={"pictures": ("a.png", data)}).status_code == 200
            assert not any(one.done() for one in waiting)
            slow.close()
            assert {one.result().status_code for one in waiting} == {200}
    one_read = 262_144
    assert 1_500_000 < max(held) < 2_000_000 + 10 * (SMALL + one_read)
    until = time.monotonic() + 10  # the last answer is sent before its room is given back
    while server.room.left != 2_000_001:
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_picture_is_gone_with_its_answer(server: Any, chain: Chain) -> None:
    gc.collect()
    gc.disable()  # hundreds of pictures would wait for it
    try:
        form = {"pictures": some(chain)[0].read_bytes()}
        assert requests.post(address(server) + PREDICT, files=form, timeout=60).status_code == 200
        until = time.monotonic() + 10  # it is sent before its thread has done
        # By its type: Django has lazy objects, which isinstance would open.
        while [one for one in gc.get_objects() if type(one) is Upload]:
            assert time.monotonic() < until
            time.sleep(0.1)
    finally:
        gc.enable()


def test_slow_clients_hold_up_nobody_and_are_cut_off(server: Any) -> None:
    slow = []
    for _ in range(8):
        connection = socket.create_connection(("127.0.0.1", server.effective_port))
        connection.sendall(b"POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\n")
        slow.append(connection)
    assert requests.get(address(server) + "/healthz", timeout=5).status_code == 200
    began = time.monotonic()
    trickling = slow[0]
    with pytest.raises(OSError):
        while time.monotonic() - began < 30:
            trickling.sendall(b"X")  # never silent for long, and never done
            time.sleep(0.3)
    assert time.monotonic() - began < 15
    for connection in slow:
        connection.close()


def test_wrong_lengths(server: Any) -> None:
    head = b"POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    for length, status, words in (
        (b"Content-Length: 99999999\r\n\r\n", b"413", "larger than 2 MB"),
        (b"Content-Length: -5\r\n\r\n", b"400", "cannot be read"),
        (b"Content-Length: 4\r\nConnection: close\r\n\r\nabcd", b"422", "not an image"),
    ):
        with socket.create_connection(("127.0.0.1", server.effective_port)) as connection:
            connection.sendall(head + length)
            answer = read(connection)
        first, _, body = answer.partition(b"\r\n\r\n")
        assert first.split()[1] == status
        assert words in json.loads(body)["error"]
    assert requests.get(address(server) + "/healthz", timeout=5).status_code == 200
