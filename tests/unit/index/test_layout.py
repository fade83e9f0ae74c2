"""Which label, split and group each file of a listing gets, and what a person is told."""

from __future__ import annotations

from collections import Counter

import pytest

from darkroom.errors import UserError
from darkroom.index.listing import given_part
from tests.support.listings import counted, many, read, rows

# ---------------------------------------------------------------- folders

CLASS_FOLDERS = {
    "plain": many("cat", "dog"),
    "wrapped": many("Data/cat", "Data/dog"),
    "wrapped twice": many("archive/PetImages/cat", "archive/PetImages/dog"),
    "deeper": many("cat/kittens", "cat/old", "dog/puppies/small"),
    "generic folder inside": many("pets/cat/images", "pets/dog/images"),
    "with companions": [*many("cat", "dog"), "README.md", "cat/notes.txt", "LICENSE", "labels.json"],
    "with junk": [
        *many("cat", "dog"), "__MACOSX/cat/._cat_1.jpg", "cat/.DS_Store", "dog/_DS_Store", "dog/Thumbs.db",
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


def test_masks_that_lie_beside_their_pictures_are_left_out() -> None:
    pictures = [f"D/{c}/{c} ({i}).png" for c in ("benign", "malignant") for i in range(4)]
    masks = [p.replace(".png", s) for p in pictures for s in ("_mask.png", "_mask_1.png")]
    found = read(pictures + masks)
    assert sorted(found.path) == sorted(pictures) and found.ignored == 16
    assert "16 images that are by their names masks" in found.sentence
    assert len(read(pictures + masks, kind="folders").path) == 24
    worn = [p.replace(".png", "_mask.png") for p in pictures[:4]]  # no picture of that name
    assert len(read(worn + pictures[4:]).path) == 8


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
    for file, advice in (("a.zip", "unpack the archives"), ("a.mat", "write these as one of them")):
        with pytest.raises(UserError, match=advice):
            read([file])


# ---------------------------------------------------------------- expressions


@pytest.mark.parametrize("name", ["{i:03d}_{c}.jpg", "{c}_{i:03d}_left.jpg", "x/KA.{c}{i}.39.jpg"])
def test_an_expression_is_suggested_that_gives_the_labels(name: str) -> None:
    paths = [name.format(c=c, i=i) for c in ("cat", "dog") for i in range(6)]
    with pytest.raises(UserError, match=r"as cat \(6\), dog \(6\), set layout.label: '") as told:
        read(paths)
    found = read(paths, label=str(told.value).rpartition("layout.label: '")[2].removesuffix("'"))
    assert found.labels == ["cat", "dog"] and all(found.label)


def test_pattern() -> None:
    paths = [f"p{i:02d}_{'normal' if i % 2 else 'covid'}_{'tr' if i < 6 else 'te'}.png"
             for i in range(10)]  # fmt: skip
    found = read(paths, label="_(normal|covid)_", group=r"^(p\d)")
    assert found.kind == "pattern" and found.labels == ["covid", "normal"]
    assert set(found.group) == {"p0"}
    with pytest.raises(UserError, match=r"layout\.split: the expression .* matches 'tr'"):
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


def test_sixty_thousand_paths() -> None:
    paths = [
        f"{s}/c{c}/{i:05d}.jpg" for s in ("train", "test") for c in range(10) for i in range(3000)
    ]
    found = read(paths)
    assert found.path == sorted(paths)
    assert found.label == [p.split("/")[1] for p in found.path]
