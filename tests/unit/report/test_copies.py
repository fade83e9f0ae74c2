"""What the report says of copies."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from darkroom.report.caveat import Weight
from darkroom.report.copies import copies
from tests.support.report_folder import Folder, Plan
from tests.support.report_page import write
from tests.unit.report.test_results import a_split


def test_copies_across_the_split_and_with_other_labels() -> None:
    manifest = pd.DataFrame(
        {"row": range(6), "path": list("abcdef"), "label": ["x", "x", "y", "x", "y", None]}
    )
    found = pd.DataFrame({"row": [3, 4], "of": [1, 1], "kind": "near", "how": "", "likeness": 0.9})
    split = a_split()
    made = copies(found, manifest, split, ["holdout"], "test")
    train = split.loc[split["holdout"] == "train", "row"]
    assert set(train) & {1, 3, 4}, "the split of the test changed"
    tested = set(split.loc[split["holdout"] == "test", "row"])
    assert made.across == tested & {1, 3, 4} and made.across
    assert made.disputed == 1
    assert made.table[["path", "of"]].to_numpy().tolist() == [["d", "b"], ["e", "b"]]
    assert made.left_out == 0
    split.loc[split["row"].isin(made.across), "holdout"] = "unused"
    assert copies(found, manifest, split, ["holdout"], "test").left_out == len(made.across)


@pytest.mark.parametrize(
    ("second", "first", "weight", "words"),
    [
        ("test", "train", Weight.WRONG, "1 test image shows the same picture as a training image"),
        (
            "train",
            "train",
            Weight.NOTE,
            "1 of 120 images (0.8 %) shows the same picture as another",
        ),
    ],
)
def test_the_page_says_what_copies_mean(
    tmp_path: Path, second: str, first: str, weight: Weight, words: str
) -> None:
    folder = Folder(tmp_path, Plan(groups=True))
    place = folder.split_table
    one = int(place.loc[place["holdout"] == first, "row"].iloc[0])
    two = int(place.loc[place["holdout"] == second, "row"].iloc[-1])
    folder.write_copies([(max(one, two), min(one, two), "near", "mirrored")])
    text = write(folder, model_card=folder.path("card.md")).text
    assert words in text
    assert "mirrored" in text
    card = Path(folder.path("card.md")).read_text(encoding="utf-8")
    assert f"{int(weight == Weight.WRONG)} test image" in card
    assert ("Without them its accuracy is" in text) == (weight == Weight.WRONG)
    assert ("They stand on both sides of the split" in text) == (weight == Weight.WRONG)
