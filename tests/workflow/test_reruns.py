"""The headline test: exactly the stages that a change concerns run again, and no other."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pictures import picture
from tests.support.workspace import Workspace

AUDITED = {"audit_dataset", "write_report"}
REPORTED = {"evaluate_dataset", "write_report"}
FITTED = {"fit_classifier"} | REPORTED
TRAINED = {"train_model", "extract_features"} | FITTED
SPLIT = {"split_rows", "audit_dataset", "check_labels"} | TRAINED
COPIED = {"find_copies"} | SPLIT
DESCRIBED = {"describe_images", "check_labels"} | FITTED
VARIED = {"augment_images", "describe_images", "check_labels"} | TRAINED
PREPARED = {"prepare_images", "audit_dataset"} | VARIED
INDEXED = {"index_files", "check_files"} | COPIED | PREPARED
EVERYTHING = {"download_source"} | INDEXED


@pytest.fixture
def done(finished: Workspace) -> Iterator[Workspace]:
    """The finished workspace; whatever a test edits in it is put back, times too."""
    before = copy.deepcopy(finished.config)
    watched = [
        p
        for d in ("darkroom", "scripts", "rules", "pictures")
        for p in (finished.root / d).rglob("*")
    ]
    files = {p: (p.read_bytes(), p.stat()) for p in watched if p.is_file() and p.suffix != ".pyc"}
    yield finished
    finished.config = before
    for path, (content, stat) in files.items():
        path.write_bytes(content)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{path.name} no longer says {old!r}: bring the test up to date"
    path.write_text(text.replace(old, new, 1))


def code(made: Workspace) -> list[Path]:
    """The files of Python code that the stages run, from every folder."""
    folders = {p.parent for p in made.root.glob("darkroom/**/__init__.py")}
    files = [p for part in ("scripts", "darkroom") for p in (made.root / part).rglob("*.py")]
    assert {p.parent for p in files} == {made.root / "scripts", *folders}
    return files


def test_a_second_run_does_nothing(done: Workspace) -> None:
    assert "Nothing to be done" in done.run()


def test_touched_scripts_rerun_nothing(done: Workspace) -> None:
    for path in code(done):
        os.utime(path)
    assert done.pending() == {}


def test_a_comment_and_a_docstring_rerun_nothing(done: Workspace) -> None:
    for path in code(done):
        path.write_text('"""Well: ' + path.read_text().removeprefix('"""') + "\n# a remark\n")
    assert done.pending() == {}


@pytest.mark.parametrize(
    ("module", "rerun"),
    [
        ("darkroom.sources.download", EVERYTHING),
        ("darkroom.index.layout", INDEXED),
        ("darkroom.index.tables", INDEXED),
        ("darkroom.index.copies", COPIED),
        ("darkroom.index.alike", COPIED),
        ("darkroom.images.prepare", PREPARED),
        ("darkroom.images.variants", VARIED),
        ("darkroom.train.augment", TRAINED),
        ("darkroom.train.training", TRAINED),
        ("darkroom.features.describe", DESCRIBED),
        ("darkroom.classify.fitting", FITTED),
        ("darkroom.metrics", REPORTED | AUDITED),
        ("darkroom.evaluate.evaluate", REPORTED),
        ("darkroom.audit.border", AUDITED),
        ("darkroom.audit.labels", {"check_labels", "write_report"}),
        ("darkroom.report.drawing", {"write_report"}),
        ("darkroom.report.report", {"write_report"}),
        ("darkroom.report.page", {"write_report"}),
        ("darkroom.report.results", {"write_report"}),
        ("darkroom.report.comparison", {"write_report"}),
        ("darkroom.config.settings", set()),
        ("darkroom.workflow.needs", set()),
        ("darkroom.workflow.start", set()),
        ("darkroom.machine.progress", set()),
        ("darkroom.machine.stage", set()),
    ],
)
def test_an_edited_module_reruns_what_uses_it(
    done: Workspace, module: str, rerun: set[str]
) -> None:
    path = done.root.joinpath(*module.split(".")).with_suffix(".py")
    assert path.exists(), f"{module} is not there: name the module that has its code now"
    path.write_text(path.read_text() + "\n\ndef _added() -> int:\n    return 1\n")
    assert set(done.pending()) == rerun


def test_another_forecast_of_memory_and_time(done: Workspace) -> None:
    """Resources are no settings: asking a cluster for more remakes nothing."""
    edit(done.root / "darkroom/workflow/resources.py", "AROUND_MB = 400", "AROUND_MB = 900")
    edit(
        done.root / "darkroom/workflow/resources.py",
        "LEAST_MINUTES = 1.25, 5.0, 10",
        "LEAST_MINUTES = 2, 4, 90",
    )
    assert "mem_mb=1" in done.run("--dry-run", "--forceall", "--quiet", "host")
    assert done.pending() == {}


def test_a_training_setting(done: Workspace) -> None:
    done.config["models"]["tiny"]["optimizer"] = {"learning_rate": 0.01}
    assert set(done.pending()) == TRAINED


def test_two_swapped_numbers(done: Workspace) -> None:
    model = done.config["models"]["tiny"]
    model["epochs"], model["batch"] = model["batch"], model["epochs"]
    assert set(done.pending()) == TRAINED


def test_the_order_of_layers(done: Workspace) -> None:
    layers = done.config["models"]["tiny"]["layers"]
    layers[0], layers[1] = layers[1], layers[0]
    assert set(done.pending()) == TRAINED


def test_a_changed_split_decodes_nothing_again(done: Workspace) -> None:
    done.config["datasets"]["shapes"]["split"] = {"seed": 5}
    assert set(done.pending()) == SPLIT


def test_another_treatment_of_copies(done: Workspace) -> None:
    done.config["datasets"]["shapes"]["duplicates"] = "drop"
    assert set(done.pending()) == SPLIT


def test_a_changed_class_name(done: Workspace) -> None:
    done.config["datasets"]["shapes"]["classes"] = {"ring": "disc", "x": "cross", "bars": "stripes"}
    assert set(done.pending()) == SPLIT


def test_a_new_image(done: Workspace) -> None:
    import cv2

    new = done.root / "pictures/disc/new.png"
    cv2.imwrite(str(new), picture("disc", 99))
    try:
        assert set(done.pending()) == EVERYTHING
    finally:
        new.unlink()
    assert done.pending() == {}


def test_a_changed_image(done: Workspace) -> None:
    """Also one of the same size."""
    image = done.root / "pictures/disc/000.png"
    content = bytearray(image.read_bytes())
    content[-20] ^= 1
    image.write_bytes(content)
    assert set(done.pending()) == EVERYTHING


def test_touched_images_rerun_nothing(done: Workspace) -> None:
    for image in (done.root / "pictures").rglob("*.png"):
        os.utime(image, (4102444800, 4102444800))  # in 2100, as some cameras date
    assert done.pending() == {}


def test_a_new_image_is_seen_where_the_records_are_lost(done: Workspace) -> None:
    """Of a folder .snakemake that was deleted, or left behind when the results were copied."""
    records, aside = done.root / ".snakemake", done.root / "aside"
    records.rename(aside)
    try:
        assert done.pending() == {}
        new = done.root / "pictures/disc/new.png"
        new.write_bytes((done.root / "pictures/disc/000.png").read_bytes())
        os.utime(new, (1, 1))
        assert set(done.pending()) == EVERYTHING
        new.unlink()
        assert done.pending() == {}
    finally:
        shutil.rmtree(records, ignore_errors=True)
        aside.rename(records)


def test_a_limit_that_stops_nothing_remakes_nothing(done: Workspace) -> None:
    done.config["datasets"]["shapes"]["max_unusable"] = 0.5
    assert set(done.pending()) == {"write_report"}


def test_a_limit_hides_no_change_that_comes_with_it(done: Workspace) -> None:
    done.config["datasets"]["shapes"] |= {"split": {"test": 0.3}}
    alone = done.pending()
    done.config["datasets"]["shapes"] |= {"max_unusable": 0.5}
    assert done.pending() == alone and "split_rows" in alone


def test_a_decode_rule(done: Workspace) -> None:
    done.config["datasets"]["shapes"]["decode"] = {"alpha": "black"}
    assert set(done.pending()) == INDEXED


def test_another_view_of_the_data_set(done: Workspace) -> None:
    done.config["datasets"]["shapes"]["view"]["size"] = 16
    assert set(done.pending()) == PREPARED - DESCRIBED | FITTED


def test_a_variant_and_a_balance(done: Workspace) -> None:
    done.config["datasets"]["shapes"]["augment"] = {"variants": ["flip", {"mean": 3}]}
    assert set(done.pending()) == VARIED
    done.config["datasets"]["shapes"]["augment"] = {"variants": ["flip"], "balance": 10}
    assert set(done.pending()) == TRAINED


def test_one_more_seed_trains_one_network(done: Workspace) -> None:
    done.config["models"]["tiny"]["seeds"] = [0, 1]
    assert done.pending() == {
        "train_model": 1, "extract_features": 1, "fit_classifier": 2,
        "evaluate_dataset": 1, "write_report": 1,
    }  # fmt: skip


def test_one_more_classifier_fits_it_alone(done: Workspace) -> None:
    done.config["run"]["classifiers"] = ["svm", "random_forest", "knn"]
    assert done.pending() == {"fit_classifier": 2, "evaluate_dataset": 1, "write_report": 1}


def test_a_classifier_setting_fits_that_one_again(done: Workspace) -> None:
    done.config["classifiers"]["svm"]["settings"] = {"C": 3}
    assert done.pending() == {"fit_classifier": 2, "evaluate_dataset": 1, "write_report": 1}


def test_another_model_shares_download_index_and_split(done: Workspace) -> None:
    done.config["models"]["wide"] = {
        "layers": [{"conv": 4}, "flatten"], "epochs": 1, "view": {"size": 20},
    }  # fmt: skip
    done.config["run"]["models"] = ["tiny", "wide"]
    assert done.pending() == {
        "prepare_images": 1, "augment_images": 1, "train_model": 1, "extract_features": 1,
        "fit_classifier": 2, "evaluate_dataset": 1, "write_report": 1,
    }  # fmt: skip


def test_a_comparison_shares_all_but_its_trainings(done: Workspace) -> None:
    """What is there before them is cached for all; each of them is a file of its own."""
    tiny = done.config["models"]["tiny"]
    done.config["models"]["tiny"] = tiny | {"optimizer": ["sgd", "momentum", "adam"]}
    assert done.pending() == {
        "train_model": 3, "extract_features": 3, "fit_classifier": 6,
        "evaluate_dataset": 1, "write_report": 1,
    }  # fmt: skip
    # A comparison's base is not a run of its own; that of the finished run is still its own file.
    done.config["models"]["tiny"] = tiny | {"compare": {"slow": {"optimizer": "sgd"}}}
    done.config["run"]["models"] = ["tiny-slow"]
    assert done.pending()["train_model"] == 1


def test_only_a_changed_member_of_a_comparison_trains_again(workspace: Workspace) -> None:
    members: dict[str, dict[str, object]] = {"sgd": {"optimizer": "sgd"}, "adam": {"epochs": 1}}
    workspace.config["models"]["tiny"] |= {"epochs": 1, "compare": members}
    workspace.config["run"] |= {"classifiers": [], "features": []}
    workspace.run("train")
    assert "train_model" not in workspace.pending("train")
    members["adam"]["batch"] = 8
    assert workspace.pending("train") == {"train_model": 1}
    members["third"] = {"batch": 2}
    assert workspace.pending("train") == {"train_model": 2}
    del members["adam"], members["third"]
    assert workspace.pending("train") == {}


def test_another_backend_runs_every_network_again(done: Workspace) -> None:
    (done.root / "torch").mkdir()  # found, and imported only by the jobs
    try:
        done.config["backend"] = "torch"
        assert set(done.pending()) == TRAINED
    finally:
        (done.root / "torch").rmdir()


def test_images_made_worse_are_measured_beside_the_rest(done: Workspace) -> None:
    done.config["datasets"]["shapes"]["robustness"] = True
    assert set(done.pending()) == {"measure_robustness", "write_report"}


def test_a_notice_is_evaluated_without_fitting_again(done: Workspace) -> None:
    """As a threshold and an operating point, which are for two classes, it is a setting of this stage alone."""
    done.config["datasets"]["shapes"]["notice"] = "No toys."
    assert set(done.pending()) == REPORTED


def test_words_of_the_report(done: Workspace) -> None:
    done.config["report"] = {"samples": 2}
    done.config["datasets"]["shapes"]["license"] = "CC0"
    assert set(done.pending()) == {"write_report"}


def test_what_cannot_change_a_result(done: Workspace) -> None:
    (done.root / "elsewhere").mkdir(exist_ok=True)
    done.config |= {"threads": 3, "gpus": 0, "mirror": "elsewhere"}
    done.config |= {"jobs_per_gpu": 2, "gpu_memory": 0.4}
    assert done.pending() == {}


@pytest.mark.parametrize(
    ("target", "rules"),
    [
        ("download", {"download_source"}),
        ("prepare", {"download_source", "index_files", "check_files", "prepare_images",
                     "augment_images"}),
        ("train", {"download_source", "index_files", "check_files", "find_copies", "split_rows",
                   "prepare_images", "augment_images", "train_model"}),
        ("classify", EVERYTHING - REPORTED - AUDITED - {"check_labels"}),
        ("report", EVERYTHING),
        ("results/shapes/report.html", EVERYTHING),
        ("export", EVERYTHING | {"export_model"}),
        ("results/shapes/holdout/tiny-seed7/model.keras",
         {"download_source", "index_files", "check_files", "find_copies", "split_rows",
          "prepare_images", "augment_images", "train_model"}),
    ],
)  # fmt: skip
def test_targets_run_part_of_the_way(workspace: Workspace, target: str, rules: set[str]) -> None:
    assert set(workspace.pending(target)) == rules
