"""What a job asks a cluster for follows the size of the data, the settings and the attempt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from darkroom import ROOT
from darkroom.config.settings import Settings
from darkroom.errors import UserError
from darkroom.features.describe import describer
from darkroom.machine import gpus
from darkroom.workflow import arithmetic, needs, resources, size
from darkroom.workflow.needs import Need
from darkroom.workflow.resources import (
    AROUND_MB,
    JobResources,
    disk_mb,
    mem_mb,
    need,
    runtime,
    small,
)
from darkroom.workflow.size import size_of
from darkroom.workflow.stages import STAGES

HOLDOUT = {"dataset": "pets", "fold": "holdout"}
WILDCARDS = HOLDOUT | {
    "model": "cnn", "seed": "0", "features": "cnn-seed0", "classifier": "svm",
    "view": "64x64-rgb-squash", "n": "1", "name": "new", "shard": "1",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(arithmetic, "said", lambda *_, **__: None)  # what no backbone is asked by
    size._listed.cache_clear()  # of a folder of this name elsewhere
    needs._pictures.cache_clear()


def settings(**over: Any) -> Settings:
    base: dict[str, Any] = {
        "run": {"datasets": ["pets"], "models": ["cnn"], "classifiers": ["svm", "forest"]},
        "datasets": {"pets": {"source": "https://example.org/pets.zip"}},
        "models": {"cnn": {"layers": [{"conv": 8}, {"pool": 2}, "flatten", {"dense": 32}]}},
        "features": {
            "raw": {"kind": "pixels"},
            "net": {"kind": "backbone", "application": "VGG16"},
        },
        "classifiers": {"svm": {"kind": "svm"}, "forest": {"kind": "random_forest"}},
        "predict": {"new": "new pictures"},
    }
    return Settings.load(base | over)


def downloaded(files: int, size: int, dataset: str = "pets") -> None:
    told = Path("data") / dataset / "source.json"
    told.parent.mkdir(parents=True, exist_ok=True)
    told.write_text(json.dumps({"files": files, "bytes": size}))


def test_the_needs_of_every_stage_are_known() -> None:
    made = settings()
    for stage in STAGES:
        own = {"describe_images": "raw", "embed_images": "net", "download_weights": "net"}
        features = own.get(stage, "cnn-seed0")
        needed = need(made, stage, WILDCARDS | {"features": features})
        assert needed.memory > 200 and needed.seconds > 0 <= needed.disk, stage


def test_the_download_tells_the_size(tmp_path: Path) -> None:
    made = settings()
    assert size_of(made, "pets").known == "assumed"
    downloaded(300, 9_000_000)
    assert size_of(made, "pets") == (300, 9_000_000, "download")
    downloaded(3_000_000, 90_000_000_000)
    assert size_of(made, "pets").files == 3_000_000


def test_a_folder_is_counted_before_it_is_taken(tmp_path: Path) -> None:
    for name in ("a/1.png", "a/2.png", "b/1.png"):
        Path("pictures", name).parent.mkdir(parents=True, exist_ok=True)
        Path("pictures", name).touch()
    made = settings(datasets={"pets": {"source": "pictures"}})
    assert size_of(made, "pets")[::2] == (3, "listing")


@pytest.mark.parametrize(
    "rule", ["index_files", "find_copies", "split_rows", "prepare_images", "train_model", "extract_features",
             "fit_classifier", "evaluate_dataset", "audit_dataset", "check_labels", "write_report"],
)  # fmt: skip
def test_more_images_need_more(rule: str) -> None:
    """Of memory only what is not streamed grows; time and disk always do."""
    made = settings()
    downloaded(1_000, 100_000_000)
    few = need(made, rule, WILDCARDS)
    downloaded(1_000_000, 100_000_000_000)
    many = need(made, rule, WILDCARDS)
    assert many.memory > few.memory
    assert runtime(many) > runtime(few)


@pytest.mark.parametrize(
    ("shard", "whole"), [("index_shard", "index_files"), ("prepare_shard", "prepare_images")]
)
def test_a_shard_needs_its_share(shard: str, whole: str) -> None:
    downloaded(10_000_000, 10**12)
    made = settings(datasets={"pets": {"source": "https://example.org/p.zip", "shards": 20}})
    own, all_of_it = (need(made, rule, WILDCARDS) for rule in (shard, whole))
    assert own.seconds < all_of_it.seconds / 15
    assert own.disk == pytest.approx(all_of_it.disk / 20)
    assert own.memory < all_of_it.memory


@pytest.mark.parametrize("kind", ["linear_svm", "random_forest", "knn", "svm"])
def test_a_classifier_asks_for_its_budget_and_not_for_all_rows(kind: str) -> None:
    downloaded(20_000_000, 10**12)
    small, large = (
        need(
            settings(
                run={"datasets": ["pets"], "models": ["cnn"], "classifiers": ["svm"]},
                classifiers={"svm": {"kind": kind, "memory_mb": mb}},
            ),
            "fit_classifier",
            WILDCARDS,
        )
        for mb in (10, 100_000)
    )
    assert small.memory < large.memory / 1.5 and small.seconds > 10


def test_a_training_holds_no_more_pixels_than_its_budget() -> None:
    downloaded(10_000_000, 10**12)
    made = settings()
    free = {"cnn": {"layers": ["flatten"], "memory_mb": 500}}
    few = need(settings(models=free), "train_model", WILDCARDS)
    assert need(made, "train_model", WILDCARDS).memory - few.memory >= 1500


def test_keras_is_asked_only_where_the_answer_decides_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    downloaded(1000, 10**8)
    Path(".snakemake").mkdir()
    arithmetic._asked.cache_clear()
    asked: list[object] = []
    answer = json.dumps([["conv", 10**8, 10**5, 200_000]])
    monkeypatch.setattr(arithmetic, "said", lambda *words, timeout: asked.append(words) or answer)
    made = settings(
        run={"datasets": ["pets"], "models": [], "features": ["net"], "classifiers": ["svm"]},
        features={"net": {"kind": "backbone", "application": "MobileNet"}},
    )
    wildcards = {"dataset": "pets", "features": "net"}
    guessed = need(made, "embed_images", wildcards, ask=False)
    assert not asked
    known = need(made, "embed_images", wildcards)
    assert len(asked) == 1 and known.memory < guessed.memory
    arithmetic._asked.cache_clear()
    assert need(made, "embed_images", wildcards, ask=False) == known  # remembered
    assert len(asked) == 1


def test_each_attempt_asks_for_twice_as_much() -> None:
    needed = Need(memory=1000, seconds=3600, disk=50)
    assert [mem_mb(needed, a) for a in (1, 2, 3)] == [1700, 3400, 6800]
    assert [runtime(needed, a) for a in (1, 2, 3)] == [310, 620, 1240]
    assert [disk_mb(needed, a) for a in (1, 2, 3)] == [1100, 2200, 4400]


def test_many_attempts_ask_for_no_more_than_a_node_has() -> None:
    """`--retries 9`, with which a training goes on where its time was up, would double to 512 times."""
    needed = Need(memory=1000, seconds=3600, disk=50)
    for ask in (mem_mb, runtime, disk_mb):
        assert ask(needed, 10) == ask(needed, 3)


def test_a_gpu_shortens_and_more_cores_do_too() -> None:
    downloaded(100_000, 10**10)
    deep = {"cnn": {"layers": [{"conv": 256}, {"conv": 256}, "flatten", {"dense": 32}]}}
    made = settings(models=deep)
    one = need(made, "train_model", WILDCARDS, cores=1)
    assert need(made, "train_model", WILDCARDS, cores=4).seconds < one.seconds / 3
    assert need(made, "train_model", WILDCARDS, cores=4, gpu=True).seconds < one.seconds / 9


def test_the_published_network_as_it_was_measured() -> None:
    """benchmarks/README.md: 789 images a second on two cores, and 1.42 GB."""
    base = yaml.safe_load((ROOT / "config.yaml").read_text())
    preset = yaml.safe_load((ROOT / "presets/cifar10_cnn.yaml").read_text())
    for key, value in preset.items():
        base[key] = {**base.get(key, {}), **value} if isinstance(value, dict) else value
    made = Settings.load(base)
    name = made.run.datasets[0]
    downloaded(60_000, 80_000_000, name)
    asked = {"dataset": name, "fold": "holdout", "model": "cifar10_cnn", "seed": "0"}
    told = need(made, "train_model", asked, cores=2)
    took = 10 * 48_000 / 789
    assert 0.6 * took < told.seconds < 1.6 * took
    assert mem_mb(told) > 1420 + AROUND_MB
    assert told.memory < 2 * 1420


def test_a_resource_reads_the_job_and_the_attempt() -> None:
    downloaded(50_000, 5 * 10**9)
    made = settings()
    asked = JobResources(made, gpus=0)
    assert set(asked("split_rows")) == {"mem_mb", "runtime", "disk_mb"}

    def of(stage: str, attempt: int = 1, cores: int = 2) -> int:
        function = asked(stage)["mem_mb"]
        assert callable(function)
        return function(WILDCARDS, threads=cores, attempt=attempt)

    assert of("train_model", 2) == 2 * of("train_model")
    assert of("prepare_images", cores=8) > of("prepare_images")
    assert of("train_model") == mem_mb(need(made, "train_model", WILDCARDS, 2))


@pytest.mark.parametrize(("gpus", "one"), [(0, 0), (1, 1), (3, 1)])
def test_gpus_of_a_job(gpus: int, one: int) -> None:
    asked = JobResources(settings(), gpus)
    found = {stage: asked(stage).get("gpu") for stage in STAGES}
    assert found["train_model"] == found["try_model"] == gpus
    assert found["extract_features"] == found["embed_images"] == one
    assert found["download_weights"] == 0, "it loads a framework, and must see no GPU"
    assert found["split_rows"] is found["fit_classifier"] is found["predict_images"] is None


def test_gpus_that_only_the_profile_gives_need_memory_too() -> None:
    without, given = (
        JobResources(settings(), 0, given)("train_model")["mem_mb"] for given in (False, True)
    )
    assert callable(without) and callable(given)
    assert given(WILDCARDS, threads=1, attempt=1) > without(WILDCARDS, threads=1, attempt=1)


def test_tables_of_few_images_are_work_for_the_submitting_host() -> None:
    made = settings()
    assert not small(made)  # nothing is known of it yet: it may be millions
    downloaded(2_000, 10**8)
    assert small(made)
    downloaded(2_000_000, 10**11)
    assert not small(made)


def test_the_width_of_features_is_that_of_the_layer_they_are_read_from() -> None:
    layers = [
        {"conv": 8},
        "flatten",
        {"dense": 40, "name": "wide"},
        {"dense": 20},
        {"dropout": 0.5},
    ]
    for name, width in ((None, 20), ("wide", 40)):
        downloaded(1_000_000, 10**9)
        made = settings(models={"cnn": {"layers": layers, "features": name}})
        assert need(made, "extract_features", WILDCARDS).disk == 1_000_000 * width * 4 / 1e6
    pixels = WILDCARDS | {"features": "raw"}
    assert need(made, "describe_images", pixels).disk == 64 * 64 * 3 * 4


@pytest.mark.parametrize("size", [8, 12, 30, 64, 224])
def test_hog_is_as_wide_as_it_is_made(size: int) -> None:
    made = settings(features={"hog": {"kind": "hog", "view": {"size": size}}})
    downloaded(1_000_000, 10**9)
    _, width, _, _ = describer("hog", (size, size, 3), "hog")
    told = need(made, "describe_images", WILDCARDS | {"features": "hog"})
    assert told.disk == 1_000_000 * width * 4 / 1e6


def test_classes_are_counted_once_the_split_has_found_them() -> None:
    """A row of predictions has a probability of each."""
    downloaded(1_000_000, 10**10)
    few = need(settings(), "evaluate_dataset", WILDCARDS)
    found = Path("results/pets/class_indices.json")
    found.parent.mkdir(parents=True)
    found.write_text(json.dumps({f"kind {n}": n for n in range(1000)}))
    assert need(settings(), "evaluate_dataset", WILDCARDS).memory > few.memory + 10_000


def test_a_search_asks_for_the_most_that_it_may_draw() -> None:
    """In its trials, and in the training by the best of them."""
    downloaded(20_000, 10**9)
    layers = [{"conv": 64}, {"pool": 2}, "flatten", {"dense": 32}]
    plain: dict[str, Any] = {"layers": layers, "batch": 32}

    def of(rule: str, model: dict[str, Any]) -> Need:
        return need(settings(models={"cnn": model}), rule, WILDCARDS | {"n": "1"})

    tuned = plain | {"tune": {"space": {"batch": [16, 512]}}}
    assert of("train_model", tuned).memory == of("train_model", plain | {"batch": 512}).memory
    assert of("try_model", tuned).memory == of("train_model", tuned).memory
    longer = plain | {"tune": {"space": {"epochs": {"low": 5, "high": 200}}}}
    assert of("try_model", longer).seconds > 5 * of("train_model", plain).seconds

    def fit(classifier: dict[str, Any]) -> Need:
        run = {"datasets": ["pets"], "models": ["cnn"], "classifiers": ["svm"]}
        made = settings(run=run, classifiers={"svm": classifier})
        return need(made, "try_classifier", WILDCARDS | {"n": "1"})

    forest: dict[str, Any] = {"kind": "random_forest", "settings": {"n_estimators": 100}}
    more = forest | {"tune": {"space": {"settings.n_estimators": [100, 2000]}}}
    assert fit(more) == fit({"kind": "random_forest", "settings": {"n_estimators": 2000}})


def test_many_new_pictures_need_more_time() -> None:
    few = need(settings(), "predict_images", WILDCARDS)
    folder = Path("new pictures")
    folder.mkdir()
    for n in range(50):
        (folder / f"{n}.jpg").touch()
    needs._pictures.cache_clear()
    many = need(settings(), "predict_images", WILDCARDS)
    assert many.seconds >= few.seconds + 0.5
    assert need(settings(), "predict_images", WILDCARDS, cores=8).seconds < many.seconds


# ---------------------------------------------------------------- GPUs


def test_gpus_that_a_training_asks_for() -> None:
    assert resources.gpus_of_a_job(0) == 0 and resources.gpus_of_a_job(3) == 3
    assert resources.gpus_of_a_job("auto") in (0, 1)


@pytest.mark.parametrize(
    ("there", "shared", "asked", "slots"), [(2, 1, 1, 2), (2, 3, 2, 6), (0, 2, 1, 2)]
)
def test_as_many_trainings_side_by_side_as_there_are_gpus(
    monkeypatch: pytest.MonkeyPatch, there: int, shared: int, asked: int, slots: int
) -> None:
    found = [gpus.Gpu(str(n), str(n), "") for n in range(there)]
    monkeypatch.setattr(gpus, "found", lambda: found)
    given = settings().model_copy(update={"jobs_per_gpu": shared})
    assert resources.gpu_slots(given, asked) == slots


def test_more_gpus_than_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "found", lambda: [gpus.Gpu("0", "0", "")])
    with pytest.raises(UserError, match="asks for 2 GPUs and this machine has one"):
        resources.gpu_slots(settings(), 2)
