"""Snakemake as `python -m darkroom run` starts it."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from snakemake import cli

from darkroom.workflow import launch

SMALL = """
configfile: "config.yaml"
rule all:
    shell: "true"
"""


@pytest.mark.parametrize("shown", [False, True])
def test_the_first_words_are_those_of_the_run(tmp_path: Path, shown: bool) -> None:
    (tmp_path / "Snakefile").write_text(SMALL)
    (tmp_path / "config.yaml").write_text("data: 1\n")
    (tmp_path / "profiles/default").mkdir(parents=True)
    (tmp_path / "profiles/default/config.yaml").write_text("cores: 1\n")
    done = subprocess.run(
        [sys.executable, "-m", "darkroom.workflow.launch", "-n", "--config", "data=2"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(Path.cwd()), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "VERBOSE": str(int(shown))},
    )  # fmt: skip
    told = done.stdout + done.stderr
    assert ("Using workflow specific profile" in told) == shown
    assert ("Config file config.yaml is extended" in told) == shown
    assert "Building DAG" in told


def test_what_snakemake_refuses_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        launch.snakemake(["--no-such-word"])
    assert ended.value.code == 2
    assert "--no-such-word" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").touch()
    log = logging.getLogger("snakemake.logging")
    before = log.filters[:]
    assert launch.snakemake(["-n", "--cores", "1", "--directory", f"{tmp_path}/taken"]) == 1
    log.filters[:] = before
    assert "taken: no such folder can be made: File exists\n" in capsys.readouterr().err


def test_ctrl_c_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "parse_args", stopped)
    log = logging.getLogger("snakemake.logging")
    before = log.filters[:]
    assert launch.snakemake([]) == 130
    log.filters[:] = before
    assert capsys.readouterr().err == "stopped; run the same command to go on\n"
