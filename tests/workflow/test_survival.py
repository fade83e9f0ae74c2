"""Killed at any moment, on a full disk, without locks: the same command goes on to the same numbers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pandas
import pytest

from darkroom import ROOT
from tests.support import jobs
from tests.support.refusing import UNSHARE, needs_mounts
from tests.support.waiting import until
from tests.support.workspace import Workspace


def kill_when(workspace: Workspace, target: str, pattern: str) -> None:
    """Start a run, and kill its whole process group as soon as a file is there."""
    process = subprocess.Popen(
        workspace.command(target),
        cwd=workspace.root,
        env=workspace.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until(lambda: any(workspace.root.glob(pattern)) or process.poll() is not None)
    assert process.poll() is None, pattern
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_run_killed_at_work_changes_no_number(workspace: Workspace, finished: Workspace) -> None:
    """Whenever it is killed: single jobs are at random moments, below."""
    target = "results/shapes/metrics.csv"  # a report takes long and is nothing's input
    kill_when(workspace, target, "results/shapes/manifest.parquet")
    kill_when(workspace, target, "results/shapes/holdout/tiny-seed0/.resume/[!.]*.npz")
    assert not (workspace.root / "results/shapes/holdout/tiny-seed0/model.keras").exists()
    workspace.run(target)
    for table in ("metrics.csv", "class_metrics.csv"):
        ours = pandas.read_csv(workspace.root / "results/shapes" / table)
        theirs = pandas.read_csv(finished.root / "results/shapes" / table)
        pandas.testing.assert_frame_equal(ours, theirs)
    assert workspace.pending(target) == {}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> list[jobs.Job]:
    """A job of every rule, each ready to be run again by itself."""
    return jobs.record(tmp_path_factory.mktemp("jobs"))


def test_a_run_of_every_stage_needs_no_lock(recorded: list[jobs.Job]) -> None:
    """It was recorded where the system refuses all; the tests below compare with what it made."""
    assert {job.script.stem for job in recorded} == {
        "download_source", "download_weights", "index_files", "check_files", "find_copies",
        "split_rows", "prepare_images", "augment_images", "embed_images", "try_model", "try_classifier",
        "choose_setting", "choose_classifier_setting", "train_model", "extract_features",
        "describe_images", "fit_classifier", "evaluate_dataset", "audit_dataset", "check_labels", "write_report", "write_paper",
        "measure_robustness", "predict_images", "list_files", "index_shard", "join_index", "prepare_shard", "join_images",
    }  # fmt: skip


NETWORKS = {"download_weights", "try_model", "train_model"}
BEST = {"measure_robustness", "predict_images"}  # by the best model, of whatever kind
RUNNING = {"embed_images", "extract_features"} | BEST  # of networks, without Keras
CLASSIC = {"try_classifier", "fit_classifier", "audit_dataset", "check_labels"} | BEST
INDEX = {"index_files", "list_files", "index_shard", "join_index"}
TABLES = INDEX | {
    "find_copies",
    "check_files",
    "split_rows",
    "evaluate_dataset",
    "write_report",
    "write_paper",
}
PIXELS = {"prepare_images", "prepare_shard", "join_images", "augment_images", "describe_images"}
PICTURES = INDEX | PIXELS | RUNNING
# Of the packages that take long to load, the rules whose jobs may. Keras brings many of them along.
LOADED_BY = {
    "tensorflow": NETWORKS,
    "keras": NETWORKS,
    "onnx": {"download_weights", "train_model", "extract_features", "fit_classifier"},
    "onnxruntime": {"download_weights", "train_model", "fit_classifier", "write_report"} | RUNNING,
    "sklearn": NETWORKS | CLASSIC | {"write_report", "write_paper"},
    "matplotlib": NETWORKS | {"write_report", "write_paper"},
    "scipy": NETWORKS | CLASSIC | {"evaluate_dataset", "write_report", "write_paper"},
    "pandas": NETWORKS | CLASSIC | TABLES - {"check_files"} | {"extract_features"},
    "cv2": NETWORKS | PICTURES | {"audit_dataset", "write_report"},
    "optuna": {"try_model", "try_classifier"},
    "skops": {"fit_classifier", "write_report"} | BEST,
    "requests": NETWORKS | {"download_source"},
    "kaggle": set(),
    "kagglesdk": set(),
    "pydantic": set(),
}


def test_a_job_loads_no_package_that_it_does_not_use(recorded: list[jobs.Job]) -> None:
    for job in recorded:
        for package, rules in LOADED_BY.items():
            assert job.rule in rules or package not in job.imports, (job.name, package)
    loaded = {package for job in recorded for package in job.imports}
    assert {"tensorflow", "sklearn", "matplotlib", "optuna"} <= loaded, "what is noted is true"


# Those that load TensorFlow take most of a minute each when killed: one stands for them here,
# benchmarks/kills.py has all of them. So for rules that do what another does.
SLOW = {"download_weights", "embed_images", "try_model", "extract_features"} | BEST
REST = SLOW | {"choose_classifier_setting", "prepare_shard", "write_paper"}
# Those that leave more behind than files cut short are killed at any moment too, not only at the
# one when they begin to write.
GO_ON = {"download_source", "train_model", "try_classifier"}


def test_a_job_of_any_stage_killed_at_any_moment_ends_with_the_same_files(
    recorded: list[jobs.Job],
) -> None:
    told = []
    for job in jobs.one_of_each(recorded):
        if job.rule not in REST:
            outcome = jobs.kill_and_compare(job, kills=1 + (job.rule in GO_ON), seed=0)
            told.append(outcome)
            assert outcome.wrong == [], outcome
    assert 2 * sum(outcome.kills for outcome in told) > len(told), told


def test_a_full_disk_at_any_stage_is_a_sentence_and_the_next_run_goes_on(
    recorded: list[jobs.Job],
) -> None:
    needs_mounts()
    rules = sorted({job.rule for job in recorded} - REST)
    tried = {"full": rules, "read-only": ["split_rows", "prepare_images"]}
    command = [sys.executable, "-m", "tests.support.jobs", str(recorded[0].root), json.dumps(tried)]
    done = subprocess.run(
        [*UNSHARE, *command],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) >= sum(map(len, tried.values()))
    assert [f for f in found if f[1]] == []


def test_a_full_disk_under_snakemake_itself_is_a_sentence(workspace: Workspace) -> None:
    """It has no room for its lock, for the mark of a job, for the record of a finished one."""
    needs_mounts()
    script = (
        "for pages in 3 4 6; do "
        "mount -t tmpfs -o size=$(($(getconf PAGESIZE) * pages)) tmpfs .snakemake; "
        '"$@"; echo "status $?"; ls -A .snakemake; umount .snakemake; done'
    )
    (workspace.root / ".snakemake").mkdir()
    target = "results/shapes/manifest.parquet"
    done = subprocess.run(
        [*UNSHARE, "sh", "-c", script, "sh", *workspace.command(target)],
        cwd=workspace.root, env=workspace.environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
    )  # fmt: skip
    tries = done.stdout.split("status ")
    assert [said.split()[0] for said in tries[1:]] == ["1"] * 3, done.stdout
    for said in tries[:-1]:
        assert "no space: writing below" in said and "run the same command again" in said, said
        assert "Traceback" not in said, said
    assert ".darkroom-code" not in done.stdout, "nothing half-written is left"
    workspace.run(target)
    assert workspace.pending(target) == {}
