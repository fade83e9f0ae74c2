"""Locks and jobs that a killed run leaves behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from darkroom import ROOT
from darkroom.workflow import stale_locks
from tests.support import fake_slurm

HOLD = (
    "import sys, time; from pathlib import Path; from darkroom.workflow import stale_locks; "
    "stale_locks.clear_stale_lock(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ".snakemake/locks").mkdir(parents=True)
    (tmp_path / ".snakemake/locks/0.output.lock").write_text("results/x\n")
    return tmp_path


@pytest.fixture(autouse=True)
def release() -> None:
    stale_locks._held.clear()


def locks(folder: Path) -> int:
    return len(list((folder / ".snakemake/locks").iterdir()))


def test_the_lock_of_a_dead_run_is_removed(folder: Path) -> None:
    assert stale_locks.clear_stale_lock(folder)
    assert locks(folder) == 0
    stale_locks._held.clear()
    assert not stale_locks.clear_stale_lock(folder), "nothing is left to remove"


def test_the_lock_of_a_living_run_stays_until_it_is_killed(folder: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE)
    assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
    (folder / ".snakemake/locks/0.output.lock").write_text("results/x\n")
    assert not stale_locks.clear_stale_lock(folder)
    assert locks(folder) == 1
    holder.kill()
    holder.wait()
    assert stale_locks.clear_stale_lock(folder)
    assert locks(folder) == 0


def test_the_lock_of_another_machine_stays(folder: Path) -> None:
    (folder / ".snakemake/darkroom.lock").write_text("another-machine")
    for _ in range(2):  # whoever is refused tries again
        assert not stale_locks.clear_stale_lock(folder)
        assert locks(folder) == 1
        stale_locks._held.clear()
    (folder / ".snakemake/locks/0.output.lock").unlink()  # snakemake --unlock
    assert not stale_locks.clear_stale_lock(folder)
    assert (folder / ".snakemake/darkroom.lock").read_text() != "another-machine"


REFUSED = (
    "import sys; from pathlib import Path; from tests.support.refusing import refuse_locks; refuse_locks(); "
    "from darkroom.workflow import stale_locks; print(stale_locks.clear_stale_lock(Path(sys.argv[1])))"
)


def test_where_locks_are_refused_a_lock_stays_and_that_is_told(folder: Path) -> None:
    command = [sys.executable, "-c", REFUSED, str(folder)]
    here = ROOT
    said = subprocess.run(command, cwd=here, capture_output=True, text=True, check=True).stdout
    assert locks(folder) == 1
    (words, answer) = said.splitlines()
    assert "gives no locks (No locks available)" in words and "snakemake --unlock" in words
    assert answer == "False"
    (folder / ".snakemake/locks/0.output.lock").unlink()
    said = subprocess.run(command, cwd=here, capture_output=True, text=True, check=True).stdout
    assert said == "False\n", "without a lock there is nothing to tell"


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder after a killed run, and a queue of Slurm's that holds a file a job in `queue/`."""
    fake_slurm.install(tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)
    for folder in (".snakemake/incomplete/a", ".snakemake/locks"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / ".snakemake/incomplete/a/mark").write_text("{}")
    (tmp_path / "queue/7").write_text(f"{tmp_path}|rule_train_model_wildcards_a")
    (tmp_path / "queue/8").write_text(f"{tmp_path}|group_data")
    monkeypatch.setattr(stale_locks, "_held", [None])
    return tmp_path


def test_jobs_that_a_killed_run_left_with_slurm_are_cancelled(slurm: Path) -> None:
    """Not what was submitted elsewhere, nor what is none of Snakemake's."""
    (slurm / "queue/3").write_text(f"{slurm}|(null)")
    (slurm / "queue/4").write_text(f"{slurm}/below|rule_train_model")
    assert stale_locks.end_leftover_jobs(slurm) == ["7", "8"]
    assert sorted(p.name for p in (slurm / "queue").iterdir()) == ["3", "4"]
    assert stale_locks.end_leftover_jobs(slurm) == []


def test_no_job_is_cancelled_where_the_last_run_ended_well(slurm: Path) -> None:
    (slurm / ".snakemake/incomplete/a/mark").unlink()
    assert stale_locks.end_leftover_jobs(slurm) == []
    assert (slurm / "queue/7").exists()


def test_a_run_is_not_alone_beside_another(slurm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One on another machine has left Snakemake's lock; one here holds ours."""
    assert stale_locks.alone(slurm)
    lock = slurm / ".snakemake/locks/0.input.lock"
    lock.touch()
    assert not stale_locks.alone(slurm)
    lock.unlink()
    monkeypatch.setattr(stale_locks, "_held", [])
    assert not stale_locks.alone(slurm)
