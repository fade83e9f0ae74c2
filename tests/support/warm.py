"""Snakemake in a process that is forked for each dry run: most of a dry run's time is imports.

`run` asks a server, one for each process of the tests, which has imported Snakemake and the
packages that are read with the Snakefile, but nothing of Darkroom: that comes from the folder of
each run.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from functools import cache
from pathlib import Path


@cache
def _server() -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, __file__], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )  # fmt: skip
    atexit.register(process.kill)
    return process


def run(
    words: list[str], cwd: Path, env: dict[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run `snakemake` with some words; its exit status, and all that it printed.

    Parameters
    ----------
    words : after the name of the program.
    cwd : its folder; Darkroom is imported from there.
    env : all its variables.
    timeout : seconds, after which it is ended (exit status -14).
    """
    server = _server()
    assert server.stdin is not None and server.stdout is not None
    with tempfile.NamedTemporaryFile("r", suffix=".log") as out:
        asked = {"words": words, "cwd": str(cwd), "env": env, "timeout": timeout, "out": out.name}
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        status = int(server.stdout.readline())
        return subprocess.CompletedProcess(words, status, out.read())


def _serve() -> None:
    import h5py  # noqa: F401
    import pandas  # noqa: F401
    import PIL.Image  # noqa: F401
    import pyarrow  # noqa: F401
    import pydantic  # noqa: F401
    import requests  # noqa: F401
    from snakemake.cli import get_argument_parser

    get_argument_parser()  # loads the plugins
    assert "darkroom" not in sys.modules
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _snakemake(**json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _snakemake(words: list[str], cwd: str, env: dict[str, str], timeout: float, out: str) -> None:
    """What `python -m snakemake` does; never returns."""
    status = 1
    try:
        signal.alarm(int(timeout))
        null, file = os.open(os.devnull, os.O_RDONLY), os.open(out, os.O_WRONLY)
        for source, place in ((null, 0), (file, 1), (file, 2)):
            os.dup2(source, place)
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(env)
        sys.path[0] = cwd
        sys.argv = ["snakemake", *words]
        from snakemake.cli import main

        main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve()
