"""Locks and jobs that a killed run leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from darkroom import survival

HOLD = (
    "import sys, time; from pathlib import Path; from darkroom import survival; "
    "survival.clear_stale_lock(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ".snakemake/locks").mkdir(parents=True)
    (tmp_path / ".snakemake/locks/0.output.lock").write_text("results/x\n")
    return tmp_path


@pytest.fixture(autouse=True)
def release() -> None:
    survival._held.clear()


def locks(folder: Path) -> int:
    return len(list((folder / ".snakemake/locks").iterdir()))


def test_the_lock_of_a_dead_run_is_removed(folder: Path) -> None:
    assert survival.clear_stale_lock(folder)
    assert locks(folder) == 0
    survival._held.clear()
    assert not survival.clear_stale_lock(folder), "nothing is left to remove"


def test_the_lock_of_a_living_run_stays_until_it_is_killed(folder: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE)
    assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
    (folder / ".snakemake/locks/0.output.lock").write_text("results/x\n")
    assert not survival.clear_stale_lock(folder)
    assert locks(folder) == 1
    holder.kill()
    holder.wait()
    assert survival.clear_stale_lock(folder)
    assert locks(folder) == 0


def test_the_lock_of_another_machine_stays(folder: Path) -> None:
    (folder / ".snakemake/darkroom.lock").write_text("another-machine")
    assert not survival.clear_stale_lock(folder)
    assert locks(folder) == 1


REFUSED = (
    "import sys; from pathlib import Path; from tests.refusing import refuse_locks; refuse_locks(); "
    "from darkroom import survival; print(survival.clear_stale_lock(Path(sys.argv[1])))"
)


def test_where_locks_are_refused_a_lock_stays_and_that_is_told(folder: Path) -> None:
    command = [sys.executable, "-c", REFUSED, str(folder)]
    here = Path(__file__).parents[2]
    said = subprocess.run(command, cwd=here, capture_output=True, text=True, check=True).stdout
    assert locks(folder) == 1
    (words, answer) = said.splitlines()
    assert "gives no locks (No locks available)" in words and "snakemake --unlock" in words
    assert answer == "False"
    (folder / ".snakemake/locks/0.output.lock").unlink()
    said = subprocess.run(command, cwd=here, capture_output=True, text=True, check=True).stdout
    assert said == "False\n", "without a lock there is nothing to tell"


def test_a_job_dies_with_its_snakemake() -> None:
    parent = subprocess.Popen(["sleep", "60"])
    job = subprocess.Popen(
        [sys.executable, "-c",
         "import time; from darkroom.survival import die_with_parent; die_with_parent(0.05); "
         "print('up', flush=True); time.sleep(60)"],
        env=os.environ | {survival.PARENT: str(parent.pid)},
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert job.stdout is not None and job.stdout.readline() == b"up\n"
    time.sleep(0.2)
    assert job.poll() is None
    parent.kill()
    assert job.wait(timeout=120) == -signal.SIGKILL
    parent.wait()


@pytest.mark.parametrize("named", ["", "none", "999999999"])
def test_a_snakemake_that_cannot_be_seen_is_not_watched(
    named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    monkeypatch.setenv(survival.PARENT, named)
    before = threading.active_count()
    survival.die_with_parent()
    assert threading.active_count() == before
