from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from darkroom.errors import UserError
from darkroom.features import predictions

NAMES: dict[str, Any] = {
    "dataset": "d",
    "run": predictions.Run("cnn", 0, "fold-1", "cnn-seed0", "svm"),
    "classes": ["cat", "dog", "a:b"],
}


def write(path: Path, **changes: Any) -> None:
    values: dict[str, Any] = {
        "row": [7, 3],
        "part": ["test", "validation"],
        "truth": [0, 2],
        "probabilities": [[0.2, 0.2, 0.1], [0.1, 0.8, 0.1]],
        **NAMES,
    }
    values |= changes
    arrays = [values.pop(name) for name in ("row", "part", "truth", "probabilities")]
    predictions.write_predictions(str(path), *arrays, **values)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "predictions.parquet"
    write(path, notes=["a sample of 10"], seconds={"fit": np.float32(2)})
    table, meta = predictions.read_predictions(str(path))
    assert list(table.columns) == [
        "row",
        "part",
        "class",
        "most_probable",
        "p:cat",
        "p:dog",
        "p:a:b",
    ]
    assert meta == {**NAMES, "notes": ["a sample of 10"], "seconds": {"fit": 2.0}}
    assert table["row"].tolist() == [7, 3] and table["row"].dtype == np.int64
    assert table["part"].tolist() == ["test", "validation"]
    assert table["class"].tolist() == [0, 2] and table["class"].dtype == np.int16
    assert table["most_probable"].tolist() == [0, 1]
    assert table["most_probable"].dtype == np.int16
    p = predictions.probabilities(table, meta["classes"])
    assert p.dtype == np.float32
    assert p == pytest.approx(np.array([[0.4, 0.4, 0.2], [0.1, 0.8, 0.1]]))
    assert [f.name for f in path.parent.iterdir()] == ["predictions.parquet"]


def test_no_rows_at_all(tmp_path: Path) -> None:
    write(tmp_path / "p.parquet", row=[], part=[], truth=[], probabilities=np.zeros((0, 3)))
    table, meta = predictions.read_predictions(str(tmp_path / "p.parquet"))
    assert len(table) == 0 and meta["seconds"] == {}


def test_diverged_training_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"d/fold-1/cnn-seed0/svm: 1 of 2 .* learning_rate"):
        write(tmp_path / "p.parquet", probabilities=[[0.5, 0.5, 0], [np.nan, 0, 1]])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"probabilities": [[0.5, 0.5], [0.5, 0.5]]},
        {"part": ["test", "train"]},
        {"truth": [0, 3]},
        {"probabilities": [[-0.1, 0.6, 0.5], [0, 0, 1]]},
        {"probabilities": [[0, 0, 0], [0, 0, 1]]},
    ],
)
def test_arrays_that_disagree(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"part|truth|classes|probabilities"):
        write(tmp_path / "p.parquet", **changes)


def test_two_classes_are_told_apart_by_the_threshold() -> None:
    p = [[0.6, 0.4], [0.5, 0.5], [0.3, 0.7]]
    assert predictions.decide(p, 0.5).tolist() == [0, 1, 1]
    assert predictions.decide(p, 0.4).tolist() == [1, 1, 1]
    assert predictions.decide(p, 0.7).tolist() == [0, 0, 1]  # 0.7 as it is stored
    assert predictions.decide(p, 0.71).dtype == np.int16


def test_more_classes_have_no_threshold() -> None:
    p = [[0.2, 0.4, 0.4], [0.5, 0.3, 0.2]]
    assert predictions.decide(p, 0.5).tolist() == [1, 0]
    with pytest.raises(ValueError, match="3 classes"):
        predictions.decide(p, 0.4)


def test_a_run_is_named_by_what_made_its_features() -> None:
    made = {"kind": "network", "model": "a-seed1-b", "seed": 3}
    run = predictions.Run.on("a-seed1-b-seed3", made, fold="holdout", classifier="svm")
    assert run == ("a-seed1-b", 3, "holdout", "a-seed1-b-seed3", "svm")
    run = predictions.Run.on("hog", {"kind": "hog"}, fold="fold-2", classifier="knn")
    assert run == ("hog", None, "fold-2", "hog", "knn")


def test_a_file_of_an_older_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    write(path)
    pq.write_table(pq.read_table(path).replace_schema_metadata({"darkroom": "{}"}), path)
    with pytest.raises(UserError, match=r"p\.parquet does not name its model: delete it"):
        predictions.read_predictions(str(path))
