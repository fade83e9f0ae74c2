"""A run with other settings leaves the earlier one its report, and lists it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from darkroom.report.earlier import _differences
from tests.support.report_folder import Folder, Plan
from tests.support.report_page import write


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path, Plan(seeds=(0,), skill={"svm": 0.9}))


def written(folder: Folder, **settings: Any) -> str:
    """The report of a run with these settings."""
    cfg = folder.arguments()["cfg"] | {
        "settings": {"dataset": {}, "models": {}, "classifiers": {}, **settings}
    }
    return write(folder, cfg=cfg, histories=[], benchmarks="nowhere").html


def test_each_keeps_its_report_and_the_last_lists_the_others(folder: Folder) -> None:
    first = written(folder, models={"cnn": {"epochs": 3}})
    assert 'id="earlier"' not in first
    again = written(folder, models={"cnn": {"epochs": 3}})
    assert 'id="earlier"' not in again  # the same settings: the same run
    second = written(folder, models={"cnn": {"epochs": 5}})
    runs = sorted(Path(folder.path("report.html")).parent.glob("runs/*"))
    assert len(runs) == 2
    assert {(run / "report.html").read_text(encoding="utf-8") for run in runs} == {again, second}
    (other,) = [run.name for run in runs if f"runs/{run.name}/report.html" in second]
    told = json.loads((runs[0].parent / other / "run.json").read_text())
    assert told["settings"]["models"] == {"cnn": {"epochs": 3}} and told["part"] == "test"
    assert "models.cnn.epochs: 3" in second and f"{told['accuracy']:.3f}" in second
    assert 'href="#earlier"' in second


def test_what_is_no_run_is_left_alone(folder: Folder) -> None:
    strange = Path(folder.path("report.html")).parent / "runs/strange"
    strange.mkdir(parents=True)
    for text in ("{", "[]", '{"made": 1}'):
        (strange / "run.json").write_text(text)
        assert 'id="earlier"' not in written(folder, models={})


def test_the_differences_are_said_by_path() -> None:
    other = {"a": {"b": 1, "c": [1, 2]}, "gone": {"x": "y"}}
    own = {"a": {"b": 2, "c": [1, 2]}, "new": 1}
    assert _differences(other, own) == ["a.b: 1", "gone: {x: y}", "no new"]
    assert _differences(own, own) == []
