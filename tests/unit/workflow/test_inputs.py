"""The input files and the recorded params of jobs, by their wildcards."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from snakemake.common import get_function_params
from snakemake.exceptions import WorkflowError
from snakemake.iocontainers import Wildcards

from darkroom.config.settings import Settings
from darkroom.workflow.inputs import Inputs
from darkroom.workflow.params import Params
from darkroom.workflow.threads import Threads

BASE: dict[str, Any] = {
    "run": {"datasets": ["pets", "cars"], "models": ["cnn", "top"], "features": ["pixels", "net"],
            "classifiers": ["svm"]},
    "datasets": {
        "pets": {"source": "pictures", "view": {"size": 32}, "augment": {"variants": ["flip"]}},
        "cars": {"source": "https://example.org/cars.zip", "shards": 2, "split": {"folds": 2},
                 "models": ["cnn"], "features": []},
    },
    "models": {
        "cnn": {"layers": ["flatten"], "seeds": [0, 1]},
        "top": {"layers": [{"dense": 4}], "backbone": "net",
                 "tune": {"space": {"batch": [8, 16]}, "trials": 3, "parallel": 2}},
    },
    "features": {
        "pixels": {"kind": "pixels"},
        "net": {"kind": "backbone", "application": "MobileNet", "weights": "net.h5"},
    },
    "classifiers": {"svm": {"kind": "svm"}},
    "predict": {"new": "unseen"},
}  # fmt: skip


def settings(**over: Any) -> Settings:
    return Settings.load(copy.deepcopy(BASE) | over)


def of(**wildcards: str) -> Wildcards:
    return Wildcards(fromdict={"dataset": "pets", "fold": "holdout"} | wildcards)


INPUTS = Inputs(settings())
PETS = "results/pets"


def test_each_is_of_one_data_set_or_of_all_in_run() -> None:
    pattern = "results/{dataset}/{fold}/{run}/model.keras"
    own = INPUTS.each(pattern)(of())
    runs = ("cnn-seed0", "cnn-seed1", "top-seed0")
    assert own == [f"{PETS}/holdout/{run}/model.keras" for run in runs]
    every = INPUTS.each(pattern)(Wildcards())
    assert every[:3] == own and len(every) == 3 + 2 * 2
    assert "results/cars/fold-2/cnn-seed1/model.keras" in every


def test_each_of_several_patterns_names_a_file_once() -> None:
    asked = INPUTS.each("data/{dataset}/source.json", "data/weights/{backbone}.h5")
    assert asked(Wildcards()) == [
        "data/pets/source.json", "data/weights/net.h5", "data/cars/source.json",
    ]  # fmt: skip


def test_variants_are_those_of_data_sets_that_store_any() -> None:
    stored = INPUTS.each("results/{dataset}/augmented/{stored}.h5")(Wildcards())
    assert stored and all(file.startswith(f"{PETS}/augmented/") for file in stored)
    assert INPUTS.augmented(of(model="cnn")) == f"{PETS}/augmented/32x32-rgb-squash.h5"
    assert INPUTS.augmented(of(dataset="cars", model="cnn")) == []


@pytest.mark.parametrize(
    ("user", "view"),
    [({"model": "cnn"}, "32x32-rgb-squash"), ({"model": "top"}, "224x224-rgb-squash"),
     ({"features": "pixels"}, "32x32-rgb-squash"), ({}, "32x32-rgb-squash")],
)  # fmt: skip
def test_images_are_in_the_view_of_the_job(user: dict[str, str], view: str) -> None:
    assert INPUTS.images(of(**user)) == f"{PETS}/images/{view}.h5"


def test_the_shards_behind_prepared_images() -> None:
    assert INPUTS.shards(of(model="cnn")) == []
    cars = of(dataset="cars", view="64x64-rgb-squash")
    folder = "results/cars/images/64x64-rgb-squash.shards"
    assert INPUTS.shards(cars) == [f"{folder}/1.h5", f"{folder}/2.h5"]
    assert INPUTS.index_shards(cars) == [f"results/cars/index/{k}.parquet" for k in (1, 2)]


def test_features_of_a_network_are_of_a_fold() -> None:
    assert INPUTS.features(of(features="cnn-seed0")) == f"{PETS}/holdout/cnn-seed0/features.h5"
    assert INPUTS.features(of(features="pixels")) == f"{PETS}/features/pixels.h5"


def test_what_a_network_on_a_backbone_reads() -> None:
    top, cnn = of(model="top"), of(model="cnn")
    assert INPUTS.weights(top) == "data/weights/net.h5" and INPUTS.weights(cnn) == []
    features = f"{PETS}/features/net.h5"
    assert INPUTS.embedded(top) == INPUTS.embedded_frozen(top) == features
    assert INPUTS.embedded(cnn) == INPUTS.embedded_frozen(cnn) == []
    changed = copy.deepcopy(BASE["models"])
    changed["top"]["augment"] = {"flip": "horizontal"}
    assert Inputs(settings(models=changed)).embedded(top) == []
    assert Inputs(settings(models=changed)).embedded_frozen(top) == features
    changed["top"]["fine_tune"] = {"blocks": 1, "epochs": 1}
    assert Inputs(settings(models=changed)).embedded_frozen(top) == []


def test_trials_run_as_many_at_once_as_parallel_says() -> None:
    folder = f"{PETS}/holdout/tuning/top"
    before = [INPUTS.trial_before(of(model="top", n=str(n))) for n in (1, 2, 3)]
    assert before == [[], [], f"{folder}/trial-1.json"]
    assert INPUTS.trials(of(model="top")) == [f"{folder}/trial-{n}.json" for n in (1, 2, 3)]
    assert INPUTS.best(of(model="top")) == f"{folder}/best.json"
    assert INPUTS.best(of(model="cnn")) == []
    assert INPUTS.searches(of()) == [f"{folder}/best.json"]


def test_a_search_that_there_is_not() -> None:
    with pytest.raises(WorkflowError, match="'svm' has no tune"):
        INPUTS.trials(of(features="pixels", classifier="svm"))
    with pytest.raises(WorkflowError, match="'cnn' has no tune"):
        INPUTS.trial_before(of(model="cnn", n="1"))


def test_the_best_of_all_predicts_new_pictures() -> None:
    found = INPUTS.predictors(of(name="new"))
    assert found["tables"] and found["predictions"] == []
    assert f"{PETS}/holdout/cnn-seed0/model.onnx" in found["models"]
    assert f"{PETS}/holdout/pixels/svm/model.skops" in found["models"]
    assert "data/weights/net.onnx" in found["makers"]
    assert f"{PETS}/holdout/cnn-seed0/unlike.npz" in found["makers"], "a head tells unlike pictures"
    assert not any("pixels" in maker for maker in found["makers"])


def test_a_named_classifier_predicts_new_pictures() -> None:
    named = Inputs(settings(predict={"new": {"source": "unseen", "model": "cnn-seed1/svm"}}))
    run = "fold-{}/cnn-seed1"
    found = named.predictors(of(dataset="cars", name="new"))
    assert found == {
        "models": [f"results/cars/{run.format(k)}/svm/model.skops" for k in (1, 2)],
        "makers": [f"results/cars/{run.format(k)}/model.onnx" for k in (1, 2)],
        "predictions": [],
        "tables": [],
    }
    one = named.predictors(of(name="new"))
    assert (
        one["models"] == [f"{PETS}/holdout/cnn-seed1/svm/model.skops"] and one["predictions"] == []
    )


def test_what_a_person_can_mend_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WorkflowError, match=r"net\.h5"):
        INPUTS.weights_state(of(features="net"))
    params = Params(settings())
    with pytest.raises(WorkflowError, match="unseen"):
        params.pictures(of(name="new"))
    with pytest.raises(WorkflowError, match="did you mean 'pets'"):
        params.cfg("split_rows")(of(dataset="pest"))


def test_params_of_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    params = Params(settings())
    assert params.cfg("check_files")(of()) == {"dataset": "pets"}
    assert params.content(of(dataset="cars")) is None
    assert INPUTS.state(of(dataset="cars")) == []
    assert params.within_limit(of())
    assert params.limit(of(), input=[]) == settings().datasets["pets"].max_unusable


def test_snakemake_finds_the_parameters_of_each_function() -> None:
    made = settings()
    functions = [
        *(getattr(INPUTS, name) for name in vars(Inputs) if name[0] != "_" and name != "each"),
        INPUTS.each("{dataset}"), Params(made).cfg("split_rows"), Params(made).pictures,
        Threads(made, 2).training, Threads(made, 2).extraction, Threads(made, 2).fit,
    ]  # fmt: skip
    assert len(functions) > 15
    for function in functions:
        assert list(get_function_params(function)) == ["wildcards"]
    assert list(get_function_params(Params(made).limit)) == ["wildcards", "input"]
