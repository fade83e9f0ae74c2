"""The forecast of `doctor` is of the jobs that a run makes."""

from __future__ import annotations

from collections import Counter

import pytest

from darkroom.workflow.plan import plan
from tests.support.workspace import Workspace


@pytest.mark.parametrize("shards", [1, 3])
def test_its_jobs_are_those_of_a_run(
    workspace: Workspace, shards: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = workspace.config
    config["datasets"]["shapes"] |= {"split": {"folds": 2}, "shards": shards}
    config["models"]["tiny"] |= {
        "seeds": [0, 1], "tune": {"space": {"batch": [2, 4]}, "trials": 2},
    }  # fmt: skip
    config["classifiers"]["svm"]["tune"] = {"space": {"settings.C": [1, 10]}, "trials": 2}
    pending = workspace.pending()
    monkeypatch.chdir(workspace.root)
    jobs = plan(["overlay.yaml"], {}, workspace.root, cores=2, root=workspace.root)
    assert Counter(job.stage for job in jobs) == pending
    trained = next(job for job in jobs if job.stage == "train_model")
    assert trained.wildcards.keys() == {"dataset", "fold", "model", "seed"}
