"""Which label, split and group each file of a listing gets, and what a person is told."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from darkroom.config import Layout
from darkroom.errors import UserError
from darkroom.layout import Recognised, given_part, recognise


def many(*folders: str, n: int = 4, suffix: str = "jpg") -> list[str]:
    return [f"{f}/{f.rpartition('/')[2]}_{i}.{suffix}" for f in folders for i in range(n)]


def read(
    paths: list[str],
    tables: dict[str, str | bytes] | None = None,
    group: str | None = None,
    **settings: Any,
) -> Recognised:
    tables = tables or {}
    cfg = Layout(**settings).model_dump()
    return recognise(paths + list(tables), cfg, group=group, open_text=tables.__getitem__)


def rows(found: Recognised) -> dict[str, tuple[str | None, str | None]]:
    return {p: (lb, s) for p, lb, s in zip(found.path, found.label, found.split, strict=True)}


def counted(found: Recognised) -> Counter[tuple[str | None, str | None]]:
    return Counter(zip(found.split, found.label, strict=True))


# ---------------------------------------------------------------- folders

CLASS_FOLDERS = {
    "plain": many("cat", "dog"),
    "wrapped": many("Data/cat", "Data/dog"),
    "wrapped twice": many("archive/PetImages/cat", "archive/PetImages/dog"),
    "deeper": many("cat/kittens", "cat/old", "dog/puppies/small"),
    "generic folder inside": many("pets/cat/images", "pets/dog/images"),
    "with companions": [*many("cat", "dog"), "README.md", "cat/notes.txt", "LICENSE", "labels.json"],
    "with junk": [
        *many("cat", "dog"), "__MACOSX/cat/._cat_1.jpg", "cat/.DS_Store", "dog/Thumbs.db",
        ".hidden/1.jpg", "cat/._cat_0.jpg",
    ],
}  # fmt: skip


@pytest.mark.parametrize("paths", CLASS_FOLDERS.values(), ids=CLASS_FOLDERS)
def test_class_folders(paths: list[str]) -> None:
    found = read(paths)
    assert found.labels == ["cat", "dog"]
    assert set(found.split) == {None}
    assert all(f"/{lb}/" in f"/{p}" for p, lb in zip(found.path, found.label, strict=True))
    assert found.path == sorted(found.path)
    assert found.kind == "folders"
    assert "2 class folders" in found.sentence


SPLITS = {
    "cifar10": ("train", "test"),
    "capitals": ("Train", "Valid", "TEST"),
    "wrapped": ("Data/train", "Data/validation", "Data/test"),
    "doubled": ("training_set/training_set", "test_set/test_set"),
    "prefix": ("seg_train/seg_train", "seg_test/seg_test"),
    "years": ("train2017", "val2017"),
    "spelled": ("x/Training Images", "x/testing-images"),
    "data": ("train_data", "dev_data", "eval_test".replace("eval_", "")),
    "hold out": ("train", "hold-out"),
}


@pytest.mark.parametrize("folders", SPLITS.values(), ids=SPLITS)
def test_given_splits_above_class_folders(folders: tuple[str, ...]) -> None:
    found = read(many(*(f"{f}/{c}" for f in folders for c in ("COVID19", "NORMAL"))))
    assert found.labels == ["COVID19", "NORMAL"]
    parts = {"train": "train", "val": "validation", "dev": "validation", "test": "test"}
    parts["hold"] = "test"
    for path, (_, split) in rows(found).items():
        top = path.lower().removeprefix("data/").removeprefix("x/").removeprefix("seg_")
        assert split == next(v for k, v in parts.items() if top.startswith(k)), path
    assert "2 class folders below" in found.sentence
    assert "given split: train 8" in found.sentence


def test_the_sentence_names_what_was_seen() -> None:
    found = read(many("train/a", "train/b", "test/a", "test/b"))
    assert found.sentence.startswith("2 class folders below test/ and train/ (16 files)") or (
        found.sentence.startswith("2 class folders below train/ and test/ (16 files)")
    )


def test_class_folders_above_split_folders() -> None:
    found = read(many("cat/train", "cat/test", "dog/train", "dog/test"))
    assert counted(found) == {
        (s, lb): 4 for s in ("train", "test") for lb in ("cat", "dog")
    }  # fmt: skip
    assert "above test/ and train/" in found.sentence


def test_part_and_class_in_one_name() -> None:
    found = read(many("train_cat", "train_dog", "test_cat", "test_dog"))
    assert counted(found) == {(s, lb): 4 for s in ("train", "test") for lb in ("cat", "dog")}


def test_one_part_alone_is_no_given_split() -> None:
    found = read(many("train/cat", "train/dog"))
    assert set(found.split) == {None}
    assert found.labels == ["cat", "dog"]


def test_a_class_named_train_is_a_class() -> None:
    found = read(many("bus", "car", "train"))
    assert found.labels == ["bus", "car", "train"]
    assert set(found.split) == {None}


def test_classes_that_sound_like_parts_stay_classes() -> None:
    assert read(many("test tube", "beaker", "train station")).labels == [
        "beaker", "test tube", "train station",
    ]  # fmt: skip


def test_unlabelled_test_folder_is_left_out_and_told() -> None:
    paths = many("train/cat", "train/dog") + [f"test1/{i}.jpg" for i in range(9)]
    found = read(paths)
    assert len(found.path) == 8 and found.ignored == 9
    assert set(found.split) == {None}  # one part alone is no given split
    assert "left out: test1/ (9 images, no label)" in found.sentence
    paths = many("seg_train/a", "seg_train/b", "seg_test/a", "seg_test/b")
    found = read(paths + [f"seg_pred/{i}.jpg" for i in range(5)])
    assert len(found.path) == 16 and "seg_pred/ (5 images" in found.sentence


def test_a_nested_copy_beside_the_splits_is_left_out() -> None:
    inner = many(*(f"x/{s}/{c}" for s in ("train", "test", "val") for c in ("N", "P")))
    found = read(inner + [f"x/{p}" for p in inner])
    assert len(found.path) == len(inner)
    assert "left out: x/x/" in found.sentence


def test_a_part_with_one_class_folder() -> None:
    found = read(many("train/cat", "train/dog", "test/cat"))
    assert counted(found)["test", "cat"] == 4


def test_masks_beside_images_are_left_out() -> None:
    found = read(many("R/COVID/images", "R/COVID/masks", "R/Normal/images", "R/Normal/masks"))
    assert found.labels == ["COVID", "Normal"]
    assert len(found.path) == 8 and not any("masks" in p for p in found.path)
    assert "masks/" in found.sentence and found.ignored == 8


def test_tiny_imagenet() -> None:
    paths = many("t/train/n01/images", "t/train/n02/images", suffix="JPEG")
    paths += [f"t/val/images/val_{i}.JPEG" for i in range(6)]
    found = read([*paths, "t/val/val_annotations.txt"])
    assert found.labels == ["n01", "n02"]
    assert "left out: t/val/ (6 images" in found.sentence


def test_flat_folder_by_the_beginnings_of_names() -> None:
    paths = [f"train/{c}.{i}.jpg" for c in ("cat", "dog") for i in range(5)]
    found = read(paths + [f"test1/{i}.jpg" for i in range(7)])
    assert Counter(found.label) == {"cat": 5, "dog": 5}
    assert "beginnings of the file names (cat, dog)" in found.sentence
    found = read([f"{c} ({i}).png" for c in ("COVID-19", "Viral Pneumonia") for i in range(3)])
    assert found.labels == ["COVID-19", "Viral Pneumonia"]
    found = read([f"{s}/yellow_tang_{i}.png" for s in ("train", "test") for i in range(3)]
                 + [f"{s}/Abyssinian_{i}.png" for s in ("train", "test") for i in range(3)])  # fmt: skip
    assert counted(found)["test", "yellow_tang"] == 3


def test_shards_are_no_classes() -> None:
    with pytest.raises(UserError, match="no labels were recognised"):
        read([f"HAM_images_part_{k}/IMG_{k}{i}.jpg" for k in range(3) for i in range(4)])
    assert read(many("digits/0", "digits/1", "digits/2")).labels == ["0", "1", "2"]
    assert read(many("cat_images", "dog_images")).labels == ["cat_images", "dog_images"]


def test_asked_for_folders_are_taken_at_their_word() -> None:
    paths = [f"{f}/{i}.jpg" for f in ("photos", "pictures") for i in range(4)]
    with pytest.raises(UserError, match="no labels were recognised"):
        read(paths)
    assert read(paths, kind="folders").labels == ["photos", "pictures"]


def test_files_beside_the_class_folders_have_no_label() -> None:
    found = read([*many("cat", "dog"), "stray.jpg"])
    assert rows(found)["stray.jpg"] == (None, None)
    found = read(
        [*many("d/train/a", "d/train/b", "d/test/a", "d/test/b"), "d/train/x.png", "y.png"]
    )
    assert rows(found)["d/train/x.png"][0] is None and rows(found)["y.png"][0] is None


def test_unknown_files_inside_class_folders_are_rows_and_outside_not() -> None:
    found = read([*many("train/cat", "train/dog", "test/cat", "test/dog"),
                  "train/cat/cat_9.dat", "test/dog/nosuffix", "strange.dat"])  # fmt: skip
    assert rows(found)["train/cat/cat_9.dat"] == ("cat", "train")
    assert rows(found)["test/dog/nosuffix"] == ("dog", "test")
    assert "strange.dat" not in found.path and found.ignored == 1


def test_names_without_suffixes() -> None:
    found = read([f"{c}/{i}" for c in ("a", "b") for i in range(3)])
    assert found.labels == ["a", "b"] and len(found.path) == 6


def test_root_and_ignore() -> None:
    paths = many("one/cat", "one/dog", "two/bird", "two/fish")
    found = read(paths, root="two/")
    assert found.labels == ["bird", "fish"]
    assert "8 files outside two/ left out" in found.sentence
    with pytest.raises(UserError, match=r"layout\.root is 'tow': no such folder"):
        read(paths, root="tow")
    found = read(many("cat", "dog", "masks"), ignore=["masks"])
    assert found.labels == ["cat", "dog"] and "4 files left out by layout.ignore" in found.sentence
    found = read(many("cat/a", "cat/masks", "dog/a", "masks"), ignore=["*/masks/*", "*.gif"])
    assert len(found.path) == 8
    assert "the pattern '*.gif' of layout.ignore matches nothing" in found.sentence


# ---------------------------------------------------------------- what cannot be read


def test_a_single_class_is_a_sentence() -> None:
    for paths in (many("x/cat"), many("train/cat", "test/cat")):
        with pytest.raises(UserError, match=r"only one class folder was found.*at least two"):
            read(paths)


def test_nothing_recognised_shows_what_was_seen_and_what_to_set() -> None:
    with pytest.raises(UserError) as error:
        read([f"IMG_{i}.jpg" for i in range(10)])
    said = str(error.value)
    assert "10 image files" in said and "IMG_0.jpg" in said and "10 at depth 0" in said
    assert "layout.table" in said and "layout.label" in said
    with pytest.raises(
        UserError, match=r"no image files were found \(seen: 0 image files, 1 other"
    ):
        read(["notes.txt"])


# ---------------------------------------------------------------- tables

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
    }  # fmt: skip


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
    assert ("images/000.png", "duplicate path: in labels.csv, row 2 and labels.csv, row 13") in told
    clash = [t for p, t in told if p == "images/001.png"]
    assert len(clash) == 1 and clash[0].endswith("with the labels 'b' and 'a'")
    by_path = list(zip(found.path, found.trouble, strict=True))
    assert next(t for p, t in by_path if p == "images/000.png") == ""  # the first stays
    assert all(t for p, t in by_path if p == "images/001.png")  # a label in doubt: neither


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
    with pytest.raises(UserError, match=r"no column of m.csv .* is the label"):
        read(IMAGES, {"m.csv": table("filename,w,h", "{i:03d}.png,{i},{g}")}, table="m.csv")
    with pytest.raises(UserError, match=r"names the image files; set layout.path_column"):
        read(IMAGES, {"m.csv": "u,v,label\n1,2,a\n3,4,b\n"}, table="m.csv")
    with pytest.raises(UserError, match="contradicts"):
        read(IMAGES, good, label="(.)", table="labels.csv")
    with pytest.raises(UserError, match="needs kind table"):
        read(IMAGES, good, kind="folders", label_column="label")
    with pytest.raises(UserError, match="set one"):
        read(IMAGES, good, group="(.)", group_column="label")


def test_a_table_of_something_else_is_passed_over() -> None:
    found = read(many("cat", "dog"), {"sizes.csv": "name,width\nx,1\ny,2\n", "broken.csv": "a"})
    assert found.kind == "folders" and found.labels == ["cat", "dog"]


# ---------------------------------------------------------------- expressions


def test_pattern() -> None:
    paths = [f"p{i:02d}_{'normal' if i % 2 else 'covid'}_{'tr' if i < 6 else 'te'}.png"
             for i in range(10)]  # fmt: skip
    found = read(paths, label="_(normal|covid)_", group=r"^(p\d)")
    assert found.kind == "pattern" and found.labels == ["covid", "normal"]
    assert set(found.group) == {"p0"}
    with pytest.raises(UserError, match=r"layout\.split: the expression .* finds 'tr'"):
        read(paths, label="_(normal|covid)_", split="_(tr|te)")
    named = [p.replace("tr.", "train.").replace("te.", "test.") for p in paths]
    found = read(named, label="_(normal|covid)_", split=r"_(train|test)\.")
    assert Counter(found.split) == {"train": 6, "test": 4}
    found = read([*paths, "other.png"], label="_(normal|covid)_")
    assert rows(found)["other.png"] == (None, None)


def test_split_expression_on_class_folders() -> None:
    paths = [f"{c}/{s}-{i}.png" for c in "ab" for s in ("train", "test") for i in range(3)]
    assert Counter(read(paths, split=r"/(train|test)-").split) == {"train": 6, "test": 6}
    with pytest.raises(UserError, match=r"layout\.split: .* matches no path"):
        read(paths, split="(zzz)")


def test_expressions_that_match_nothing() -> None:
    with pytest.raises(UserError, match=r"layout\.label: the expression .* matches no path"):
        read(many("cat", "dog"), label="(zebra)")
    with pytest.raises(UserError, match=r"group: the expression .* matches no path, for example"):
        read(many("cat", "dog"), group="(zebra)")
    with pytest.raises(UserError, match=r"set layout\.label"):
        read(many("cat", "dog"), kind="pattern")
    with pytest.raises(UserError, match="only one label was found, 'cat'"):
        read(many("cat", "dog"), label="(cat)")


# ---------------------------------------------------------------- names, speed


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("TRAIN", "train"), ("Training_Set", "train"), ("train-images", "train"), ("val", "validation"),
        ("Validation Data", "validation"), ("dev", "validation"), ("test2", "test"), ("testset", "test"),
        ("PrivateTest", "test"), ("held_out", "test"), ("contest", None), ("latest", None),
        ("training shoes", None), ("value", None), ("train_test", None),
    ],
)  # fmt: skip
def test_names_of_parts(name: str, part: str | None) -> None:
    assert given_part(name) == part


def test_sixty_thousand_paths_take_less_than_a_second() -> None:
    paths = [
        f"{s}/c{c}/{i:05d}.jpg" for s in ("train", "test") for c in range(10) for i in range(3000)
    ]
    text = "path,label\n" + "".join(f"{p},{p.split('/')[1]}\n" for p in paths)
    start = time.process_time()
    found = read(paths)
    assert time.process_time() - start < 1
    assert len(found.path) == 60_000
    start = time.process_time()
    assert len(read(paths, {"all.csv": text}, kind="table").path) == 60_000
    assert time.process_time() - start < 2
