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
    for _ in range(2):  # whoever is refused tries again
        assert not survival.clear_stale_lock(folder)
        assert locks(folder) == 1
        survival._held.clear()
    (folder / ".snakemake/locks/0.output.lock").unlink()  # snakemake --unlock
    assert not survival.clear_stale_lock(folder)
    assert (folder / ".snakemake/darkroom.lock").read_text() != "another-machine"


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


OPEN = (
    "import sys; from tests.refusing import refuse_locks; refuse_locks()\n"
    "from darkroom import survival; survival.lock_no_arrays()\n"
    "import h5py\n"
    "h5py.File(sys.argv[1], 'w').close()\n"  # as a library opens it, which knows of no option
    "print(len(h5py.File(sys.argv[1])))\n"
)


def test_where_locks_are_refused_libraries_open_arrays_too(tmp_path: Path) -> None:
    here, command = Path(__file__).parents[2], [sys.executable, "-c", OPEN, str(tmp_path / "a.h5")]
    env = {k: v for k, v in os.environ.items() if k != "HDF5_USE_FILE_LOCKING"}
    done = subprocess.run(command, cwd=here, env=env, capture_output=True, text=True)
    assert done.stdout == "0\n", done.stderr


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


SQUEUE = """#!/bin/sh
for file in queue/*; do [ -f "$file" ] && echo "${file#queue/}|$(cat "$file")"; done
exit 0
"""
SCANCEL = """#!/bin/sh
for number; do rm "queue/$number"; done
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder after a killed run, and a queue of Slurm's that holds a file a job in `queue/`."""
    for name, text in (("squeue", SQUEUE), ("scancel", SCANCEL)):
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(text)
        command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    for folder in ("queue", ".snakemake/incomplete/a", ".snakemake/locks"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / ".snakemake/incomplete/a/mark").write_text("{}")
    (tmp_path / "queue/7").write_text(f"{tmp_path}|rule_train_model_wildcards_a")
    (tmp_path / "queue/8").write_text(f"{tmp_path}|group_data")
    monkeypatch.setattr(survival, "_held", [None])
    return tmp_path


def test_jobs_that_a_killed_run_left_with_slurm_are_cancelled(slurm: Path) -> None:
    """Not what was submitted elsewhere, nor what is none of Snakemake's."""
    (slurm / "queue/3").write_text(f"{slurm}|(null)")
    (slurm / "queue/4").write_text(f"{slurm}/below|rule_train_model")
    assert survival.end_leftover_jobs(slurm) == ["7", "8"]
    assert sorted(p.name for p in (slurm / "queue").iterdir()) == ["3", "4"]
    assert survival.end_leftover_jobs(slurm) == []


def test_no_job_is_cancelled_where_the_last_run_ended_well(slurm: Path) -> None:
    (slurm / ".snakemake/incomplete/a/mark").unlink()
    assert survival.end_leftover_jobs(slurm) == []
    assert (slurm / "queue/7").exists()


def test_a_run_is_not_alone_beside_another(slurm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One on another machine has left Snakemake's lock; one here holds ours."""
    assert survival.alone(slurm)
    lock = slurm / ".snakemake/locks/0.input.lock"
    lock.touch()
    assert not survival.alone(slurm)
    lock.unlink()
    monkeypatch.setattr(survival, "_held", [])
    assert not survival.alone(slurm)
