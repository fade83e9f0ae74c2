"""Labels of new pictures: the names of their folders, or a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from darkroom.errors import UserError
from darkroom.predict import labelled, unseen
from darkroom.predict.labelled import Labels

CLASSES = ["cat", "Straße", "dog"]


def files(root: Path, *names: str) -> unseen.Pictures:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return unseen.find(str(root))


def by_folders(found: unseen.Pictures, group: str | None = None) -> Labels:
    labels = labelled.by_folders(found, CLASSES, group)
    assert isinstance(labels, Labels), labels
    return labels


def test_a_folder_called_like_a_class_is_the_label_wherever_it_stands(tmp_path: Path) -> None:
    found = files(
        tmp_path, "a/cat/1.jpg", "a/STRASSE/2.jpg", "b/dog/site/3.jpg", "cat/dog/4.jpg", "5.jpg"
    )
    code = dict(zip(found.paths, by_folders(found).code, strict=True))
    assert code == {
        "a/cat/1.jpg": 0, "a/STRASSE/2.jpg": 1, "b/dog/site/3.jpg": 2, "cat/dog/4.jpg": None,
        "5.jpg": None,
    }  # fmt: skip
    said = labelled.unlabelled(by_folders(found), found.paths)
    assert said.startswith("2 of 5 pictures have no label") and "cat/dog/" in said


def test_one_class_alone_and_groups_by_an_expression(tmp_path: Path) -> None:
    found = files(tmp_path, "dog/p1_1.jpg", "dog/p1_2.jpg", "dog/p2_1.jpg")
    labels = by_folders(found, r"(p\d+)_")
    assert labels.code == [2, 2, 2] and labels.group == ["p1", "p1", "p2"]


def test_classes_that_differ_by_case_alone_are_told_apart(tmp_path: Path) -> None:
    found = files(tmp_path, "A/1.jpg", "a/2.jpg")
    labels = labelled.by_folders(found, ["a", "A"], None)
    assert isinstance(labels, Labels) and labels.code == [1, 0]


def test_beginnings_of_file_names_are_read_as_those_of_a_data_set(tmp_path: Path) -> None:
    names = [f"{kind}.{i}.jpg" for kind in ("cat", "dog") for i in range(20)]
    labels = by_folders(files(tmp_path, *names))
    assert labels.code == [0] * 20 + [2] * 20


def test_other_folders_are_a_sentence_or_nothing(tmp_path: Path) -> None:
    names = [f"{kind}/{i}.jpg" for kind in ("cats", "dogs") for i in range(3)]
    said = labelled.by_folders(files(tmp_path / "x", *names), CLASSES, None)
    assert isinstance(said, str)
    assert said.startswith("not scored:") and "cats, dogs" in said and "cat, Straße, dog" in said
    assert labelled.by_folders(files(tmp_path / "y", "1.jpg", "2.jpg"), CLASSES, None) == ""


def test_a_table_names_the_classes_and_the_groups(tmp_path: Path) -> None:
    found = files(tmp_path / "x", *(f"scan{i}.png" for i in range(6)))
    table = tmp_path / "truth.csv"
    table.write_text(
        "image,diagnosis,patient\n"
        + "".join(f"scan{i}.png,{('cat', 'dog')[i % 2]},P{i // 2}\n" for i in range(5))
    )
    columns = {"path_column": None, "label_column": "diagnosis", "group_column": "patient"}
    labels = labelled.by_table(found, CLASSES, str(table), columns, None)
    assert labels.code == [0, 2, 0, 2, 0, None]
    assert labels.group == ["P0", "P0", "P1", "P1", "P2", None]


@pytest.mark.parametrize(
    ("rows", "columns", "said"),
    [
        ("a.png,bird\nb.png,cat\n", {}, "classes that the model does not know, bird; it knows cat"),
        ("a.png,cat\nb.png,dog\n", {"label_column": "kind"}, "--label-column"),
    ],
)
def test_a_table_that_does_not_fit_is_one_sentence(
    tmp_path: Path, rows: str, columns: dict[str, str | None], said: str
) -> None:
    found = files(tmp_path / "x", "a.png", "b.png")
    (tmp_path / "truth.csv").write_text("image,label\n" + rows)
    with pytest.raises(UserError, match=said) as caught:
        labelled.by_table(found, CLASSES, str(tmp_path / "truth.csv"), columns, None)
    assert str(caught.value).startswith("--labels: ")


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"truth\.csv is not there"):
        labelled.by_table(files(tmp_path, "a.png"), CLASSES, "truth.csv", {}, None)
