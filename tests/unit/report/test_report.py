"""The page: whole, safe, small, and honest about which result it puts first."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from darkroom.errors import UserError
from darkroom.evaluate.tables import chosen_by_fold
from darkroom.report import files, images, sheets
from darkroom.report.figure_names import FIGURES
from darkroom.report.report import write_report
from tests.support.report_folder import Folder, Plan
from tests.support.report_page import Page, write


@pytest.fixture(scope="module")
def normal(tmp_path_factory: pytest.TempPathFactory) -> tuple[Folder, Page]:
    """Three classes, two folds, two seeds, stored variants and copies."""
    folder = Folder(tmp_path_factory.mktemp("normal"), Plan(folds=2, variants=("mean 3", "canny")))
    place = folder.split_table
    test = place.loc[place["fold-1"] == "test", "row"].to_numpy()
    train = place.loc[place["fold-1"] == "train", "row"].to_numpy()
    first, second = sorted((test[0], train[1]))
    folder.write_copies([(50, 12, "bytes", ""), (second, first, "near", "mirrored")])
    return folder, write(folder, FIGURES)


def test_the_page_is_whole_and_needs_nothing_else(normal: tuple[Folder, Page]) -> None:
    _, page = normal
    assert not page.open
    assert not page.crossed
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "action", "data", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:image/")), (tag, value)
        assert not any(name.startswith("on") for name in attributes)
    assert "@import" not in page.html
    assert not re.search(r"url\((?!#)", page.html)


def test_only_the_pages_own_script_may_run(normal: tuple[Folder, Page]) -> None:
    _, page = normal
    policies = [a["content"] for t, a in page.tags if a.get("http-equiv")]
    assert policies[0] is not None
    assert "default-src 'none'" in policies[0]
    assert "script-src 'unsafe" not in policies[0]
    script = re.search(r"<script>(.*?)</script>", page.html, re.S)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policies[0]


def test_what_became_of_the_given_parts_is_among_the_first_lines(tmp_path: Path) -> None:
    """As with a source of train and val alone: its test images are cut from those to train on."""
    folder = Folder(tmp_path, Plan())
    place = folder.split_table["holdout"]
    folder.split_table["given"] = place.replace("test", "train")
    folder.write_splits()
    train, test, validation = (int((place == p).sum()) for p in ("train", "test", "validation"))
    words = f"The source's own split: {train + test} train (of them {test} test), {validation} validation."
    assert words in write(folder).text


def test_every_part_of_the_report_is_there(normal: tuple[Folder, Page]) -> None:
    folder, page = normal
    text = page.text
    for words in (
        "120 images in 3 classes were used in 2-fold cross-validation",
        "The network cnn was trained with 2 seeds; svm and random_forest learned from features.",
        "always predicting the most frequent class: 0.333",
        "Labels: 3 class folders (120 files), for example cat/1.png is 'cat'.",
        "Check: labels that may mean none: '<b>none</b>' (7).",
        "Table 1.",
        "most often taken for",
        "Images and their stored variants (240 in all)",
        "The most confident misclassifications",
        "2 (1.6 %) could not be used",
        "truncated: the file ends early",
        "broken/<b>file 1</b>.jpg",
        "palette to rgb 6",
        "frame 1 of 7 1",
        "2 images show the same picture as another one: 1 the same file, 0 the same pixels, and 1 nearly the same",
        "mirrored",
        "no given split",
        "kaggle:someone/animals",
        "not stated by the source",
        "ab" * 32,
        "2 min 06 s",
        "900 MB",
        "processor",
        "matplotlib",
        "epochs: 8",
    ):
        assert words in text, words
    assert page.count("svg") == 7
    best = pd.read_parquet(folder.path("summary.parquet"))
    best = (
        best[(best["part"] == "validation") & (best["model"] != "*")]
        .sort_values("balanced_accuracy")
        .iloc[-1]
    )
    chosen = f"{best['classifier']} on cnn" if best["classifier"] != "head" else "cnn (network)"
    assert f"What the validation images of each fold choose (over all folds: {chosen} )" in text
    assert "In each fold its own validation images chose, and its test images" in text


def test_the_scores_are_those_of_the_tables(normal: tuple[Folder, Page]) -> None:
    folder, page = normal
    table = pd.read_parquet(folder.path("summary.parquet"))
    for _, row in table[table["part"] == "test"].iterrows():
        assert f"{row['accuracy']:.3f} ± {row['accuracy_sd']:.3f}" in page.text
        assert f"{row['accuracy_low']:.3f}–{row['accuracy_high']:.3f}" in page.text


def test_the_figures_are_the_same_each_time(normal: tuple[Folder, Page], tmp_path: Path) -> None:
    folder, page = normal
    again = [str(tmp_path / name) for name in FIGURES]
    second = write(folder, FIGURES, figures=again, output=str(tmp_path / "report.html"))
    for name in FIGURES:
        assert (tmp_path / name).read_bytes() == Path(folder.path(f"figures/{name}")).read_bytes()
    now = r"\d{4}-\d\d-\d\d \d\d:\d\d UTC|\b[0-9a-f]{40}\b"  # a commit may come between the two
    assert re.sub(now, "", second.html) == re.sub(now, "", page.html)
    assert not list(tmp_path.glob(".*"))


def test_the_misclassified_images_are_the_surest_wrong_ones(normal: tuple[Folder, Page]) -> None:
    folder, page = normal
    said = pd.read_parquet(folder.path("predictions.parquet"))
    chosen = chosen_by_fold(pd.read_parquet(folder.path("metrics.parquet")))
    own = said[(said["part"] == "test") & (said["class"] != said["predicted"])]
    own = own[own["classifier"] == own["fold"].map({f: key[1] for f, key in chosen.items()})]
    sure = own[[c for c in own if c.startswith("p:")]].max(axis=1)
    worst = own.loc[sure.sort_values(ascending=False).index].drop_duplicates("row")
    at = page.text.index("These 6 it was surest of")
    places = [page.text.index(path, at) for path in worst["path"].head(6)]
    assert places == sorted(places)
    assert worst["path"].iloc[6] not in page.text[at : page.text.index("could not be used", at)]


def test_the_best_is_chosen_by_validation_and_said_so(tmp_path: Path) -> None:
    folder = Folder(tmp_path, Plan(skill={"head": 0.8, "svm": 0.8}))
    table = pd.read_parquet(folder.path("summary.parquet"))
    worse = (table["classifier"] == "svm") & (table["part"] == "test")
    table.loc[worse, ["accuracy", "balanced_accuracy"]] = 0.99
    table.loc[table["part"] == "validation", "balanced_accuracy"] = [
        0.9 if c == "head" else 0.7 for c in table.loc[table["part"] == "validation", "classifier"]
    ]
    table.attrs["notice"] = "Not for medical use."
    table.to_parquet(folder.path("summary.parquet"), index=False)
    page = write(folder)
    assert "Not for medical use." in page.text.split("To keep in mind")[0]
    assert "The best by the validation images, cnn (network)" in page.text
    assert "svm on cnn reaches 0.990 there. It is not called the best" in page.text
    rows = page.html.split("<tbody>")[1].split("</tbody>")[0]
    assert rows.count('class="chosen"') == 1
    assert "head" in rows.split('class="chosen"')[1].split("</tr>")[0]


def test_binary_and_uneven(tmp_path: Path) -> None:
    plan = Plan(classes=("normal", "ill"), per_class=(30, 120), size=(96, 80, 1), seeds=(0,))
    page = write(Folder(tmp_path, plan))
    assert "ill has 4.0 times as many images as normal" in page.text
    assert "Always predicting the most frequent class would reach 0.789" in page.text
    assert "Each network was trained once" in page.text
    assert "data:image/jpeg" in page.html
    assert "96 × 80 pixels, grey" in page.text


def test_many_classes_of_noise_stay_small(tmp_path: Path) -> None:
    names = [f"a species with a rather long name, number {i}" for i in range(120)]
    plan = Plan(classes=names, per_class=6, size=(128, 128, 3), seeds=(0,), samples=6)
    folder = Folder(tmp_path, plan)
    with h5py.File(folder.path("images/view.h5"), "r+") as file:
        noise = np.random.default_rng(0).integers(0, 255, file["images"].shape, np.uint8)
        file["images"][...] = noise  # nothing compresses worse
    page = write(folder, FIGURES)
    assert "60 of 120 classes" in page.text
    assert "too many for a matrix" in page.text
    assert page.count("img") <= images.MOST_SAMPLES + plan.misclassified + 2 * files.MOST_PAIRS
    assert len(page.html) > 2e6


def test_no_test_part(tmp_path: Path) -> None:
    page = write(Folder(tmp_path, Plan(test=0.0, size=(8, 8, 1), seeds=(0,))), FIGURES)
    assert "The split has no test part" in page.text
    assert "Scores on the validation images" in page.text
    assert "Test images used once" not in page.text


def test_no_validation_part(tmp_path: Path) -> None:
    page = write(Folder(tmp_path, Plan(validation=0.0, seeds=(0,))), FIGURES)
    assert "With no validation images to choose by, no result is called the best" in page.text
    assert "diamond" in page.text
    assert 'class="chosen"' not in page.html


def test_nothing_augmented_no_network_nothing_broken(tmp_path: Path) -> None:
    folder = Folder(tmp_path, Plan(unusable=0, misclassified=0, seeds=(0,), skill={"svm": 0.9}))
    page = write(folder, FIGURES, histories=[], augmented=[], benchmarks=folder.path("nowhere"))
    for words in (
        "No variants are stored for this data set.",
        "Every file could be used.",
        "The settings ask for none to be shown.",
        "No two images show the same picture.",
        "No benchmark files were found.",
        "svm learned from features.",
        "The one classifier, svm on cnn",
    ):
        assert words in page.text, words
    assert 'href="#training"' not in page.html


def test_all_right_and_one_epoch(tmp_path: Path) -> None:
    folder = Folder(tmp_path, Plan(skill={"head": 1.1}, epochs=1, seeds=(0, 1)))
    page = write(folder, FIGURES)
    assert "No image was misclassified." in page.text
    assert "none" in page.text


def test_nothing_was_evaluated(tmp_path: Path) -> None:
    folder = Folder(tmp_path, Plan(seeds=(0,)))
    for name in ("metrics.parquet", "summary.parquet", "class_metrics.parquet"):
        table = pd.read_parquet(folder.path(name))
        table.head(0).to_parquet(folder.path(name), index=False)
    table = pd.read_parquet(folder.path("predictions.parquet"))
    table.head(0).to_parquet(folder.path("predictions.parquet"), index=False)
    page = write(folder, FIGURES)
    assert page.text.count("Nothing was evaluated") >= 2


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "日本語の猫",
    "$x_1$ {{ 7*7 }}",
    "NA",
    "z" * 150,
)


def test_names_cannot_do_harm(tmp_path: Path) -> None:
    folder = Folder(tmp_path, Plan(classes=HOSTILE, per_class=12, variants=("<i>x</i>",)))
    told = {"source": "</pre><script>1</script>", "license": "<b>bold</b>", "files": 3}
    (tmp_path / "data" / "source.json").write_text(json.dumps(told))
    folder.write_splits(["a note with <u>marks</u>"])
    page = write(folder, FIGURES)
    assert page.count("script") == 1
    assert page.count("i") == page.count("u") == 0
    assert all("onerror" not in attributes for _, attributes in page.tags)
    for words in (*HOSTILE[:5], "</pre><script>1</script>", "a note with <u>marks</u>"):
        assert words in page.text
    assert not page.crossed


def test_intervals_may_be_missing(tmp_path: Path) -> None:
    folder = Folder(tmp_path, Plan(seeds=(0,)))
    for name in ("summary.parquet", "metrics.parquet", "class_metrics.parquet"):
        table = pd.read_parquet(folder.path(name))
        bounds = [c for c in table if c.endswith(("_low", "_high"))]
        table[bounds] = np.nan
        table.to_parquet(folder.path(name), index=False)
    page = write(folder, FIGURES)
    assert "nan" not in page.text
    assert "95 % interval " not in page.text.split("To keep in mind")[0]


def test_thousands_of_unusable_files_are_counted(tmp_path: Path) -> None:
    page = write(Folder(tmp_path, Plan(unusable=1200, seeds=(0,))))
    assert "The first 500 of 1,200; all are in unusable.csv" in page.text
    assert "<b>file 499</b>" in page.text
    assert "<b>file 500</b>" not in page.text


def test_notes_of_the_classifiers_are_told(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    folder = Folder(tmp_path, Plan(seeds=(0,)))
    path = folder.path("predictions.parquet")
    notes = {"notes": ["svm: trained on a sample of 20 rows"]}
    table = pq.read_table(path).replace_schema_metadata({"darkroom": json.dumps(notes)})
    pq.write_table(table, path)
    assert "svm: trained on a sample of 20 rows" in write(folder).text


def test_the_epoch_kept_is_the_one_that_the_training_kept(tmp_path: Path) -> None:
    """A search may have chosen another `keep` or `monitor` than the settings have."""
    folder = Folder(tmp_path, Plan(seeds=(0,), epochs=9))
    history = pd.read_csv(folder.histories[0])
    history["val_loss"] = [5, 4, 1, 4, 5, 5, 5, 5, 5]
    history["val_accuracy"] = [0.1] * 5 + [0.9] + [0.1] * 3
    row = re.compile(r"network trainings epochs epoch kept time of a training cnn 1 9 (\d+) ")
    used_once = "chose the epoch of each network whose weights were kept"
    for params, kept, chosen in (
        ({}, 3, True),
        ({"monitor": "accuracy"}, 6, True),
        ({"keep": "last"}, 9, False),
    ):
        history["kept"] = (history["epoch"] == kept).astype(int)
        history.to_csv(folder.histories[0], index=False)
        page = write(folder, tuning=[search(tmp_path / "tuning", params)] if params else [])
        found = row.search(page.text)
        assert found is not None and int(found[1]) == kept
        assert (used_once in page.text) == chosen


def search(place: Path, params: dict[str, str]) -> str:
    """A search of one trial, which chose these settings."""
    best = {
        "model": "cnn", "fold": "holdout", "params": params, "value": 0.5, "objective": "loss",
        "trial": 1, "trials": 1, "complete": 1, "pruned": 0, "failed": 0, "importances": None,
        "note": "1 trial", "space": {path: [value, "other"] for path, value in params.items()},
    }  # fmt: skip
    place.mkdir(exist_ok=True)
    (place / "best.json").write_text(json.dumps(best))
    line = {"number": 1, "state": "complete", "value": 0.5, **params, "epochs": 9, "seconds": 1}
    pd.DataFrame([line | {"reason": ""}]).to_csv(place / "trials.csv", index=False)
    return str(place / "best.json")


def test_a_history_of_an_older_version_is_refused(tmp_path: Path) -> None:
    folder = Folder(tmp_path, Plan(seeds=(0,)))
    pd.read_csv(folder.histories[0]).drop(columns="kept").to_csv(folder.histories[0], index=False)
    with pytest.raises(UserError, match=r"history\.csv has no column 'kept': delete it and"):
        write_report(**folder.arguments())


def test_a_table_of_another_form_is_told(tmp_path: Path) -> None:
    folder = Folder(tmp_path, Plan(seeds=(0,)))
    pd.DataFrame({"a": [1]}).to_parquet(folder.path("summary.parquet"))
    with pytest.raises(UserError, match=r"summary\.parquet has no column 'model'"):
        write_report(**folder.arguments())
    with pytest.raises(ValueError, match=r"feature_map\.svg"):
        write_report(**folder.arguments(figures=[f"x/{n}" for n in FIGURES[:-1]]))


def test_thumbnails(tmp_path: Path) -> None:
    import io

    def opened(html: str) -> Image.Image:
        match = re.search(r"base64,([^\"]+)", html)
        assert match is not None
        return Image.open(io.BytesIO(base64.b64decode(match[1])))

    small = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    tag = sheets.thumbnail(small, 'a "quoted" <path>')
    assert 'class="pixels"' in tag
    assert 'width="84" height="84"' in tag
    assert "&#34;quoted&#34; &lt;path&gt;" in tag
    assert (np.asarray(opened(tag)) == small[:, :, 0]).all()
    large = np.zeros((300, 600, 3), np.uint8)
    tag = sheets.thumbnail(large, "x")
    assert opened(tag).size == (112, 56)
    assert 'width="84" height="42"' in tag


def test_the_page_starts_quickly() -> None:
    """Neither pandas nor matplotlib nor a deep learning library loads with the module."""
    import subprocess
    import sys

    heavy = "{'tensorflow', 'keras', 'torch', 'sklearn', 'matplotlib', 'pandas'}"
    code = f"import sys; from darkroom.report.report import write_report; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_two_classes_have_their_thresholds_told(
    tmp_path: Path, normal: tuple[Folder, Page]
) -> None:
    page = write(Folder(tmp_path, Plan(classes=("cat", "<dog>"), folds=2, seeds=(0,))))
    for words in (
        "Of the two classes, <dog> is the positive one: it is called from this probability on",
        "the one with the best balanced accuracy on its validation images",
        "cnn-seed0 fold-1 0.3125 0.750 0.750 0.750",
        "cnn-seed0 fold-2 0.3125",
    ):
        assert words in page.text, words
    assert not page.crossed
    assert "the positive one" not in normal[1].text


def test_an_operating_point_stands_beside_the_threshold(tmp_path: Path) -> None:
    folder = Folder(tmp_path, Plan(classes=("cat", "dog"), per_class=(60, 20), seeds=(0,)))
    path = folder.path("thresholds.parquet")
    told = pd.read_parquet(path).assign(operating_point="sensitivity 0.95", operating_threshold=0.1)
    rates = [name for name in told if name.startswith(("validation_", "test_"))]
    for name in rates:
        part, rate = name.split("_", 1)
        told[f"{part}_operating_{rate}"] = 0.625
    told.loc[told["classifier"] == "svm", "operating_threshold"] = np.nan
    told.to_parquet(path)
    page = write(folder)
    for words in (
        "chosen on its validation images to reach sensitivity 0.95 there, and no test image had a say",
        "threshold sensitivity specificity PPV NPV",
        "0.625 0.625 0.625",
        "dog is 25 % of the test images, and 25 % of the data.",
    ):
        assert words in page.text, words
    assert "Training weighed" not in page.text


def test_the_prevalence_in_the_data_stands_beside_that_of_the_test(
    tmp_path: Path, normal: tuple[Folder, Page]
) -> None:
    """As quotas leave it: of 60 cats, 20 dogs and 20 foxes 5 of each are tested."""
    folder = Folder(tmp_path, Plan(per_class=(60, 20, 20), seeds=(0,)))
    table = folder.split_table
    extra = table.index[(table["class"] == 0) & (table["holdout"] == "test")][5:]
    table.loc[extra, "holdout"] = "unused"
    folder.write_splits()
    cfg = folder.arguments()["cfg"]
    cfg["settings"]["models"]["cnn"]["class_weights"] = "balanced"
    cfg["settings"]["classifiers"] = {
        name: {"settings": {"class_weight": "balanced"}} for name in ("svm", "random_forest")
    }
    page = write(folder, cfg=cfg)
    assert "cat is 33 % of the test images, and 60 % of the data." in page.text
    assert "Training weighed or balanced the classes" in page.text
    assert "of the data." not in normal[1].text


def test_the_number_of_each_class_stands_beside_it(normal: tuple[Folder, Page]) -> None:
    assert re.search(r"number class train .* 0 cat .* 1 dog .* 2 fox ", normal[1].text)
