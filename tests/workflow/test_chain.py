"""The chain from end to end: what a person gets, and the words for what goes wrong."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pandas

from tests.support.awful import awful_folder
from tests.support.workspace import Workspace


def test_the_chain_leaves_what_it_promises(finished: Workspace) -> None:
    results = finished.root / "results/shapes"
    page = (results / "report.html").read_text()
    assert len(page) < 15e6
    for outside in ('src="http', "src='http", 'href="http', "url(http", "@import"):
        assert outside not in page, f"the page must open without a network: {outside}"
    metrics = pandas.read_csv(results / "metrics.csv")
    runs = {tuple(r) for r in metrics[["feature_set", "classifier"]].itertuples(index=False)}
    assert runs == {
        ("tiny-seed0", "head"), ("tiny-seed0", "svm"), ("tiny-seed0", "random_forest"),
        ("pixels", "svm"), ("pixels", "random_forest"),
    }  # fmt: skip
    assert {"validation", "test"} == set(metrics["part"])
    assert metrics["accuracy"].between(0, 1).all()
    predictions = pandas.read_parquet(results / "predictions.parquet")
    columns = ["p:cross", "p:disc", "p:stripes"]
    assert predictions[columns].sum(axis=1).between(0.999, 1.001).all()
    saved = {p.suffix for p in results.rglob("*") if p.is_file()}
    assert not saved & {".pkl", ".pickle", ".joblib"}
    assert (results / "holdout/tiny-seed0/svm/model.skops").exists()
    assert not list(results.rglob(".resume")), "resume state is removed on success"


def test_no_part_file_is_left(finished: Workspace) -> None:
    hidden = [p for p in (finished.root / "results").rglob(".*") if p.is_file()]
    assert hidden == []


def test_snakemake_s_own_report_has_the_figures(finished: Workspace) -> None:
    finished.run("--report", "report.zip")
    with zipfile.ZipFile(finished.root / "report.zip") as archive:
        names = archive.namelist()
    assert any(name.endswith(".svg") for name in names)
    assert any("summary" in name for name in names)


def test_stages_are_timed(finished: Workspace) -> None:
    timed = {p.name for p in (finished.root / "results/shapes/benchmarks").rglob("*.tsv")}
    assert "train_model-tiny-seed0.tsv" in timed and "prepare_images-12x12-rgb-squash.tsv" in timed


def test_a_folder_by_its_name_alone(workspace: Workspace) -> None:
    """`--config data=FOLDER` needs no file of settings."""
    workspace.config = {}
    jobs = workspace.pending("--config", "data=pictures")
    assert jobs["train_model"] == 1 and jobs["fit_classifier"] == 2
    jobs = workspace.pending("--config", "data=pictures", "budget=good")
    assert jobs["train_model"] == 3 and jobs["fit_classifier"] == 6
    assert not (workspace.root / "results/pictures").exists()
    assert workspace.pending("download", "--config", "data=pictures") == {"download_source": 1}
    workspace.run("download", "--config", "data=pictures")
    kept = json.loads((workspace.root / "results/pictures/recipe.json").read_text())
    assert kept["chosen"]["recipe"] == "scratch" and "22×20 pixels" in kept["chosen"]["why"]
    assert json.loads((workspace.root / "data/pictures/source.json").read_text())["files"] == 48


def test_cross_validation_and_a_given_test_set(workspace: Workspace) -> None:
    pictures = workspace.root / "pictures"
    for kind in ("cross", "disc", "stripes"):
        (pictures / "train" / kind).mkdir(parents=True)
        (pictures / "test" / kind).mkdir(parents=True)
        for i, image in enumerate(sorted((pictures / kind).glob("*.png"))):
            image.rename(pictures / ("test" if i % 4 == 0 else "train") / kind / image.name)
        (pictures / kind).rmdir()
    workspace.config["datasets"]["shapes"]["split"] = {"folds": 2}
    workspace.config["run"] |= {"models": [], "classifiers": ["random_forest"]}
    workspace.run()
    metrics = pandas.read_csv(workspace.root / "results/shapes/metrics.csv")
    assert set(metrics["fold"]) == {"fold-1", "fold-2"}
    assert set(metrics[metrics["part"] == "test"]["n"]) == {12}


class TestMistakes:
    """Each ends in a sentence, before anything runs where it can be known."""

    def test_an_unknown_key(self, workspace: Workspace) -> None:
        workspace.config["models"]["tiny"]["epoch"] = 3
        said = workspace.fail()
        assert "models.tiny.epoch: unknown key; did you mean 'epochs'?" in said
        assert "overlay.yaml:" in said

    def test_an_unknown_key_on_the_command_line(self, workspace: Workspace) -> None:
        said = workspace.fail("--config", "datsets={}")
        assert "datsets: unknown key; did you mean 'datasets'?" in said

    def test_a_target_of_no_data_set(self, workspace: Workspace) -> None:
        assert "did you mean 'shapes'?" in workspace.fail("results/shaps/report.html")

    def test_a_folder_that_is_not_there(self, workspace: Workspace) -> None:
        workspace.config["datasets"]["shapes"]["source"] = "picturs"
        assert "picturs" in workspace.fail()

    def test_a_source_of_no_known_kind(self, workspace: Workspace) -> None:
        workspace.config["datasets"]["shapes"]["source"] = "kagle:owner/name"
        assert "kagle" in workspace.fail()

    def test_more_folds_than_images(self, workspace: Workspace) -> None:
        workspace.config["datasets"]["shapes"]["split"] = {"folds": 30}
        said = workspace.fail("--dry-run")
        assert "cross" in said and "30" in said

    def test_a_quota_that_the_class_cannot_fill(self, workspace: Workspace) -> None:
        workspace.config["datasets"]["shapes"]["split"] = {"quotas": {"disc": {"train": 300}}}
        said = workspace.fail("--dry-run")
        assert "disc" in said and "300" in said

    def test_a_network_that_does_not_fit_its_view(self, workspace: Workspace) -> None:
        workspace.config["models"]["tiny"]["layers"][1:1] = [{"pool": 2}] * 5
        said = workspace.fail("train")
        assert "pool" in said and "train_model" in said


def test_a_kernel_machine_on_too_many_rows_is_told_in_the_dry_run(workspace: Workspace) -> None:
    n = 400_000
    manifest = workspace.root / "results/shapes/manifest.parquet"
    manifest.parent.mkdir(parents=True)
    pandas.DataFrame(
        {"row": range(n), "path": [f"{i % 2}/{i}.png" for i in range(n)],
         "label": [str(i % 2) for i in range(n)], "group": None, "split": None,
         "sha256": [str(i) for i in range(n)], "status": "ok"}
    ).to_parquet(manifest)  # fmt: skip
    said = workspace.run("--dry-run")
    assert "classifiers.svm" in said and "linear_svm" in said
    assert "classifiers.random_forest" not in said


def test_a_setting_that_no_classifier_has_is_told_in_the_dry_run(workspace: Workspace) -> None:
    workspace.config["classifiers"]["svm"]["settings"] = {"gama": 3}
    assert "did you mean 'gamma'?" in workspace.fail("--dry-run")


class TestAwfulFolder:
    def test_the_limit_stops_the_run_with_the_list(self, workspace: Workspace) -> None:
        shutil.rmtree(workspace.root / "pictures")
        expected = awful_folder(workspace.root / "pictures")
        said = workspace.fail()
        assert "max_unusable" in said
        manifest = pandas.read_parquet(workspace.root / "results/shapes/manifest.parquet")
        unusable = manifest[manifest["status"] == "unusable"]
        assert len(unusable) > 3
        log = (workspace.root / "logs/shapes/check_files.log").read_text()
        for path in unusable["path"]:
            assert path in log
        assert set(unusable["path"]) <= set(expected)

    def test_with_the_limit_raised_the_report_names_every_one(self, workspace: Workspace) -> None:
        shutil.rmtree(workspace.root / "pictures")
        awful_folder(workspace.root / "pictures")
        workspace.config["datasets"]["shapes"] |= {"max_unusable": 1.0}
        workspace.config["run"] |= {"models": [], "classifiers": ["random_forest"]}
        workspace.run()
        page = (workspace.root / "results/shapes/report.html").read_text()
        manifest = pandas.read_parquet(workspace.root / "results/shapes/manifest.parquet")
        for row in manifest[manifest["status"] == "unusable"].itertuples():
            assert Path(row.path).name in page, row.path
        workspace.config["datasets"]["shapes"] |= {"max_unusable": 0.02}
        assert "check_files" in workspace.pending(), "a limit that would stop it checks again"


def test_overlays(workspace: Workspace) -> None:
    """Mappings merge, lists replace, and the command line has the last word."""
    (workspace.root / "second.yaml").write_text("models: {tiny: {seeds: [3, 4]}}\n")
    jobs = workspace.pending("--configfile", "overlay.yaml", "second.yaml")
    assert jobs["train_model"] == 2
    jobs = workspace.pending(
        "--configfile", "overlay.yaml", "second.yaml",
        "--config", "models={tiny: {seeds: [1]}}", "run={classifiers: [svm]}",
    )  # fmt: skip
    assert jobs["train_model"] == 1 and jobs["fit_classifier"] == 2


def test_snakemake_finds_nothing_to_say_of_the_rules(workspace: Workspace) -> None:
    assert "Congratulations" in workspace.run("--lint")
