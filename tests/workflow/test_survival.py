"""Killed at any moment, the same command goes on and ends with the same numbers."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time

import pandas
import pytest

from tests.workflow.conftest import Workspace


def kill_after(workspace: Workspace, seconds: float) -> bool:
    """Start a run and kill its whole process group; whether it was still running."""
    process = subprocess.Popen(
        workspace.command(),
        cwd=workspace.root,
        env=workspace.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(seconds)
    alive = process.poll() is None
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return alive


@pytest.mark.parametrize("seed", [0])
def test_kills_at_random_moments_change_no_number(
    workspace: Workspace, finished: Workspace, seed: int
) -> None:
    workspace.config["models"]["tiny"]["epochs"] = 3
    rng = random.Random(seed)
    killed = 0
    for _ in range(5):
        killed += kill_after(workspace, rng.uniform(3, 14))
    assert killed, "no run lasted long enough to be killed"
    workspace.run()
    for table in ("metrics.csv", "class_metrics.csv"):
        ours = pandas.read_csv(workspace.root / "results/shapes" / table)
        theirs = pandas.read_csv(finished.root / "results/shapes" / table)
        pandas.testing.assert_frame_equal(ours, theirs)
    assert workspace.pending() == {}
