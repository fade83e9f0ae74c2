"""The lines that end a run."""

from __future__ import annotations

from pathlib import Path

from tests.support.report_folder import Folder, Plan
from tests.support.report_page import write


def answer(folder: Folder, place: Path, **cfg: object) -> list[str]:
    write(folder, answer=str(place), cfg=folder.arguments()["cfg"] | cfg)
    return place.read_text(encoding="utf-8").splitlines()


def test_the_best_in_words_where_the_report_lies_and_what_to_do_next(tmp_path: Path) -> None:
    folder = Folder(tmp_path, Plan(seeds=(0,)))
    recipe = {"sentence": "Recipe scratch (as asked): a network.", "more": "snakemake more"}
    lines = answer(folder, tmp_path / "answer.txt", recipe=recipe)
    import pandas

    from darkroom.evaluate.ranking import choose

    summary = pandas.read_parquet(folder.path("summary.parquet"))
    choice = choose(summary)
    assert choice is not None
    model, classifier = choice.key
    row = summary[
        (summary["model"] == model) & (summary["classifier"] == classifier)
        & (summary["part"] == "test")
    ].iloc[0]  # fmt: skip
    right, low, high = (
        f"{100 * row[key]:.0f}" for key in ("accuracy", "accuracy_low", "accuracy_high")
    )
    assert f"is right on about {right} of 100 new pictures, between {low} and {high}." in lines[0]
    assert lines[1] == recipe["sentence"]
    assert lines[-3] == f"Report: {folder.path('report.html')}"
    assert lines[-2].startswith("New pictures: python -m darkroom predict ")
    assert lines[-1] == "For more: snakemake more"


def test_with_folds_the_answer_is_what_each_fold_chose(tmp_path: Path) -> None:
    (first, *_) = answer(Folder(tmp_path, Plan(seeds=(0,), folds=2)), tmp_path / "answer.txt")
    assert "what each fold's validation images choose (over all folds " in first


def test_without_a_recipe(tmp_path: Path) -> None:
    lines = answer(Folder(tmp_path, Plan(seeds=(0,))), tmp_path / "answer.txt")
    assert not any(line.startswith(("Recipe", "For more")) for line in lines)
