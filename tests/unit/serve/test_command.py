"""The command `serve` in a process of its own: it listens before its models are open."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from darkroom import ROOT

EXPORT = ROOT / "tests/support/export_0_1"
# `serve`, which begins to look for its models when a line comes in
HELD = """
import sys
from darkroom.__main__ import main
from darkroom.serve.service import Service

plain = Service.find

def find(service):
    sys.stdin.readline()
    plain(service)

Service.find = find
sys.exit(main(["serve", "--workers", "1", *sys.argv[1:]]))
"""


class Held:
    """The command, held before it looks for what it serves."""

    def __init__(self, place: Path, state: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            [sys.executable, "-c", HELD, str(place), "--port", str(port)],
            cwd=ROOT, env=os.environ | {"XDG_STATE_HOME": str(state)}, text=True,
            stdin=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def status(self, path: str, wanted: int) -> int:
        """The status of an address, once it is the wanted one or a minute later."""
        until, found = time.monotonic() + 60, 0
        while found != wanted and time.monotonic() < until and self.process.poll() is None:
            try:
                found = requests.get(self.address + path, timeout=10).status_code
            except OSError:
                time.sleep(0.1)
        return found

    def end(self, text: str = "") -> tuple[int, str]:
        """Send a line; returns the exit status and what the command wrote to the terminal."""
        try:
            _, said = self.process.communicate(text, timeout=60)
        finally:
            self.process.kill()
        return self.process.returncode, said


def test_it_answers_before_its_models_are_open(tmp_path: Path) -> None:
    serve = Held(EXPORT, tmp_path)
    assert serve.status("/healthz", 200) == 200
    assert serve.status("/readyz", 503) == 503
    assert serve.status("/", 200) == 200  # the form, before the model
    assert serve.process.stdin is not None
    serve.process.stdin.write("\n")
    serve.process.stdin.flush()
    assert serve.status("/readyz", 200) == 200
    assert serve.status("/", 200) == 200
    serve.process.send_signal(signal.SIGINT)
    status, said = serve.end()
    assert status == 0 and "Traceback" not in said
    assert f": ready on {serve.address}\n" in said


def test_what_is_no_model_ends_it_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    serve = Held(tmp_path / "empty", tmp_path)
    assert serve.status("/healthz", 200) == 200
    status, said = serve.end("\n")
    assert status == 2 and "Traceback" not in said
    assert "empty: no model stands in this folder" in said.splitlines()[-1]


def test_what_is_not_there_is_said_before_it_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from darkroom.__main__ import main
    from darkroom.serve import server

    monkeypatch.setattr(server, "listen", None)
    assert main(["serve", str(tmp_path / "none"), "--workers", "1"]) == 2
    assert "there is no such model or folder of results" in capsys.readouterr().err
