"""The command `python -m darkroom serve`."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import sys
import threading
from pathlib import Path
from typing import Any

from darkroom.errors import UserError
from darkroom.serve.options import LOOPBACK, Options

DEFAULT = Options()


def add(commands: Any) -> None:
    """Add the command and its arguments to those of a parser."""
    command = commands.add_parser(
        "serve",
        help="a web page and a JSON API that predict pictures",
        description="Serve trained models on a web page, and by JSON to programs (docs/serve.md).",
    )
    command.add_argument(
        "models",
        metavar="MODEL",
        nargs="+",
        help="results/DATASET, the folder or file of one model, or results: all data sets in it",
    )
    command.add_argument("--host", default=DEFAULT.host, help="address to listen on (%(default)s)")
    command.add_argument("--port", type=int, default=DEFAULT.port, help="(%(default)s)")
    command.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="NAME",
        help="a name by which others ask for it: darkroom.example.org; may be given several times",
    )
    command.add_argument(
        "--https", action="store_true", help="a proxy in front speaks TLS: bind cookies to it, HSTS"
    )
    command.add_argument(
        "--proxy", metavar="ADDRESS", help="of a proxy whose X-Forwarded headers count"
    )
    command.add_argument(
        "--token-file",
        metavar="FILE",
        help="its first line is the token that programs must send",
    )
    command.add_argument(
        "--notice", default="", metavar="SENTENCE", help="shown above every prediction"
    )
    command.add_argument(
        "--unsure-below",
        type=float,
        default=DEFAULT.unsure_below,
        metavar="P",
        help="a prediction of a lower probability is marked as unsure (%(default)s)",
    )
    command.add_argument(
        "--workers", type=int, metavar="N", help="pictures that are decoded at a time (cores)"
    )
    command.add_argument(
        "--rate", type=int, default=DEFAULT.rate, metavar="N",
        help="pictures a minute from one address (%(default)s)",
    )  # fmt: skip


def options_of(given: argparse.Namespace) -> Options:
    """The options of a command line.

    Raises
    ------
    UserError
        One that cannot be.
    """
    from darkroom.machine import hardware

    if given.host not in LOOPBACK and given.host != "::1" and not given.allow:
        raise UserError(
            f"--host {given.host}: others can ask then; name what they ask for: "
            "--allow darkroom.example.org"
        )
    if not 0 <= given.port <= 65_535:  # a larger one would be taken modulo 65,536
        raise UserError(f"--port {given.port}: a port is between 0 and 65535")
    if not 0 <= given.unsure_below <= 1:
        raise UserError(f"--unsure-below {given.unsure_below}: a probability is between 0 and 1")
    if given.rate < 1 or (given.workers is not None and given.workers < 1):
        raise UserError("--rate and --workers: at least 1")
    token = None
    if given.token_file:
        try:
            token = Path(given.token_file).read_text().split("\n")[0].strip()
        except OSError as error:
            raise UserError(f"--token-file {given.token_file}: {error.strerror}") from None
        if len(token) < 16:
            raise UserError(f"--token-file {given.token_file}: a token has 16 characters or more")
    return Options(
        host=given.host,
        port=given.port,
        allowed=tuple(given.allow),
        https=given.https,
        proxy=given.proxy,
        token=token,
        notice=given.notice,
        unsure_below=given.unsure_below,
        workers=given.workers or hardware.cores(),
        rate=given.rate,
    )


def give_back_memory() -> None:
    """Let glibc keep little of what is freed: by itself it keeps as much as each thread ever had."""
    with contextlib.suppress(AttributeError, OSError):  # another C library keeps less
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-8, 2)  # M_ARENA_MAX
        mallopt(-3, 1 << 20)  # M_MMAP_THRESHOLD, bytes


def run(given: argparse.Namespace) -> int:
    """Serve until it is stopped; returns the exit status."""
    options = options_of(given)
    give_back_memory()
    from darkroom.serve import site
    from darkroom.serve.server import listen
    from darkroom.serve.service import Service

    service = Service(given.models, options)
    try:
        site.log_to()
        try:
            server = listen(site.application(service, site.secret_key()), options)
        except OSError as error:
            raise UserError(
                f"{options.host}:{options.port} cannot be listened on: {os.strerror(error.errno or 0)}; "
                "choose another --port"
            ) from None
        serving = threading.Thread(target=server.run, name="serve", daemon=True)
        serving.start()
        address = f"http://{options.host}:{options.port}"
        print(f"{address} is there; the models are being opened (Ctrl+C ends it)", file=sys.stderr)
        try:
            service.find()  # a mistake in what is named ends the server
            service.load()
            if service.ready:
                print(f"{', '.join(service.names)}: ready on {address}", file=sys.stderr)
            serving.join()
            return 1  # nobody stopped it: the log says what did
        except KeyboardInterrupt:
            server.task_dispatcher.shutdown()
    finally:
        service.close()
    return 0
