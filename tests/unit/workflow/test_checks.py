"""What is said before anything runs."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas
import pyarrow.parquet as parquet
import pytest

from darkroom import ROOT
from darkroom.config.settings import Settings
from darkroom.errors import UserError
from darkroom.workflow import checks, known
from tests.support.refusing import UNSHARE, needs_mounts
from tests.support.waiting import PATIENCE

BASE: dict[str, Any] = {
    "run": {"datasets": ["pets"], "models": ["cnn"], "classifiers": ["svm"]},
    "datasets": {"pets": {"source": "pictures"}},
    "models": {"cnn": {"layers": ["flatten"]}},
    "classifiers": {"svm": {"kind": "svm"}},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for label in ("cat", "dog"):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for i in range(10):
            (tmp_path / f"pictures/{label}/{label}-p{i % 3}-{i}.jpg").touch()
    return tmp_path


def settings(**dataset: Any) -> Settings:
    config = copy.deepcopy(BASE)
    config["datasets"]["pets"] |= dataset
    return Settings.load(config)


def said(made: Settings) -> list[str]:
    told: list[str] = []
    known.listing_digest.cache_clear()  # a run of its own
    checks.check(made, say=told.append)
    return told


def test_before_the_first_index_it_is_said_where_the_labels_come_from(folder: Path) -> None:
    told = said(settings())
    assert len(told) == 1
    assert told[0].startswith(
        "pets: 2 class folders (20 files), for example cat/cat-p0-0.jpg is 'cat'"
    )
    (folder / "pictures/dog").rename(folder / "pictures/CAT")
    told = said(settings())
    assert (
        told[1].startswith("pets: check: labels that differ only in case")
        and "'CAT' (10)" in told[1]
    )


def test_a_source_where_a_run_writes_is_refused(folder: Path) -> None:
    for place in ("data/pets", "data/pets/mine", "data", "results/other"):
        (folder / place / "cat").mkdir(parents=True, exist_ok=True)
        with pytest.raises(UserError, match=r"datasets.pets.source: .* where a run writes"):
            checks.check_sources(settings(source=place), print)
    for place in ("pictures", "database/pets"):
        (folder / place).mkdir(parents=True, exist_ok=True)
        checks.check_sources(settings(source=place), print)


@pytest.mark.parametrize("name", ["cat.jpg", "labels.csv"])
def test_a_picture_or_a_table_is_no_source(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"image,label\ncat.jpg,cat\n")
    with pytest.raises(UserError, match=rf"source: {name} is no archive .* folder of the images"):
        checks.check_sources(settings(source=name), print)


def test_another_source_of_the_same_name_is_said(folder: Path) -> None:
    (folder / "data/pets").mkdir(parents=True)
    told: list[str] = []
    for before in ("pictures", "/elsewhere/pictures"):
        (folder / "data/pets/source.json").write_text(json.dumps({"source": before}))
        checks.check_sources(settings(), told.append)
    assert told == [
        "pets: the results of this name are of /elsewhere/pictures, and are made anew from pictures; "
        "a data set of another name keeps both"
    ]


def test_folds_that_the_file_names_cannot_give(folder: Path) -> None:
    with pytest.raises(UserError, match="cat"):
        said(settings(split={"folds": 11}))


def test_groups_by_an_expression_count(folder: Path) -> None:
    """Ten images of three patients are not enough for five folds."""
    said(settings(split={"folds": 5}))
    with pytest.raises(UserError, match="group"):
        said(settings(split={"folds": 5}, group=r"-(p\d)-"))


@pytest.mark.parametrize("source", ["pictures", "kaggle:owner/name"])
def test_an_older_index_refuses_nothing_that_is_there_now(folder: Path, source: str) -> None:
    """Whoever adds the images that were missing must not be held up by the last index."""
    manifest = folder / "results/pets/manifest.parquet"
    manifest.parent.mkdir(parents=True)
    pandas.DataFrame(
        {
            "row": range(4),
            "path": [f"{label}/{i}.jpg" for i in range(2) for label in ("cat", "dog")],
            "label": ["cat", "dog"] * 2,
            "group": None,
            "split": None,
            "sha256": list("abcd"),
            "status": "ok",
        }
    ).to_parquet(manifest)
    told = said(settings(source=source, split={"folds": 5}))
    assert told == []


def test_labels_are_told_again_where_they_are_others_than_in_the_last_index(folder: Path) -> None:
    (folder / ".snakemake").mkdir()
    now = said(settings())
    manifest = index(folder, 10)
    table = parquet.read_table(manifest)
    meta = {"layout": now[0].removeprefix("pets: "), "warnings": ["16 bits"]}
    parquet.write_table(table.replace_schema_metadata({"darkroom": json.dumps(meta)}), manifest)
    for _ in range(2):
        assert said(settings()) == [], "as the last index said"
    (folder / "pictures/dog").rename(folder / "pictures/hound")
    for _ in range(2):
        assert said(settings())[0].startswith("pets: 2 class folders (20 files), for example cat/")
        assert "hound" in said(settings())[0]
    lines = [f"{path.name},{'ab'[i % 2]}" for i, path in enumerate(Path("pictures").rglob("*.jpg"))]
    Path("pictures/labels.csv").write_text("\n".join(["file,label", *lines]))
    for _ in range(2):
        with pytest.raises(UserError, match="two readings are possible"):
            said(settings())
    assert "2 labels from labels.csv" in said(settings(layout={"table": "labels.csv"}))[0]


def index(folder: Path, copies: int, unusable: int = 0) -> Path:
    """A manifest of `copies` usable images of each class."""
    manifest = folder / "results/pets/manifest.parquet"
    manifest.parent.mkdir(parents=True, exist_ok=True)
    n = 2 * copies + unusable
    pandas.DataFrame(
        {
            "row": range(n),
            "path": [f"{('cat', 'dog')[i % 2]}/{i}.jpg" for i in range(n)],
            "label": ["cat", "dog"] * (n // 2) + ["cat"] * (n % 2),
            "group": None,
            "split": None,
            "sha256": [f"{i:064x}" for i in range(n)],
            "status": ["ok"] * (2 * copies) + ["unusable"] * unusable,
        }
    ).to_parquet(manifest)
    return manifest


def test_unusable_files_of_the_last_index_against_another_limit(folder: Path) -> None:
    assert known.within_limit(settings(), "pets", folder), "nothing is known yet"
    (folder / ".snakemake").mkdir()
    index(folder, 20, unusable=1)
    for _ in range(2):
        assert known.within_limit(settings(max_unusable=0.1), "pets", folder)
        assert not known.within_limit(settings(max_unusable=0.01), "pets", folder)
    index(folder, 20)
    assert known.within_limit(settings(max_unusable=0.01), "pets", folder)


def test_a_class_that_no_folder_has(folder: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'cat'"):
        said(settings(classes=["cta", "dog"]))


def test_a_name_that_is_not_valid_utf8_is_no_end(folder: Path) -> None:
    Path(os.fsdecode(b"pictures/cat/caf\xe9.jpg")).write_bytes(b"x")
    assert "2 class folders (21 files)" in said(settings())[0]


def test_a_table_inside_the_folder_is_read(folder: Path) -> None:
    lines = [f"cat/cat-p{i % 3}-{i}.jpg,{'ab'[i % 2]}" for i in range(10)]
    (folder / "pictures/labels.csv").write_text("\n".join(["file,label", *lines]))
    layout = {"kind": "table", "table": "labels.csv"}
    assert "2 labels from labels.csv" in said(settings(layout=layout))[0]
    with pytest.raises(UserError, match="'c'"):
        said(settings(layout=layout, classes=["a", "c"]))


def test_a_source_that_only_a_download_would_tell_is_not_checked(folder: Path) -> None:
    assert said(settings(source="kaggle:owner/name", split={"folds": 5000})) == []


def test_a_setting_that_no_classifier_has(folder: Path) -> None:
    config = copy.deepcopy(BASE)
    config["classifiers"]["svm"]["settings"] = {"gama": 1}
    with pytest.raises(UserError, match="did you mean 'gamma'"):
        said(Settings.load(config))


@pytest.mark.parametrize("target", ["results/pest/report.html", "data/pest/source.json"])
def test_a_target_of_an_unknown_data_set(target: str) -> None:
    with pytest.raises(UserError, match="did you mean 'pets'"):
        checks.check_targets(settings(), ["-n", target])


def test_targets_that_are_fine() -> None:
    checks.check_targets(
        settings(), ["results/pets/report.html", "train", "--directory", "results/elsewhere"]
    )


READ_ONLY = (
    "import sys; from pathlib import Path; from darkroom.errors import UserError\n"
    f"from darkroom.workflow import checks; from {__name__} import settings\n"
    "try: checks.check_folders(settings(), Path(sys.argv[1]))\n"
    "except UserError as error: print(error)\n"
)


@pytest.mark.parametrize(
    ("options", "fill", "words"),
    [("ro", 0, "read-only file system"), ("size=64k", 1, "no space: writing below")],
)
def test_a_folder_that_takes_nothing_is_told_before_anything_runs(
    tmp_path: Path, options: str, fill: int, words: str
) -> None:
    needs_mounts()
    place = tmp_path / "results/pets"
    place.mkdir(parents=True)
    script = (
        'mount -t tmpfs -o "$3" tmpfs "$1" && if [ "$4" = 1 ]; then cat /dev/zero >"$1/fill"; fi '
        '2>/dev/null; exec "$0" -c "$2" "$5"'
    )
    done = subprocess.run(
        [*UNSHARE, "sh", "-c", script, sys.executable, str(place), READ_ONLY, options, str(fill),
         str(tmp_path)],
        capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT,
    )  # fmt: skip
    assert words in done.stdout and str(place) in done.stdout, done
    checks.check_folders(settings(), tmp_path)
    assert [p.name for p in tmp_path.rglob("*")] == ["results", "pets"], "nothing is left"


# ---------------------------------------------------------------- two classes, and new pictures


def test_what_two_classes_alone_can_have(folder: Path) -> None:
    said(settings(threshold="f1"))
    (folder / "pictures/fox").mkdir()
    for i in range(10):
        (folder / f"pictures/fox/fox-{i}.jpg").touch()
    for asked in ({"threshold": "f1"}, {"threshold": 0.3}):
        with pytest.raises(UserError, match=r"pets\.threshold.*there are 3 \(cat, dog, fox\)"):
            said(settings(**asked))
    with pytest.raises(UserError, match=r"pets\.operating_point: an operating point is for two"):
        said(settings(operating_point={"specificity": 0.9}))
    said(settings(threshold=0.3, classes=["cat", "dog"]))
    with pytest.raises(UserError, match="there are 3"):  # known without a look at the files
        said(settings(source="kaggle:owner/name", threshold=0.3, classes=["a", "b", "c"]))


def test_a_sigmoid_for_three_classes_is_told_before_anything_runs(folder: Path) -> None:
    made = settings(source="kaggle:owner/name", classes=["a", "b", "c"])
    made.models["cnn"].__dict__["head"] = "sigmoid"
    with pytest.raises(
        UserError, match=r"models\.cnn\.head: a sigmoid unit.*pets has 3 \(a, b, c\)"
    ):
        said(made)


def predicting(**asked: Any) -> Settings:
    config = copy.deepcopy(BASE)
    config["predict"] = {"new": {"source": "unseen", **asked}}
    return Settings.load(config)


TARGET = "results/pets/predictions/new.csv"


@pytest.mark.parametrize(
    ("asked", "target", "words"),
    [
        ({}, "results/pets/predictions/news.csv", "'news' is not in predict.*did you mean 'new'"),
        ({"source": "unsen"}, TARGET, "unsen: there is no such folder.*did you mean 'unseen'"),
        ({"source": "empty"}, TARGET, "no picture in this folder"),
        ({"source": "."}, TARGET, "is the working folder or a parent of it"),
        ({"model": "cnn-seed0/svn"}, TARGET, r"predict\.new\.model: pets has no.*'cnn-seed0/svm'"),
        ({"model": "cnn-seed1"}, TARGET, "did you mean 'cnn-seed0'"),
        ({"fold": "fold-1"}, TARGET, r"predict\.new\.fold: pets has no 'fold-1'; known: holdout"),
        ({"fold": "fold-1"}, "predict", "predict.new.fold"),
    ],
)
def test_predictions_that_cannot_be(
    folder: Path, asked: dict[str, str], target: str, words: str
) -> None:
    (folder / "unseen").mkdir()
    (folder / "unseen/a.jpg").touch()
    (folder / "empty").mkdir()
    checks.check_targets(predicting(), ["predict", TARGET])
    checks.check_targets(predicting(model="cnn-seed0/head", fold="holdout"), [TARGET])
    with pytest.raises(UserError, match=words):
        checks.check_targets(predicting(**asked), [target])
    # what is not asked for is not looked at
    checks.check_targets(predicting(**asked), ["results/pets/report.html"])


def test_no_new_pictures_are_named(folder: Path) -> None:
    with pytest.raises(UserError, match="names no new pictures"):
        checks.check_targets(settings(), ["predict"])


# ---------------------------------------------------------------- on a cluster


def test_millions_of_files_would_gain_by_shards(folder: Path) -> None:
    told: list[str] = []
    checks.check_shards(settings(), told.append)
    assert told == []
    (folder / "data/pets").mkdir(parents=True)
    size = {"files": 14_000_000, "bytes": 14_000_000 * 110_000}
    (folder / "data/pets/source.json").write_text(json.dumps(size))
    checks.check_shards(settings(), told.append)
    assert len(told) == 1 and "14,000,000 files" in told[0]
    shards = int(re.findall(r"shards: (\d+)", told[0])[0])
    assert 20 < shards <= 500
    checks.check_shards(settings(shards=shards), told.append)
    assert len(told) == 1


# ---------------------------------------------------------------- what is known is not looked up again


def test_a_split_is_tried_once_for_the_same_index(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from darkroom.split import plan

    tries: list[str] = []
    plain = plan.check

    def counted(table: Any, **more: Any) -> Any:
        tries.append(more["cfg"]["dataset"])
        return plain(table, **more)

    monkeypatch.setattr(plan, "check", counted)
    rows = [
        (f"{c}/{i}.jpg", c, None, None, f"{c}{i}", "ok") for c in ("cat", "dog") for i in range(9)
    ]
    table = pandas.DataFrame(rows, columns=["path", "label", "group", "split", "sha256", "status"])
    place = folder / "results/pets/manifest.parquet"
    place.parent.mkdir(parents=True)
    (folder / ".snakemake").mkdir()

    def indexed(n: int) -> None:
        table[:n].assign(row=range(n)).to_parquet(place)

    indexed(18)
    for _ in range(3):
        assert said(settings()) == []
    assert len(tries) == 1
    said(settings(split={"seed": 1}))
    assert len(tries) == 2
    with pytest.raises(UserError, match="11"):
        said(settings(split={"folds": 11}))
    with pytest.raises(UserError):  # a refusal is not kept
        said(settings(split={"folds": 11}))
    assert len(tries) > 4
    before = len(tries)
    said(settings())  # as it was before
    assert len(tries) == before
    indexed(17)
    said(settings())
    assert len(tries) == before + 1


def test_a_threshold_is_refused_from_memory_too(folder: Path) -> None:
    rows = [(f"{c}/{i}.jpg", c, None, None, f"{c}{i}", "ok") for c in "abc" for i in range(9)]
    table = pandas.DataFrame(rows, columns=["path", "label", "group", "split", "sha256", "status"])
    place = folder / "results/pets/manifest.parquet"
    place.parent.mkdir(parents=True)
    table.assign(row=range(27)).to_parquet(place)
    (folder / ".snakemake").mkdir()
    said(settings())
    with pytest.raises(UserError, match="a threshold is for two classes, and there are 3"):
        said(settings(threshold=0.3))


def test_a_mirror_that_is_not_there(folder: Path) -> None:
    made = Settings.load(copy.deepcopy(BASE) | {"mirror": "nowhere"})
    with pytest.raises(UserError, match=r"mirror is 'nowhere': there is no such folder"):
        said(made)
