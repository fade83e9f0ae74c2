"""Trainings of whole runs on pretended GPUs: no GPU has two at once."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest

from darkroom.machine import gpus
from tests.support import fake_gpus
from tests.support.workspace import Workspace, make_workspace


@pytest.fixture
def pretend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[int], list[str]]]:
    """Put so many GPUs into this machine."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    made: list[str] = []

    def pretend(count: int) -> list[str]:
        names = fake_gpus.uuids(count)
        fake_gpus.install(tmp_path / "bin", names)
        made.extend(names)
        return names

    yield pretend
    for name in made:
        (gpus.LOCKS / f"darkroom-{os.getuid()}" / name).unlink(missing_ok=True)


def held(log: Path) -> tuple[str, datetime, datetime]:
    """The GPU that a training had, and from when to when at least, by its log."""
    lines = log.read_text().splitlines()
    at, gpu = next(
        (n, m[1]) for n, line in enumerate(lines) if (m := re.search(r"on NVIDIA .*\((.*)\)", line))
    )
    stamps = [m[0] for line in lines[at:] if (m := re.match(r"[\d-]+ [\d:,]+", line))]
    first, last = (datetime.strptime(s, "%Y-%m-%d %H:%M:%S,%f") for s in (stamps[0], stamps[-1]))
    return gpu, first, last


def test_two_runs_at_once_share_one_gpu_in_turn(
    tmp_path: Path, pretend: Callable[[int], list[str]]
) -> None:
    (gpu,) = pretend(1)
    runs: list[Workspace] = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        runs.append(make_workspace(tmp_path / name))
        del runs[-1].config["datasets"]["shapes"]["augment"]
    with ThreadPoolExecutor() as pool:
        printed = list(pool.map(lambda run: run.run("train", loaded=False), runs))
    logs = [r.root / "logs/shapes/holdout/train_model-tiny-seed0.log" for r in runs]
    (a, start_a, end_a), (b, start_b, end_b) = map(held, logs)
    assert a == b == gpu
    assert end_a < start_b or end_b < start_a
    assert all(re.search(r"Provided resources:.*gpu.*1", said) for said in printed)
    # TensorFlow sees no pretended GPU, and a GPU that was found by itself is no demand
    assert all("going on without" in said for said in printed)


def test_more_gpus_than_there_are(
    workspace: Workspace, pretend: Callable[[int], list[str]]
) -> None:
    pretend(2)
    workspace.config["gpus"] = 3
    assert "asks for 3 GPUs and this machine has 2 GPUs" in workspace.fail("--dry-run")
    workspace.config["gpus"] = 2
    workspace.run("--dry-run")
