"""Which files of a folder count, and their digest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from darkroom.errors import UserError
from darkroom.sources import folders


@pytest.mark.parametrize(
    "path",
    [
        ".DS_Store", "a/_DS_Store", "a/._1.png", "THUMBS.DB", "ehthumbs.db", "desktop.ini",
        "Icon\r", "a/~$table.xlsx", "__MACOSX/a/1.png", "@eaDir/", "a/$RECYCLE.BIN/1.png",
        "System Volume Information/1.png",
    ],
)  # fmt: skip
def test_litter(path: str) -> None:
    assert folders.is_junk(path)


@pytest.mark.parametrize("path", ["a/1.png", "Icon_/", "icon_/1.png", "thumbs/1.png", "_1.png"])
def test_what_is_no_litter(path: str) -> None:
    assert not folders.is_junk(path)


def test_a_walk_leaves_out_what_is_hidden_and_litter(tmp_path: Path) -> None:
    for name in ("cat/1.png", "Icon_/2.png", ".git/x", ".x", "cat/Thumbs.db", "__MACOSX/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    os.mkfifo(tmp_path / "cat" / "pipe")
    assert sorted(p for p, _ in folders.walk(str(tmp_path))) == [
        "Icon_/2.png",
        "cat/1.png",
        "cat/pipe",
    ]
    assert sorted(p for p, _, _ in folders.files(str(tmp_path))) == ["Icon_/2.png", "cat/1.png"]
    digest, rows = folders.survey(str(tmp_path))
    assert rows == [folders.row(str(tmp_path), path) for path, _, _ in rows]
    assert digest == folders.digest(rows) != folders.digest(rows[:1])


def test_a_missing_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"gone cannot be read: there is no such folder \(--forcerun"
    ):
        list(folders.walk(str(tmp_path / "gone")))


def test_a_name_that_is_not_valid_utf8_can_be_printed() -> None:
    assert folders.printable("caf\udce9/猫.png") == "caf\\xe9/猫.png"


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a\x1b[31m.png", "a\\x1b[31m.png"), ("a.png\n", "a.png\\n"), ("a\tb", "a\\tb"),
     ("gpj.\u202epng", "gpj.\\u202epng"), ("\x9b", "\\x9b"), ("قطة.png", "قطة.png")],
)  # fmt: skip
def test_a_name_that_a_terminal_would_obey_is_shown(name: str, shown: str) -> None:
    assert folders.printable(name) == shown


def test_a_link_is_followed_and_folders_that_link_to_each_other_end(tmp_path: Path) -> None:
    root = tmp_path / "source"
    for name in "abcdefghij":
        (root / name / "real").mkdir(parents=True)
        (root / name / "real/1.jpg").write_bytes(b"")
        for other in "abcdefghij":
            (root / name / other).symlink_to(f"../{other}", target_is_directory=True)
    found = [path for path, _ in folders.walk(str(root))]
    assert len(found) == len(set(found)) == 10 + 10 * 9  # ten factorial, were each way a path
    assert {"a/real/1.jpg", "a/b/real/1.jpg", "j/i/real/1.jpg"} <= set(found)
    outside = tmp_path / "elsewhere/cats"
    (outside / "young").mkdir(parents=True)
    (outside / "young/2.jpg").write_bytes(b"")
    (tmp_path / "own").mkdir()
    for name in ("one", "two"):
        (tmp_path / "own" / name).symlink_to(outside, target_is_directory=True)
    found = sorted(path for path, _ in folders.walk(str(tmp_path / "own")))
    assert found == ["one/young/2.jpg", "two/young/2.jpg"]
