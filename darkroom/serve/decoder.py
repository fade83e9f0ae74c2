"""Pictures from strangers are decoded in processes of their own, with limits of time and memory.

A decoder that crashes, hangs or takes too much costs its one picture a sentence; the server goes on
and starts another. The processes are forked from one that has loaded the decoders and nothing else.
Each shares a piece of memory with the server: a file goes there, then its pixels. One short message
of JSON each way says so, never a pickle: each further one would wake the other process once more.
"""

from __future__ import annotations

import json
import mmap
import multiprocessing
import os
import queue
import signal
import socket
import time
from multiprocessing import reduction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from darkroom.images.resize import size_of
from darkroom.machine.workers import ending

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

    from darkroom.decode.policy import Policy
    from darkroom.images.resize import View
    from darkroom.serve.options import Options

FORMATS = {"jpeg", "png", "gif", "bmp", "tiff", "webp", "avif"}
"""By content, whatever the name says. Rarer ones of a data set are not worth their decoders' risk."""

MEMORY = 1 << 30
"""Bytes that a server and a decoder share, at most: the largest view. What is not used takes none."""

KEPT = 1_000_000  # of them, from one picture to the next
MESSAGE = 100_000  # bytes

LOADED = [
    "PIL.BmpImagePlugin",
    "PIL.GifImagePlugin",
    "PIL.JpegImagePlugin",
    "PIL.PngImagePlugin",
    "PIL.TiffImagePlugin",
    "PIL.WebPImagePlugin",
    "darkroom.decode.file",
    "darkroom.images.resize",
    "darkroom.predict.unseen",
    "darkroom.serve.decoder",
]


class Decoders:
    """Processes that decode pictures, one at a time each; safe to use from many threads."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(LOADED)
        self.idle: queue.LifoQueue[_Decoder] = queue.LifoQueue()
        for _ in range(options.workers):
            self.idle.put(_Decoder(self))

    def decode(
        self, data: bytes, name: str, *, view: View, policy: Policy, until: float
    ) -> tuple[str, str, np.ndarray]:
        """Check and decode a picture exactly as `predict` does.

        Parameters
        ----------
        data : content of the file. name : for its suffix.
        view, policy : of the model.
        until : time (`time.monotonic`) when the request ends.

        Returns
        -------
        status (`ok`, `converted`, `unusable`), the reason in words, and (H, W, C) uint8 pixels,
        zeros where it cannot be used. It never raises for what is in the file.
        """
        nothing = np.zeros(size_of(view), np.uint8)
        late = f"not looked at: the request took longer than {self.options.request_seconds:g} s"
        try:
            decoder = self.idle.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            return "unusable", late, nothing
        try:
            if time.monotonic() >= until:
                return "unusable", late, nothing
            return decoder.decode(data, name, view, policy, nothing)
        except (EOFError, OSError, ValueError) as error:  # it died, hangs, or answers nonsense
            how = decoder.end()
            decoder = _Decoder(self)
            if isinstance(error, TimeoutError):
                return "unusable", "not decoded in time: the machine is too busy", nothing
            return "unusable", f"crashed: the decoder ended by {how}", nothing
        finally:
            self.idle.put(decoder)

    def close(self) -> None:
        """End the processes."""
        while not self.idle.empty():
            self.idle.get().end()


class _Decoder:
    """One process."""

    def __init__(self, decoders: Decoders) -> None:
        self.options = decoders.options
        self.connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        file = os.memfd_create("picture")
        os.ftruncate(file, MEMORY)
        self.memory = mmap.mmap(file, MEMORY)
        self.process: ForkServerProcess = decoders.context.Process(
            target=_work, args=(theirs, reduction.DupFd(file), self.options), daemon=True
        )
        self.process.start()
        theirs.close()
        os.close(file)

    def decode(
        self, data: bytes, name: str, view: View, policy: Policy, nothing: np.ndarray
    ) -> tuple[str, str, np.ndarray]:
        self.memory[: len(data)] = data
        self.connection.send(json.dumps([len(data), name, view, policy]).encode())
        # the process ends itself by its own limit; waiting for memory or a busy machine is more
        self.connection.settimeout(3 * self.options.seconds + 5)
        status, reason = json.loads(self.connection.recv(MESSAGE))
        pixels = nothing
        if status != "unusable":
            pixels = np.frombuffer(self.memory[: nothing.nbytes], np.uint8).reshape(nothing.shape)
        if max(len(data), nothing.nbytes) > KEPT:
            self.memory.madvise(mmap.MADV_REMOVE)
        return status, reason, pixels

    def end(self) -> str:
        """End the process; returns how it ended."""
        self.connection.close()
        self.memory.close()
        self.process.join(1)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        code = self.process.exitcode or 0
        if code == -signal.SIGPROF:
            return f"the limit of {self.options.seconds:g} s of computing"
        return ending(code)


# ---------------------------------------------------------------- in the process


def _work(connection: socket.socket, file: Any, options: Options) -> None:
    """Decode one picture after another until the server closes its end, or is gone."""
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server says when to stop
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    memory = mmap.mmap(file.detach(), MEMORY)
    _limit_memory(options.decoder_bytes)
    cv2.setNumThreads(1)
    while request := _received(connection):
        length, name, view, policy = json.loads(request)
        data = memory[:length]
        shape = size_of(view)
        out = np.ndarray(shape, np.uint8, memory)
        signal.setitimer(signal.ITIMER_PROF, options.seconds)
        status, reason = examine(data, name, out, view=view, policy=policy, pixels=options.pixels)
        signal.setitimer(signal.ITIMER_PROF, 0)
        del data, out
        connection.send(json.dumps([status, reason[:1000]]).encode())


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(MESSAGE)
    except OSError:  # the server is gone, with an answer unread
        return b""


def examine(
    data: bytes, name: str, out: np.ndarray, *, view: View, policy: Policy, pixels: int
) -> tuple[str, str]:
    """As `unseen.examine_bytes`, once the header alone says that the picture is allowed.

    Parameters
    ----------
    pixels : that a picture may have.
    """
    from darkroom.decode.file import trouble_of
    from darkroom.decode.header import DecodeError, read_header
    from darkroom.decode.quiet import quiet
    from darkroom.predict.unseen import examine_bytes

    with quiet:
        try:
            header = read_header(data, name)
        except (DecodeError, MemoryError) as error:
            return "unusable", trouble_of(error)
        if header.format not in FORMATS:
            known = ", ".join(sorted(FORMATS))
            return "unusable", f"cannot be used: a file of the format {header.format}; send {known}"
        if header.width * header.height > pixels:
            size = f"{header.width:,} x {header.height:,}"
            return "unusable", f"too large: {size} pixels; a picture may have {pixels:,}"
        return examine_bytes(data, name, out, view=view, policy=policy)


def _limit_memory(count: int) -> None:
    """Bound what this process may map beyond what it has, and let it write no large file."""
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + count
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))  # what decoders complain
