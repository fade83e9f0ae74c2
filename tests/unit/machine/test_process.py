"""A job's process ends with its Snakemake, and HDF5 locks nothing in it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from darkroom import ROOT
from darkroom.machine import process
from tests.support.waiting import PATIENCE

OPEN = (
    "import sys; from tests.support.refusing import refuse_locks; refuse_locks()\n"
    "from darkroom.machine import process; process.lock_no_arrays()\n"
    "import h5py\n"
    "h5py.File(sys.argv[1], 'w').close()\n"  # as a library opens it, which knows of no option
    "print(len(h5py.File(sys.argv[1])))\n"
)


def test_where_locks_are_refused_libraries_open_arrays_too(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPEN, str(tmp_path / "a.h5")]
    env = {k: v for k, v in os.environ.items() if k != "HDF5_USE_FILE_LOCKING"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.stdout == "0\n", done.stderr


def test_a_job_dies_with_its_snakemake() -> None:
    parent = subprocess.Popen(["sleep", str(PATIENCE)])
    job = subprocess.Popen(
        [sys.executable, "-c",
         "import time; from darkroom.machine.process import die_with_parent; die_with_parent(0.05); "
         f"print('up', flush=True); time.sleep({PATIENCE})"],
        env=os.environ | {process.PARENT: str(parent.pid)},
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert job.stdout is not None and job.stdout.readline() == b"up\n"
    time.sleep(0.2)
    assert job.poll() is None
    parent.kill()
    assert job.wait(PATIENCE) == -signal.SIGKILL
    parent.wait()


@pytest.mark.parametrize("named", ["", "none", "999999999"])
def test_a_snakemake_that_cannot_be_seen_is_not_watched(
    named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    monkeypatch.setenv(process.PARENT, named)
    before = threading.active_count()
    process.die_with_parent()
    assert threading.active_count() == before
