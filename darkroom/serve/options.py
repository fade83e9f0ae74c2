"""What the web application is told, and its limits."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True)
class Options:
    """Settings of the web application.

    Attributes
    ----------
    host, port : where it listens.
    allowed : names by which it may be asked, beside those of this machine.
    https : the proxy in front speaks TLS: cookies and browsers are bound to it.
    proxy : address of the proxy whose X-Forwarded headers count; None: there is none.
    token : that programs must send; None: they need none.
    notice : a sentence above every prediction; empty: none.
    unsure_below : probability of the predicted class below which the model is unsure.
    workers : pictures that are decoded at a time, and networks that compute.
    picture_bytes : of one picture.
    request_bytes : of a request with all its pictures.
    pictures : of one request.
    pixels : of one picture, by its header.
    seconds : of computing for decoding one picture.
    request_seconds : for all pictures of a request; what is left then is refused.
    decoder_bytes : of memory that one picture may take while it is decoded.
    rate : pictures a minute from one address.
    connections : at a time; further ones wait.
    large_bytes : of all requests together that are larger than half a megabyte; further ones wait.
    receive_seconds : for a whole request to arrive.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    allowed: tuple[str, ...] = ()
    https: bool = False
    proxy: str | None = None
    token: str | None = None
    notice: str = ""
    unsure_below: float = 0.7
    workers: int = 2
    picture_bytes: int = 20_000_000
    request_bytes: int = 32_000_000
    pictures: int = 50
    pixels: int = 50_000_000
    seconds: float = 10.0
    request_seconds: float = 60.0
    decoder_bytes: int = 1_000_000_000
    rate: int = 600
    connections: int = 48
    large_bytes: int = 32_000_000
    receive_seconds: float = 60.0

    def may_ask(self, authorization: str) -> bool:
        """Whether a program may ask, by its header `Authorization`."""
        if self.token is None:
            return True
        return hmac.compare_digest(authorization.encode(), f"Bearer {self.token}".encode())


def size(count: int) -> str:
    """Bytes in words: `20 MB`."""
    return f"{count / 1e6:,.0f} MB" if count >= 1e6 else f"{count / 1e3:,.0f} kB"
