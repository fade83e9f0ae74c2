"""Which label, split and group a CSV gives each file of a listing, and what a person is told."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from darkroom.errors import UserError
from tests.support.listings import counted, many, read, rows

IMAGES = [f"images/{i:03d}.png" for i in range(10)]


def table(
    head: str, line: str = "{i:03d}.png,{c}", n: int = 10, sep: str = ",", rows: str = ""
) -> str:
    lines = [line.format(i=i, c="ab"[i % 2], s=["train", "val", "test"][i % 3], g=i // 2, x=1 - i % 2, y=i % 2)
             for i in range(n)]  # fmt: skip
    return "\n".join([head, *lines]).replace(",", sep) + rows


TABLES: dict[str, str | bytes] = {
    "name": table("filename,label"),
    "id without suffix": table("id,Class", "{i:03d},{c}"),
    "path below the root": table("Image Path,category", "images/{i:03d}.png,{c}"),
    "backslashes": table("path,target", ".\\images\\{i:03d}.png,{c}"),
    "someone's own disk": table("file,species", "C:/Users/me/data/images/{i:03d}.png,{c}"),
    "other folder": table("file,species", "/home/me/photos/{i:03d}.png,{c}"),
    "semicolons": table("image;label", sep=";"),
    "tabs": table("image\tlabel", sep="\t"),
    "byte order mark": b"\xef\xbb\xbf" + table("filename,label").encode(),
    "utf-16": table("filename,label").encode("utf-16"),
    "latin-1": table("filename,label,remark", "{i:03d}.png,{c},h\u00e9").encode("cp1252"),
    "sep line": "sep=;\n" + table("filename;label", sep=";"),
    "windows lines": table("filename,label").replace("\n", "\r\n"),
    "no header": table("", "{i:03d}.png,{c}").lstrip("\n"),
    "capitals": table("filename,label", "{i:03d}.PNG,{c}"),
    "odd names": table("who,plant label", "{i:03d}.png,{c}"),
    "one column per label": table("image,a,b", "{i:03d}.png,{x},{y}"),
}  # fmt: skip


@pytest.mark.parametrize("text", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("kind", ["auto", "table"])
def test_tables(text: str | bytes, kind: str) -> None:
    found = read(IMAGES, {"labels.csv": text}, kind=kind)
    assert found.kind == "table"
    assert rows(found) == {p: ("ab"[i % 2], None) for i, p in enumerate(IMAGES)}
    assert not any(found.trouble)
    assert "2 labels from labels.csv" in found.sentence


def test_table_with_split_and_group() -> None:
    text = table("filename,label,set,patient id", "{i:03d}.png,{c},{s},p{g}")
    found = read(IMAGES, {"meta/labels.csv": text})
    assert found.split == [["train", "validation", "test"][i % 3] for i in range(10)]
    assert found.group == [f"p{i // 2}" for i in range(10)]
    assert "5 groups" in found.sentence and "groups in 'patient id'" in found.sentence
    found = read(
        IMAGES, {"meta/labels.csv": text}, group_column="label", label_column="set",
        path_column="filename", split_column="set",
    )  # fmt: skip
    assert found.labels == ["test", "train", "val"] and set(found.group) == {"a", "b"}


def test_a_column_that_is_no_split_is_not_taken_for_one() -> None:
    text = table("filename,label,fold", "{i:03d}.png,{c},{g}")
    assert set(read(IMAGES, {"l.csv": text}).split) == {None}
    with pytest.raises(
        UserError, match="'0' in column 'fold' is none of train, validation and test"
    ):
        read(IMAGES, {"l.csv": text}, split_column="fold")


def json_lines(paths: list[str], **more: Any) -> str:
    return "\n".join(
        json.dumps({"file_name": p, "label": "ab"[i % 2], **more}) for i, p in enumerate(paths)
    )


def test_json_lines_are_tables() -> None:
    images = {s: [f"{s}/{i}.png" for i in range(6)] for s in ("train", "test")}
    tables: dict[str, str | bytes] = {
        f"{s}/metadata.jsonl": json_lines([f"{i}.png" for i in range(6)], boxes=[[1, 2]], note=None)
        for s in images
    }
    found = read(images["train"] + images["test"], tables)
    assert counted(found) == {(s, c): 3 for s in images for c in "ab"}
    damaged = tables["train/metadata.jsonl"]
    assert isinstance(damaged, str)
    with pytest.raises(UserError, match=r"m\.jsonl, line 6: not a JSON object"):
        read(images["train"], {"m.jsonl": damaged[:-1]}, table="m.jsonl")


def test_pair_of_tables() -> None:
    images = [f"{s}/{i}.jpg" for s in ("train", "test") for i in range(6)]
    pair = {f"{s}.csv": "id,label\n" + "".join(f"{i},{'xy'[i % 2]}\n" for i in range(6))
            for s in ("train", "test")}  # fmt: skip
    found = read(images, pair)
    assert counted(found) == {(s, lb): 3 for s in ("train", "test") for lb in "xy"}
    # A competition: its test.csv has no labels, and sample_submission.csv only seems to.
    found = read(images, {"train.csv": pair["train.csv"], "test.csv": "id\n0\n1\n2\n",
                          "sample_submission.csv": "id,label\n0,x\n1,x\n"})  # fmt: skip
    assert len(found.path) == 6 and set(found.split) == {None}
    assert "left out: test/ (6 images, not in the table)" in found.sentence


def test_gtsrb() -> None:
    train = [f"Train/{c}/{c}_{i}.png" for c in range(3) for i in range(6)]
    test = [f"Test/{i:05d}.png" for i in range(9)]
    meta = [f"Meta/{c}.png" for c in range(3)]
    tables = {
        "Train.csv": "Width,Height,ClassId,Path\n"
        + "".join(f"30,30,{p.split('/')[1]},{p}\n" for p in train),
        "Test.csv": "Width,Height,ClassId,Path\n"
        + "".join(f"30,30,{i % 3},{p}\n" for i, p in enumerate(test)),
        "Meta.csv": "Path,ClassId\n" + "".join(f"{p},{i}\n" for i, p in enumerate(meta)),
    }
    found = read(train + test + meta, tables)
    assert counted(found) == {
        **{("train", str(c)): 6 for c in range(3)}, **{("test", str(c)): 3 for c in range(3)},
        (None, None): 3,
    }  # fmt: skip
    assert found.warnings == ["3 images are not named in Test.csv and Train.csv, and have no label"]


def test_table_wins_over_shards_and_folders_win_over_numbers() -> None:
    images = [f"part_{1 + i // 5}/{i:03d}.png" for i in range(10)]
    found = read(images, {"metadata.csv": table("image_id,dx,lesion_id", "{i:03d},{c},L{g}")})
    assert found.labels == ["a", "b"] and len(set(found.group)) == 5
    named = [f"{'cat' if i % 2 else 'dog'}/{i:03d}.png" for i in range(10)]
    numbers = "".join(f"{p},{i % 2}\n" for i, p in enumerate(named))
    found = read(named, {"meta.csv": "filepath,class id\n" + numbers})
    assert found.kind == "folders" and found.labels == ["cat", "dog"]


def test_missing_and_repeated_rows_are_told() -> None:
    text = table("filename,label", rows="\n555.png,a\n000.png,a\n001.png,a\n")
    found = read(IMAGES, {"labels.csv": text})
    told = {(p, t) for p, t in zip(found.path, found.trouble, strict=True) if t}
    assert ("555.png", "missing: named in labels.csv, row 12, and not there") in told
    assert "1 rows repeat a file with its label, and count once" in found.sentence
    clash = [t for p, t in told if p == "images/001.png"]
    assert len(clash) == 1 and clash[0].endswith("with the labels 'b' and 'a'")
    by_path = list(zip(found.path, found.trouble, strict=True))
    assert next(t for p, t in by_path if p == "images/000.png") == ""  # the first stays
    assert all(t for p, t in by_path if p == "images/001.png")  # a label in doubt: neither


def split_lists(**parts: range) -> dict[str, str | bytes]:
    paths = [f"i/{'ab'[i % 2]}/{i:03d}.jpg" for i in range(20)]
    return {
        f"lists/{name}.txt": "\n".join(f"{paths[i][2:]} {i % 2}" for i in places)
        for name, places in parts.items()
    }


def test_lists_of_files_give_the_split() -> None:
    paths = [f"i/{'ab'[i % 2]}/{i:03d}.jpg" for i in range(20)]
    lists = split_lists(train=range(10), val=range(10, 14), trainval=range(14), test=range(14, 20))
    found = read(paths, lists)
    split = dict(zip(found.path, found.split, strict=True))
    assert [split[p] for p in paths] == ["train"] * 10 + ["validation"] * 4 + ["test"] * 6
    assert "splits from lists/test.txt, lists/train.txt and lists/val.txt" in found.sentence
    found = read(paths, split_lists(train1=range(10), test1=range(10, 20), train2=range(5, 15)))
    assert Counter(found.split) == {"train": 10, "test": 10}


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"train": range(12), "test": range(10, 20)}, "name files twice, in several parts"),
        ({"train": range(6), "test": range(6, 12)}, "name 12 of the 20 images"),
        ({"train": range(20)}, ""),
    ],
)
def test_lists_that_are_no_split_are_told(parts: dict[str, range], said: str) -> None:
    paths = [f"i/{'ab'[i % 2]}/{i:03d}.jpg" for i in range(20)]
    found = read(paths, split_lists(**parts))
    assert set(found.split) == {None} and said in found.sentence
    assert ("not used as a split" in found.sentence) == bool(said)


def test_a_named_folder_is_never_another_one() -> None:
    images = [f"train/{i}.jpg" for i in range(8)]
    text = "path,label\n" + "".join(f"train/{i}.jpg,{'xy'[i % 2]}\n" for i in range(8))
    found = read(images, {"l.csv": text + "test/1.jpg,x\n"})
    assert [t[:7] for p, t in zip(found.path, found.trouble, strict=True) if p == "test/1.jpg"] == [
        "missing"
    ]


def test_several_files_of_one_name() -> None:
    images = [f"{c}/{i}.jpg" for c in ("x", "y") for i in range(4)]
    text = "file,label\n" + "".join(f"{i}.jpg,{c}\n" for c in ("x", "y") for i in range(4))
    found = read(images, {"l.csv": text}, kind="table")
    assert rows(found)["y/2.jpg"][0] == "y" and not any(found.trouble)
    found = read(images, {"l.csv": text.replace(",x", ",m").replace(",y", ",n") + "3.jpg,n"},
                 kind="auto")  # fmt: skip
    assert found.kind == "folders"


def test_image_without_a_row_among_named_ones_has_no_label() -> None:
    found = read(IMAGES, {"l.csv": table("filename,label", n=9)})
    assert rows(found)["images/009.png"] == (None, None)


def test_splits_from_the_folders_of_a_tables_files() -> None:
    images = [f"{s}/{s}{i}.jpg" for s in ("train", "test") for i in range(6)]
    text = "path,label\n" + "".join(f"{p},{'xy'[i % 2]}\n" for i, p in enumerate(images))
    found = read(images, {"all.csv": text})
    assert Counter(found.split) == {"train": 6, "test": 6}
    assert "splits from the folders' names" in found.sentence


def test_settings_of_tables_that_do_not_fit() -> None:
    good = {"labels.csv": table("filename,label")}
    with pytest.raises(UserError, match=r"'lables\.csv': no such file; did you mean 'labels\.csv'"):
        read(IMAGES, good, table="lables.csv")
    with pytest.raises(UserError, match="no such column; did you mean 'label'"):
        read(IMAGES, good, label_column="lable")
    with pytest.raises(UserError, match="no CSV was found"):
        read(IMAGES, kind="table")
    with pytest.raises(UserError, match="only 0 of the 10 files"):
        read([f"other/z{i}.png" for i in range(9)], good, kind="table")
    with pytest.raises(UserError, match=r"no column of m.csv .* is recognised as the label"):
        read(IMAGES, {"m.csv": table("filename,w,h", "{i:03d}.png,{i},{g}")}, table="m.csv")
    with pytest.raises(
        UserError, match=r"names the image files, such as images/000.png .*; set layout.path_column"
    ):
        read(IMAGES, {"m.csv": "u,v,label\n1,2,a\n3,4,b\n"}, table="m.csv")
    with pytest.raises(UserError, match="contradicts"):
        read(IMAGES, good, label="(.)", table="labels.csv")
    for other in ({"table": "labels.csv"}, {"kind": "table"}, {"label": "(.)"}):
        with pytest.raises(UserError, match="class_level is for class folders and contradicts"):
            read(IMAGES, good, class_level="inner", **other)
    with pytest.raises(UserError, match="needs kind table"):
        read(IMAGES, good, kind="folders", label_column="label")
    with pytest.raises(UserError, match="set one"):
        read(IMAGES, good, group="(.)", group_column="label")


def test_a_table_of_something_else_is_passed_over() -> None:
    found = read(many("cat", "dog"), {"sizes.csv": "name,width\nx,1\ny,2\n", "broken.csv": "a"})
    assert found.kind == "folders" and found.labels == ["cat", "dog"]


QUOTED = [f"images/{i:03d}.png" for i in range(400)]


@pytest.mark.parametrize("settings", [{}, {"kind": "table"}, {"table": "l.csv"}])
@pytest.mark.parametrize("remark", ["", "x" * 2000], ids=["small", "over 128 KiB"])
@pytest.mark.parametrize("line", [5, 320, 398])
@pytest.mark.parametrize("closed", [False, True])
def test_an_unmatched_quote_is_told(
    settings: dict[str, str], remark: str, line: int, closed: bool
) -> None:
    lines = table("filename,label,remark", "{i:03d}.png,{c}," + remark, n=400).split("\n")
    lines[line - 1] = lines[line - 1].replace("png,", 'png,"')
    if closed:
        lines += [f"{i:03d}.png,a," for i in range(20)] + ['000.png,a,"a remark"', "001.png,b,"]
    told = rf'l\.csv has an unmatched quote \("\) about line {line}, .*close the quote or remove it'
    with pytest.raises(UserError, match=told):
        read(QUOTED, {"l.csv": "\n".join(lines)}, **settings)


def test_an_unmatched_quote_in_the_first_row_is_told_where_a_table_is_asked_for() -> None:
    text = {"l.csv": table("filename,label", '"{i:03d}.png,{c}', n=1) + table("", n=9)}
    with pytest.raises(UserError, match=r"unmatched quote .* about line 2,"):
        read(IMAGES, text, kind="table")
    assert read(many("cat", "dog"), text).kind == "folders"


@pytest.mark.parametrize(
    "remark", ["Brown, round\n" * 30, "One, two, three\n\nfour" * 9, "x" * 200_000]
)
def test_long_fields_of_a_table_are_read(remark: str) -> None:
    text = table("filename,label,remark", "{i:03d}.png,{c},", n=400) + f'"{remark}"'
    assert not any(read(QUOTED, {"l.csv": text}).trouble)


@pytest.mark.parametrize("settings", [{"kind": "table"}, {"path_column": "file"}])
def test_a_path_column_that_is_set_matches_as_loosely_as_a_guessed_one(
    settings: dict[str, str],
) -> None:
    text = table("file,species", "C:/me/{i:03d}.png,{c}")
    found = read(IMAGES, {"l.csv": text}, **settings)
    assert found.path == IMAGES and not any(found.trouble)


@pytest.mark.parametrize("own", ["test", "train"])
def test_each_table_of_a_pair_matches_loosely_or_not_by_itself(own: str) -> None:
    images = {s: [f"{s}/{s}{i}.jpg" for i in range(6)] for s in ("test", "train")}
    pair = {
        f"{s}.csv": "path,label\n" + "".join(
            f"{p.replace(s + '/', 'C:/me/') if s == own else p},{'xy'[i % 2]}\n"
            for i, p in enumerate(paths)
        )
        for s, paths in images.items()
    }  # fmt: skip
    other = "test" if own == "train" else "train"
    pair[f"{other}.csv"] += f"elsewhere/{other}1.jpg,x\n"  # a named folder is never another one
    found = read(images["test"] + images["train"], pair)
    told = [p for p, t in zip(found.path, found.trouble, strict=True) if t]
    assert told == [f"elsewhere/{other}1.jpg"]


def test_a_file_without_a_suffix_is_not_ambiguous_with_itself() -> None:
    images = [f"x/AB{i}" for i in range(6)]
    text = "file,label\n" + "".join(f"ab{i},{'xy'[i % 2]}\n" for i in range(6))
    found = read(images, {"l.csv": text}, kind="table")
    assert found.path == images and not any(found.trouble)


def test_a_table_of_sixty_thousand_paths() -> None:
    paths = [
        f"{s}/c{c}/{i:05d}.jpg" for s in ("train", "test") for c in range(10) for i in range(3000)
    ]
    text = "path,label\n" + "".join(f"{p},{p.split('/')[1]}\n" for p in paths)
    found = read(paths, {"all.csv": text}, kind="table")
    assert found.path == sorted(paths)
    assert found.label == [p.split("/")[1] for p in found.path]
