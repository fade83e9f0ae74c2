"""The lines that end a run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from darkroom.report.answer import _python
from darkroom.report.report import write_report
from tests.support.report_folder import Folder, Plan


def answer(folder: Folder, place: Path, **cfg: object) -> list[str]:
    arguments = folder.arguments()
    write_report(**arguments | {"answer": str(place), "cfg": arguments["cfg"] | cfg})
    return place.read_text(encoding="utf-8").splitlines()


def test_the_best_in_words_where_the_report_lies_and_what_to_do_next(tmp_path: Path) -> None:
    folder = Folder(tmp_path, Plan(seeds=(0,)))
    recipe = {"sentence": "Recipe scratch (as asked): a network.", "more": "--config budget=good"}
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
    assert " -m darkroom predict " in lines[-2] and lines[-2].startswith("New pictures: ")
    assert lines[-1].endswith("python -m snakemake --cores all --config budget=good")


def test_commands_name_the_interpreter_that_make_put_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv/bin/python"))
    assert _python() == ".venv/bin/python"
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    assert _python() == "python"


def test_without_a_recipe(tmp_path: Path) -> None:
    lines = answer(Folder(tmp_path, Plan(seeds=(0,))), tmp_path / "answer.txt")
    assert not any(line.startswith(("Recipe", "For more")) for line in lines)
