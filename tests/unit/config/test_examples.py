"""The worked files in examples/ are valid, and what they say they are."""

from __future__ import annotations

import pytest

from darkroom import ROOT
from darkroom.config.settings import Settings
from darkroom.workflow.overlays import read

EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


def example(name: str) -> Settings:
    return read([str(ROOT / f"examples/{name}.yaml")], {})


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_something_and_names_its_command(path) -> None:
    settings = read([str(path)], {})
    (dataset,) = settings.run.datasets
    assert settings.predictors_of(dataset)
    assert f"--configfile examples/{path.name}" in path.read_text()


def test_few_photographs_are_all_tested() -> None:
    settings = example("few_photographs")
    assert len(settings.folds_of("photographs")) == 5
    assert len(settings.fits_of("photographs")) == 4


def test_patients_stay_together() -> None:
    assert example("patients").datasets["xrays"].group == r"(person\d+)_"


def test_a_large_set_is_in_shards() -> None:
    assert example("large_set_on_a_cluster").sharded == ["large"]


def test_all_of_the_settings_to_copy_from_can_be_set() -> None:
    settings = read([str(ROOT / "docs/settings.yaml")], {})
    assert settings.classifiers["svm_tuned"].tune is not None
    assert "mobilenet_head" in settings.models and "photos" in settings.datasets
