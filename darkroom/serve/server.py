"""The server: waitress, which takes whole requests in one thread and answers them in others.

So a slow client costs a buffer, not a worker. One process holds the models, the counters and the
rates; decoding has processes of its own, and ONNX Runtime computes without Python's lock.
"""

from __future__ import annotations

import json
import time
from typing import Any

from waitress import create_server
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask

from darkroom.serve.options import Options, size

SMALL = 500_000
"""Bytes of a request that every connection may hold, so that small pictures wait for no large ones."""


class _Error(ErrorTask):  # type: ignore[misc]
    """What waitress itself refuses, as a sentence in JSON like every other refusal."""

    def execute(self) -> None:
        error = self.request.error
        most = self.channel.adj.max_request_body_size - 1
        sentence = (
            f"The request is larger than {size(most)}: send fewer pictures."
            if error.code == 413
            else f"The request cannot be read: {error.reason}."
        )
        body = json.dumps({"error": sentence}).encode() + b"\n"
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", "application/json"))
        self.response_headers.append(("Connection", "close"))
        self.content_length = len(body)
        self.set_close_on_finish()
        self.write(body)


class _Room:
    """Memory for requests that are larger than what every connection may hold.

    Each takes its length before it goes on to arrive, and gives it back when it is answered. The
    others are not read meanwhile, and get theirs in the order in which they came. It is asked by
    the thread that receives alone.
    """

    def __init__(self, size: int) -> None:
        self.left = size
        self.queue: dict[_Channel, int] = {}  # in their order
        self.taken: dict[_Channel, int] = {}

    def has(self, channel: _Channel, length: int) -> bool:
        """Whether there is room for a request of a connection, which then has it."""
        if channel in self.taken:
            return True
        self.queue.setdefault(channel, length)
        if next(iter(self.queue)) is not channel or length > self.left:
            return False
        self.taken[channel] = self.queue.pop(channel)
        self.left -= length
        return True

    def leave(self, channel: _Channel) -> None:
        """The request is answered, or its connection closed."""
        self.queue.pop(channel, None)
        self.left += self.taken.pop(channel, 0)


class _Channel(HTTPChannel):  # type: ignore[misc]
    """A connection that knows when its present request began to arrive."""

    error_task_class = _Error
    began = 0.0

    def received(self, data: bytes) -> Any:
        if self.request is None:
            self.began = time.time()
        return super().received(data)

    def readable(self) -> bool:
        request = self.request
        if request is None and not self.requests:
            self.server.room.leave(self)
        if not super().readable():
            return False
        if request is None or request.body_bytes_received < SMALL:
            return True
        # in chunks it does not say how long it gets
        if self.server.room.has(self, request.content_length or self.adj.max_request_body_size):
            return True
        self.began = self.last_activity = time.time()  # it waits for others, not they for it
        return False

    def del_channel(self, map: Any = None) -> None:
        self.server.room.leave(self)
        super().del_channel(map)


def listen(application: Any, options: Options) -> Any:
    """A server that is bound to its port; its `run` serves.

    Raises
    ------
    OSError
        The port is taken, or may not be used.
    """
    server = create_server(
        application,
        host=options.host,
        port=options.port,
        threads=4 * options.workers,  # so that decoders and networks have their next picture
        ident=None,
        connection_limit=options.connections,
        max_request_header_size=32_768,
        recv_bytes=262_144,  # a picture in one piece, not in five
        max_request_body_size=options.request_bytes + 1,
        inbuf_overflow=options.request_bytes + 1,  # never a file
        outbuf_overflow=64_000_000,
        channel_timeout=30,
        cleanup_interval=5,
        log_socket_errors=False,
        asyncore_use_poll=True,  # many connections cost less than by select
        **(
            {
                "trusted_proxy": options.proxy,
                "trusted_proxy_headers": "x-forwarded-for x-forwarded-proto x-forwarded-host",
            }
            if options.proxy
            else {}
        ),
    )
    assert isinstance(server, TcpWSGIServer)
    server.channel_class = _Channel
    server.room = _Room(max(options.large_bytes, options.request_bytes + 1))
    plain = server.maintenance

    def maintenance(now: float) -> None:
        plain(now)
        for channel in server.active_channels.values():
            if channel.request is not None and now - channel.began > options.receive_seconds:
                channel.will_close = True  # one byte now and then is no request

    server.maintenance = maintenance
    return server
