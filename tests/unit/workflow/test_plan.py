"""The plan of a run, by Snakemake's own words."""

from __future__ import annotations

from pathlib import Path

import pytest

from darkroom.errors import UserError
from darkroom.workflow.plan import Job, jobs, plan

PRINTED = """Building DAG of jobs...
[Sat Nov 28 03:52:28 2026]
localrule download_source:
    output: data/a/source.json
    reason: Forced execution
    wildcards: dataset=a
    resources: tmpdir=/tmp
[Sat Nov 28 03:52:28 2026]
rule try_model:
    input: results/a/images/8x8-rgb-squash.h5
    wildcards: dataset=a, fold=fold-1, model=c=d, n=2
    threads: 3
    resources: tmpdir=/tmp, mem_mb=900
[Sat Nov 28 03:52:28 2026]
rule all:
    input: results/a/report.html
"""


def test_jobs_of_a_dry_run() -> None:
    assert jobs(PRINTED) == [
        Job("download_source", {"dataset": "a"}, 1),
        Job("try_model", {"dataset": "a", "fold": "fold-1", "model": "c=d", "n": "2"}, 3),
    ]


def test_a_run_that_cannot_be_planned(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'digits'"):
        plan([], {"run": {"datasets": ["digit"]}}, tmp_path, 1)
    assert not list(tmp_path.iterdir()), "nothing stays"
