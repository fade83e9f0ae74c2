"""What a result was made with."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from darkroom.machine import hardware
from darkroom.machine.commands import said

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def bench(folder: Path, name: str, seconds: str, memory: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEAD}{seconds}\t0:00:01\t{memory}\t1\t1\t1\t-\t-\t50.0\t1.0\n")


def test_what_a_core_multiplies() -> None:
    assert 1e9 < hardware.multiplications() < 1e12


def test_costs_by_stage_in_the_order_of_the_data(tmp_path: Path) -> None:
    bench(tmp_path, "fold-1/train_model-cnn-seed0.tsv", "10.5", "700")
    bench(tmp_path, "fold-2/train_model-cnn-seed0.tsv", "20", "650.5")
    bench(tmp_path, "index_files.tsv", "1.5", "NA")
    bench(tmp_path, "split_rows.tsv", "0.2", "0.00")
    bench(tmp_path, "write_report.tsv", "99", "1")
    bench(tmp_path, "audit-holdout.tsv", "3", "40")
    bench(tmp_path, "prepare_images-a.tsv", "NA", "40")
    found = hardware.costs(str(tmp_path), ["index_files", "split_rows", "train_model"])
    assert found == [
        hardware.Cost("index_files", 1, 1.5, 1.5, None),
        hardware.Cost("split_rows", 1, 0.2, 0.2, None),
        hardware.Cost("train_model", 2, 30.5, 20.0, 700.0),
        hardware.Cost("audit", 1, 3.0, 3.0, 40.0),
    ]
    assert hardware.costs(str(tmp_path / "none"), []) == []


def test_commit_of_a_checkout_with_and_without_changes(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        done = subprocess.run(
            ("git", "-C", str(tmp_path), *who, *words), check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    assert hardware.commit(tmp_path) == "not a git checkout"
    git("init", "-q")
    assert hardware.commit(tmp_path) == "not a git checkout"
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-q", "-m", "x")
    head = git("rev-parse", "HEAD")
    assert hardware.commit(tmp_path) == head
    (tmp_path / "untracked").write_text("1")
    assert hardware.commit(tmp_path) == head
    (tmp_path / "a").write_text("2")
    assert hardware.commit(tmp_path) == f"{head} with local changes"
    inner = tmp_path / "copy"
    inner.mkdir()
    assert hardware.commit(inner) == "not a git checkout"


def test_versions_are_of_what_is_installed() -> None:
    import numpy

    found = dict(hardware.versions(["numpy", "no-such-package-here"]))
    assert found["numpy"] == numpy.__version__
    assert "darkroom" in found
    assert "no-such-package-here" not in found


def test_hardware_says_something_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {
        "nvidia-smi": "NVIDIA X\nNVIDIA X\nNVIDIA Y\n",
        "sysctl": None,
    }
    monkeypatch.setattr(hardware, "said", lambda *command: told[command[0]])
    found = dict(hardware.hardware())
    assert found["graphics"] == "2 × NVIDIA X, NVIDIA Y"
    assert all(found[k] for k in ("processor", "cores", "system"))
    told["nvidia-smi"] = None
    assert dict(hardware.hardware())["graphics"] == "none found"


def test_a_command_that_fails_says_nothing() -> None:
    assert said("no-such-command-here") is None
    assert said("false") is None
    assert said("echo", "yes") == "yes"
