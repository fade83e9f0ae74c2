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


class _Channel(HTTPChannel):  # type: ignore[misc]
    """A connection that knows when its present request began to arrive."""

    error_task_class = _Error
    began = 0.0

    def received(self, data: bytes) -> Any:
        if self.request is None:
            self.began = time.time()
        return super().received(data)


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
        threads=options.workers,
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
    plain = server.maintenance

    def maintenance(now: float) -> None:
        plain(now)
        for channel in server.active_channels.values():
            if channel.request is not None and now - channel.began > options.receive_seconds:
                channel.will_close = True  # one byte now and then is no request

    server.maintenance = maintenance
    return server
