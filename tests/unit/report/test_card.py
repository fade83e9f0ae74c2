"""The model card: the same numbers as the report, and "not known" where a run cannot tell."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tests.support.report_folder import Folder, Plan
from tests.support.report_page import write


def made(folder: Folder, place: Path) -> str:
    write(folder, model_card=str(place))
    return place.read_text(encoding="utf-8")


def test_the_card_has_the_scores_warnings_and_checklist(tmp_path: Path) -> None:
    folder = Folder(tmp_path, Plan(classes=("normal", "<b>ill|</b>"), seeds=(0,)))
    folder.doubtful([1, 2])
    summary = pd.read_parquet(folder.path("summary.parquet"))
    summary.attrs["notice"] = "Not for medical use."
    summary.to_parquet(folder.path("summary.parquet"), index=False)
    text = made(folder, tmp_path / "model_card.md")
    row = summary[(summary["classifier"] == "svm") & (summary["part"] == "test")].iloc[0]
    score = f"{row['accuracy']:.3f} ({row['accuracy_low']:.3f} to {row['accuracy_high']:.3f})"
    for words in (
        "# Model card: made-up",
        "## Intended use\n\nNot for medical use.",
        f"| svm on cnn | classifier on features | {score} |",
        "| normal | 26 | 4 | 10 |",
        "| \\<b\\>ill\\|\\</b\\> | 26 | 4 | 10 |",
        "- **One seed**: Each network was trained once",
        "The best was chosen by balanced accuracy on validation images alone.",
        "| labels in doubt | 2 of 80 checked |",
        "| images that could not be used | 2 of 82 |",
        "| who labelled the images, and how well they agree | not known |",
        "| test on data of another source | not known |",
    ):
        assert words in text, words


def test_without_a_notice_it_says_what_it_is_not_for(tmp_path: Path) -> None:
    folder = Folder(tmp_path, Plan(seeds=(0,), groups=True))
    text = made(folder, tmp_path / "model_card.md")
    assert "it is not for medical use" in text
    assert "| independence of the parts | groups are on one side of the split |" in text


def test_nothing_was_evaluated(tmp_path: Path) -> None:
    folder = Folder(tmp_path, Plan(seeds=(0,)))
    for name in ("metrics", "summary", "class_metrics", "predictions"):
        pd.read_parquet(folder.path(f"{name}.parquet")).head(0).to_parquet(
            folder.path(f"{name}.parquet"), index=False
        )
    assert "Nothing was evaluated." in made(folder, tmp_path / "model_card.md")
