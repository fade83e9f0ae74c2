"""The best by the validation rows."""

from __future__ import annotations

import math

import pandas as pd

from darkroom.evaluate.ranking import Choice, best_runs, choose


def summary(*rows: tuple[str, str, str, float, float]) -> pd.DataFrame:
    columns = ["model", "classifier", "part", "balanced_accuracy", "log_loss"]
    return pd.DataFrame(list(rows), columns=columns)


def test_the_validation_rows_choose_and_never_the_test() -> None:
    table = summary(
        ("cnn", "head", "validation", 0.90, 0.3),
        ("cnn", "head", "test", 0.99, 0.1),
        ("cnn", "svm", "validation", 0.95, 0.4),
        ("cnn", "svm", "test", 0.80, 0.9),
        ("cnn", "knn", "validation", 0.95, 0.2),
        ("cnn", "knn", "test", 0.70, 0.9),
    )
    choice = choose(table)
    assert choice is not None
    assert choice.ranking == [("cnn", "knn"), ("cnn", "svm"), ("cnn", "head")]
    assert choice.by == "validation"


def test_without_validation_rows_nothing_is_chosen() -> None:
    table = summary(("cnn", "head", "test", 0.5, 0.3), ("cnn", "svm", "test", 0.9, 0.4))
    choice = choose(table)
    assert choice == Choice(("cnn", "head"), [("cnn", "head"), ("cnn", "svm")], "first")


def test_one_or_none_to_choose_from() -> None:
    one = choose(summary(("a", "svm", "test", 0.5, 0.3)))
    assert one is not None
    assert one.by == "only"
    assert choose(summary()) is None


def test_a_score_that_is_missing_comes_last() -> None:
    table = summary(
        ("a", "svm", "validation", math.nan, math.nan), ("b", "svm", "validation", 0.2, math.nan)
    )
    choice = choose(table)
    assert choice is not None
    assert choice.key == ("b", "svm")


def test_scores_that_differ_by_rounding_alone_are_equal() -> None:
    """0.1 + 0.2 + 0.3 depends on the order: the log loss decides, not the last bit."""
    table = summary(
        ("a", "svm", "validation", (0.1 + 0.2) + 0.3, 0.4),
        ("b", "svm", "validation", 0.1 + (0.2 + 0.3), 0.2),
    )
    assert len(set(table["balanced_accuracy"])) == 2
    choice = choose(table)
    assert choice is not None and choice.key == ("b", "svm")


def test_of_the_runs_of_a_classifier_the_best_by_validation() -> None:
    columns = ["model", "classifier", "fold", "part", "balanced_accuracy", "log_loss"]
    rows = [
        ("cnn", "svm", "fold-1", "validation", 0.8, 0.3),
        ("cnn", "svm", "fold-1", "test", 1.0, 0.1),
        ("cnn", "svm", "fold-2", "validation", 0.9, 0.5),
        ("cnn", "svm", "fold-3", "validation", 0.9, 0.4),
        ("cnn", "head", "fold-1", "validation", 1.0, 0.1),
        ("hog", "svm", "fold-1", "test", 0.2, 0.9),
    ]
    table = pd.DataFrame(rows, columns=columns)

    def folds(*key: str, of: str | None = None) -> list[str]:
        return [run["fold"] for run in best_runs(table, (key[0], key[1]), of)]

    assert folds("cnn", "svm") == ["fold-3", "fold-2", "fold-1"]
    assert folds("cnn", "svm", of="fold-1") == ["fold-1"]
    assert folds("hog", "svm") == ["fold-1"]
    assert folds("hog", "svm", of="fold-2") == []
