"""What a run on a cluster reckons with, seen without a cluster: how Snakemake is called there."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.support import fake_gpus, fake_slurm, warm
from tests.support.workspace import Workspace


def planned(workspace: Workspace, *arguments: str) -> dict[str, dict[str, int]]:
    """Threads and resources of each rule in a dry run."""
    command = workspace.command("--dry-run", "--quiet", "host", *arguments)
    cores = command.index("--cores")  # a cluster's run names none
    del command[cores : cores + 2]
    done = warm.run(command[3:], workspace.root, workspace.environment())
    assert done.returncode == 0, done.stdout
    found = {}
    for block in re.split(r"^rule ", done.stdout, flags=re.M)[1:]:
        told = re.findall(r"\b(threads|gpu|mem_mb)(?:: |=)(\d+)", block)
        found[block.split(":")[0]] = {"threads": 1} | {key: int(value) for key, value in told}
    return found


def test_a_dry_run_shows_what_a_cluster_is_asked_for(workspace: Workspace) -> None:
    told = planned(workspace, "--jobs", "5")
    for rule in ("index_files", "prepare_images", "fit_classifier"):
        assert told[rule]["threads"] == 8, rule
    one = planned(workspace, "--jobs", "5", "--cores", "2")
    assert one["index_files"]["threads"] == 2
    assert one["index_files"]["mem_mb"] < told["index_files"]["mem_mb"]


def test_a_job_on_a_node_uses_all_cores_that_it_asked_for(workspace: Workspace) -> None:
    """It does not share them with the fits of other nodes."""
    told = planned(workspace, "--mode", "remote", "--cores", "8")
    assert told["fit_classifier"]["threads"] == 8


def test_a_gpu_of_the_login_node_is_none_of_the_cluster(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_gpus.install(tmp_path / "bin", fake_gpus.uuids(1))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert planned(workspace, "--cores", "2")["train_model"]["gpu"] == 1
    assert planned(workspace, "--jobs", "5")["train_model"]["gpu"] == 0
    workspace.config["gpus"] = 1  # as it is told
    assert planned(workspace, "--jobs", "5")["train_model"]["gpu"] == 1


def test_only_a_run_cancels_what_a_killed_one_left(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dry run changes nothing, and neither does a look at what there is."""
    root = workspace.root
    fake_slurm.install(root, monkeypatch)
    (root / "queue/7").write_text(f"{root}|rule_train_model_wildcards_a")
    mark = root / ".snakemake/incomplete/mark"
    mark.parent.mkdir(parents=True)
    mark.touch()
    for look in ("--dry-run", "--summary"):
        workspace.run(look)
        assert (root / "queue/7").exists(), look
    assert "still with Slurm, and are cancelled: 7" in workspace.run("download")
    assert not (root / "queue/7").exists()
