"""What a run is said to take, beside what it took."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from darkroom import ROOT
from darkroom.workflow import arithmetic, needs, size
from darkroom.workflow.forecast import Forecast, forecast
from darkroom.workflow.overlays import read
from darkroom.workflow.plan import Job, plan


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arithmetic._asked.cache_clear()


PLANS: dict[str, list[Job]] = {}


def told(*presets: str, cores: int = 2, **values: Any) -> Forecast:
    files = [str(ROOT / f"presets/{name}.yaml") for name in presets]
    key = repr([files, values, cores])
    if key not in PLANS:  # a plan takes seconds
        PLANS[key] = plan(files, values, Path.cwd(), cores)
    return forecast(read(files, values), PLANS[key], cores, 0)


def photographs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the thousand photographs of benchmarks/README.md were at hand."""
    monkeypatch.setattr(size, "size_of", lambda *_: size.Size(1000, 44_800_000, "listing"))
    monkeypatch.setattr(needs, "kind", lambda _: "archive")


def test_the_time_of_a_run_is_near_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """On two cores: wall seconds of the digits; of the photographs CPU seconds of all jobs, halved."""
    assert 57 / 2 < sum(told().seconds.values()) < 57 * 2
    photographs(monkeypatch)
    took = sum(told("cats_dogs_mobilenet").seconds.values())
    assert 327 / 2 / 1.5 < took < 327 / 2 * 2


def test_jobs_of_a_rule_take_as_long_as_the_longest_at_least() -> None:
    one = {"run": {"datasets": ["digits"], "models": ["cnn"]}, "models": {"cnn": {"seeds": [0]}}}
    few, many = (told(cores=cores, **one).seconds["train_model"] for cores in (1, 64))
    assert many == few  # of so small a network each takes a core


def test_a_backbone_that_cannot_be_asked_is_assumed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "said", lambda *_, **__: None)
    photographs(monkeypatch)
    assumed = told("cats_dogs_mobilenet")
    assert assumed.seconds["embed_images"] > 12
    arithmetic._asked.cache_clear()
    answer = '[["a", 1, 1, 1], ["block_1_conv", 41000000, 4300000, 220000]]'
    monkeypatch.setattr(arithmetic, "said", lambda *_, **__: answer)
    assert told("cats_dogs_mobilenet").seconds["embed_images"] < 10


def test_a_backbone_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".snakemake").mkdir()
    made = read([str(ROOT / "presets/cats_dogs_mobilenet.yaml")], {})
    asked = arithmetic.backbone(made, "mobilenet", (224, 224, 3))
    assert sum(work.multiplications for work in asked.values()) == pytest.approx(41e6, rel=0.03)
    tuned = arithmetic.tuned_layers(
        asked, made.models["mobilenet_tuned"].fine_tune
    )  # four blocks of 13
    assert 0.2 < tuned.multiplications / 41e6 < 0.4 and tuned.values < 1e6
    arithmetic._asked.cache_clear()
    monkeypatch.setattr(arithmetic, "said", lambda *_, **__: pytest.fail("asked again"))
    assert arithmetic.backbone(made, "mobilenet", (224, 224, 3)) == asked
