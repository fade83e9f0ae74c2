"""Processes that have loaded what a run needs, and are forked for it: most of a small run is imports.

A server, one for each process of the tests, has loaded Snakemake and the packages that are read
with the Snakefile. Another has those of the jobs, TensorFlow and scikit-learn among them: a run
may start its jobs from there. None has loaded Darkroom, which comes from the folder of each run.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

TIMEOUT = 900  # seconds of a run
READ = ("h5py", "pandas", "PIL.Image", "pyarrow", "pydantic", "requests")
JOBS = (
    "cv2", "h5py", "jinja2", "matplotlib.figure", "optuna", "pandas", "pyarrow.parquet",
    "scipy.stats", "sklearn.ensemble", "sklearn.svm", "skops.io", "snakemake.script", "tensorflow",
)  # fmt: skip
# What a job has for its Python: it runs in a fork of the server, with the same files and variables.
PYTHON = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({place!r})
    socket.send_fds(server, [b" "], [0, 1, 2])
    asked = dict(words=sys.argv[1:], cwd=os.getcwd(), env=dict(os.environ))
    server.sendall(json.dumps(asked).encode())
    server.shutdown(socket.SHUT_WR)
    sys.exit(int(server.recv(9) or 1))
"""


@cache
def _snakemake() -> subprocess.Popen[str]:
    return _started("snakemake")


@cache
def _python() -> str:
    """A program that runs a script in a fork of the server of jobs."""
    folder = tempfile.TemporaryDirectory(prefix="darkroom-")
    atexit.register(folder.cleanup)
    place = f"{folder.name}/socket"
    program = Path(folder.name, "python")
    program.write_text(PYTHON.format(python=sys.executable, place=place))
    program.chmod(0o755)
    _started("jobs", place)
    return str(program)


def _started(*words: str) -> subprocess.Popen[str]:
    """A server that is ready."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "HDF5_USE_FILE_LOCKING": "FALSE"}
    quiet |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # a fork has no threads
    server = subprocess.Popen(
        [sys.executable, __file__, *words], text=True, env=os.environ | quiet,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    atexit.register(server.kill)
    assert server.stdout is not None and server.stdout.readline() == "ready\n"
    return server


def run(
    words: list[str], cwd: Path, env: dict[str, str], jobs: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run `snakemake` with some words; its exit status, and all that it printed.

    Parameters
    ----------
    words : after the name of the program.
    cwd : its folder; Darkroom is imported from there.
    env : all its variables.
    jobs : whether its jobs are forked too.
    """
    server = _snakemake()
    assert server.stdin is not None and server.stdout is not None
    with tempfile.NamedTemporaryFile("r", suffix=".log") as out:
        asked = {
            "words": words, "cwd": str(cwd), "env": env, "out": out.name,
            "python": _python() if jobs else sys.executable,
        }  # fmt: skip
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        status = int(server.stdout.readline())
        return subprocess.CompletedProcess(words, status, out.read())


class Started:
    """A Python program in a fork of the server of jobs: what `subprocess.Popen` has, as far as it is used.

    It has a session of its own; what it prints as errors is kept.

    Attributes
    ----------
    returncode : once it has ended; minus SIGKILL where it ended without a word.
    """

    def __init__(self, words: list[str], cwd: Path, env: dict[str, str]) -> None:
        self.said = tempfile.TemporaryFile("w+")  # noqa: SIM115  (open as long as it runs)
        self.server = socket.socket(socket.AF_UNIX)
        self.server.connect(str(Path(_python()).with_name("socket")))
        null = os.open(os.devnull, os.O_RDWR)
        socket.send_fds(self.server, [b" "], [null, null, self.said.fileno()])
        os.close(null)
        asked = {"words": words, "cwd": str(cwd), "env": env, "alone": True}
        self.server.sendall(json.dumps(asked).encode())
        self.server.shutdown(socket.SHUT_WR)
        self.answer = self.server.makefile("r")
        self.pid = int(self.answer.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float) -> int:
        if self.returncode is None:
            if not select.select([self.server], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a job", timeout)
            status = self.answer.read()
            self.returncode = int(status) if status else -signal.SIGKILL
            self.server.close()
        return self.returncode

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def communicate(self, timeout: float = TIMEOUT) -> tuple[None, str]:
        self.wait(timeout)
        self.said.seek(0)
        return None, self.said.read()


# ---------------------------------------------------------------- in the servers


def _serve_snakemake() -> None:
    _load(READ)
    from snakemake.cli import get_argument_parser, main

    get_argument_parser()  # loads the plugins
    print("ready", flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            asked = json.loads(line)
            signal.alarm(TIMEOUT)
            out = os.open(asked["out"], os.O_WRONLY | os.O_APPEND)
            sys.executable = asked["python"]
            files = [os.open(os.devnull, os.O_RDONLY), out, out]
            _become(files, asked["cwd"], asked["env"], ["snakemake", *asked["words"]], main)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _serve_jobs(place: str) -> None:
    _load(JOBS)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(place)
        server.listen()
        print("ready", flush=True)
        while True:
            asking, _ = server.accept()
            with asking:
                if os.fork() == 0:
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    _, files, *_ = socket.recv_fds(asking, 1, 3)
                    asked = json.loads(asking.makefile("rb").read())
                    if asked.get("alone"):
                        os.setsid()
                        asking.sendall(f"{os.getpid()}\n".encode())
                    work = partial(runpy.run_path, asked["words"][0], run_name="__main__")
                    # TensorFlow has loaded it; a job settles its threads before it does
                    sys.modules.pop("keras")
                    _become(files, asked["cwd"], asked["env"], asked["words"], work, asking)


def _load(names: tuple[str, ...]) -> None:
    for name in names:
        importlib.import_module(name)
    assert "darkroom" not in sys.modules


def _become(
    files: list[int],
    cwd: str,
    env: dict[str, str],
    words: list[str],
    work: Callable[[], object],
    asking: socket.socket | None = None,
) -> None:
    """Do some work as a program that was started with these files, variables and words."""
    status = 1
    try:
        for place, file in enumerate(files):
            os.dup2(file, place)
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(env)
        sys.argv = words
        sys.path[:1] = [cwd, *filter(None, env.get("PYTHONPATH", "").split(":"))]
        work()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
            if asking is not None:
                asking.sendall(str(status).encode())
        os._exit(status)


if __name__ == "__main__":
    if sys.argv[1:] == ["snakemake"]:
        _serve_snakemake()
    else:
        _serve_jobs(sys.argv[2])
