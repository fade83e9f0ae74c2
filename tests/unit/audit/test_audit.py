"""Planted shortcuts are found and named; clean data raises none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from darkroom.audit import audit as stage
from darkroom.audit import header, names, probe
from darkroom.audit.check import Check, Found
from darkroom.audit.sample import MOST, Sample
from tests.support import planted
from tests.support.report_folder import Folder, Plan
from tests.support.report_page import write

MODEL = 0.9


def warned(sample: Sample) -> dict[str, str]:
    """The sentence of each check that warns."""
    out = {}
    for check in stage.CHECKS:
        seen = check.find(sample)
        found = None if seen is None else probe.judge(check, seen, sample)
        if found is not None and (sentence := check.summary(found, MODEL)):
            out[check.name] = sentence
    return out


@pytest.mark.parametrize(
    ("plant", "check", "words"),
    [
        ("size", "header", ("alone tells", "cat", "dog", "100 of 100")),
        ("format", "header", ("alone tells", "100 of 100")),
        ("quality", "header", ("alone tells", "100 of 100")),
        ("border", "border", ("The border alone reaches", "the left edge")),
        ("brightness", "color", ("The mean colour alone reaches", "brightness")),
        ("tag", "thumbnail", ("A thumbnail of 8 × 8 pixels", "the top left corner")),
        ("source", "names", ("Beginning of the file name alone tells", "100 of 100")),
    ],
)
def test_a_planted_shortcut_is_found_and_named(
    tmp_path: Path, plant: str, check: str, words: tuple[str, ...]
) -> None:
    found = warned(planted.sample(tmp_path, plant, n=80))
    assert all(word in found[check] for word in words), found


@pytest.mark.parametrize("seed", [1, 2])
def test_clean_data_raises_no_alarm(tmp_path: Path, seed: int) -> None:
    """`python -m benchmarks.audits` has 20 of them."""
    assert warned(planted.sample(tmp_path, "nothing", n=80, seed=seed)) == {}


def test_the_stage_writes_a_line_of_each_check_and_the_count_of_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("darkroom.audit.sample.MOST", 30)
    planted.sample(tmp_path, "size", n=40)
    paths = [
        tmp_path / n for n in ("source.json", "manifest.parquet", "splits.parquet", "images.h5")
    ]
    out = str(tmp_path / "audit.parquet")
    stage.audit_dataset(*map(str, paths), audit=out, cfg={"dataset": "pets"})
    found, about = stage.read_audit(out)
    assert [line.check for line in found] == ["header", "border", "thumbnail", "color"]
    assert found[0].alone_property in ("width", "shape", "file size", "bytes a pixel")
    assert all(line.low <= line.balanced_accuracy <= line.high for line in found)
    assert {line.images for line in found} == {30}
    assert about == {"rows": 60, "of": 73}
    # the files may be gone by the time the audit runs again
    (tmp_path / "pictures/cat/0.png").unlink()
    stage.audit_dataset(*map(str, paths), audit=out, cfg={"dataset": "pets"})
    assert MOST == 2000


def test_labels_of_groups_are_exchanged_together() -> None:
    """Twenty groups of ten alike images are twenty observations, not 200."""
    random = np.random.default_rng(0)
    group = np.repeat(np.arange(20), 10)
    label = np.repeat(np.arange(2), 100)
    lucky = np.where(np.isin(group, [3, 4, 15]), 1 - label, label)  # 17 of 20 groups
    kept = probe._Orders(group).of(lambda y: probe._balanced(y, lucky, 2), label)
    loose = probe._Orders(np.arange(200)).of(lambda y: probe._balanced(y, lucky, 2), label)
    assert kept.std() > 2.5 * loose.std()
    assert 0.001 < probe._p(kept, 0.85) < 0.05
    assert abs(kept.mean() - 0.5) < 0.02
    uneven = np.sort(random.integers(0, 9, 200))
    scores = probe._Orders(uneven).of(lambda y: float(np.bincount(y)[1]), label)
    assert set(scores) == {100.0}, "each label is there once"


def test_one_class_against_the_rest() -> None:
    truth, said = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 0, 1, 2, 2, 2])
    np.testing.assert_allclose(probe.one_by_one(truth, said, 3), [1, 0.75, 0.875])


@pytest.mark.parametrize(
    ("path", "label", "expected"),
    [
        ("train/cats/cat.12.jpg", "cats", {"folder 1": "train", "folder 2": "", "beginning of the file name": ""}),
        ("site-a/x/IM-0115.png", "covid", {"folder 1": "site-a", "folder 2": "x", "beginning of the file name": "IM"}),
        ("7/0042.png", "7", {"folder 1": "", "beginning of the file name": ""}),
    ],
)  # fmt: skip
def test_words_of_a_path_are_no_labels(path: str, label: str, expected: dict[str, str]) -> None:
    assert names.words_of(path, label) == expected


def test_how_a_file_was_written(tmp_path: Path) -> None:
    from PIL import Image

    image = Image.fromarray(np.zeros((16, 16, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0110] = "camera"
    image.save(tmp_path / "a.jpg", quality=50, exif=exif)
    image.save(tmp_path / "b.jpg", quality=95)
    image.save(tmp_path / "c.png", dpi=(300, 300))
    a, b, c = (header.written_as(header.head(tmp_path / n)) for n in ("a.jpg", "b.jpg", "c.png"))
    assert (a["EXIF"], b["EXIF"], c["EXIF"]) == (1, 0, 0)
    assert float(a["JPEG quality"]) > 5 * float(b["JPEG quality"]) > 0 > float(c["JPEG quality"])
    assert a["JPEG tables"] != b["JPEG tables"]
    assert c["metadata"] == "IHDR pHYs"
    for cut in range(40):  # a header that ends anywhere
        header.written_as((tmp_path / "a.jpg").read_bytes()[:cut])
    assert header.head(tmp_path / "gone.jpg") == b""


def line(**changes: object) -> Found:
    plain = {
        "check": "header", "part": "test", "images": 200, "balanced_accuracy": 0.9, "low": 0.86,
        "high": 0.93, "chance": 0.5, "null": 0.55, "p": 0.0005, "by": "width", "told": "covid",
        "others": "", "alone": 0.96, "alone_property": "width", "alone_class": "covid",
        "alone_p": 0.0005,
    }  # fmt: skip
    return Found(**plain | changes)  # type: ignore[arg-type]


def check(name: str) -> Check:
    return next(c for c in stage.CHECKS if c.name == name)


def test_from_where_on_a_check_warns() -> None:
    h = check("header")
    assert h.summary(line(), 0.8) == "Width alone tells covid from the others: 96 of 100."
    by_all = h.summary(line(alone=0.89), 0.8)
    assert "balanced accuracy of 0.90 where the model reaches 0.80, most of it by width" in by_all
    assert h.summary(line(alone=0.89, balanced_accuracy=0.69), 0.9) == ""
    assert h.summary(line(alone_p=0.01, p=0.01), 0.8) == ""
    assert check("color").summary(line(balanced_accuracy=0.8), 0.9) == ""
    assert check("color").summary(line(balanced_accuracy=0.87), 0.9) != ""


def test_the_first_screen_names_the_shortcut(tmp_path: Path) -> None:
    folder = Folder(tmp_path, Plan(classes=("covid", "normal"), seeds=(0,)))
    folder.audit([line(others="normal"), line(check="color", balanced_accuracy=0.52)])
    page = write(folder)
    first = page.text.split("To keep in mind")[0]
    assert "Shortcut in the file header : Width alone tells covid from normal: 96 of 100." in first
    assert "The mean colour suffices" not in page.text
    assert page.html.index('<li class="wrong"><a href="#shortcuts">') > 0
    assert "The file header File size, width" in page.text and "0.860–0.930" in page.text
