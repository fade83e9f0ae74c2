"""Two possible readings of a listing: the one that the evidence supports, or a question.

Each case stands for a kind of data set that was once read with wrong labels, or refused for a
wrong reason.
"""

from __future__ import annotations

import unicodedata
from collections import Counter

import pytest

from darkroom.errors import UserError
from tests.support.listings import counted, read, rows


def numbered(*folders: str, n: int = 4) -> list[str]:
    """Files whose names tell nothing: the same numbers in each folder."""
    return [f"{folder}/{i}.jpg" for folder in folders for i in range(n)]


def many_of(*names: str, n: int = 6) -> list[str]:
    return [name.format(i) for name in names for i in range(n)]


def crossed(outer: str, inner: str) -> list[str]:
    return numbered(*(f"{o}/{i}" for o in outer.split() for i in inner.split()))


# ---------------------------------------------------------------- a level above the classes

SPLIT_WORDS = {
    "two words": ("train_val", "test"),
    "google drive": ("train-20240301T101112Z-001/train", "test-20240301T101512Z-001/test"),
    "longer names": ("x_train_original", "x_test_original"),
    "several of a part": ("train_1", "test_old", "test_new"),
}


@pytest.mark.parametrize("folders", SPLIT_WORDS.values(), ids=SPLIT_WORDS)
def test_split_words_inside_longer_names(folders: tuple[str, ...]) -> None:
    found = read(crossed(" ".join(folders), "a b"))
    assert found.labels == ["a", "b"]
    assert all(split in path for path, (_, split) in rows(found).items() if split)
    assert set(found.split) == {"train", "test"}


def test_part_and_class_in_one_name_without_a_blank() -> None:
    found = read(numbered("trainA", "trainB", "testA", "testB"))
    assert counted(found) == {(p, c): 4 for p in ("train", "test") for c in "ab"}


SOURCES = {
    "sites": "siteA siteB",
    "hospitals": "hospital_north hospital_south",
    "versions of other names": "raw_images processed",
    "folds": "fold1 fold2 fold3",
    "dates": "2023-01-05 2023-01-06",
    "parts of one download": "pets-20240301T101112Z-001/pets pets-20240301T101112Z-002/pets",
    "views": "left right",
}


@pytest.mark.parametrize("outer", SOURCES.values(), ids=SOURCES)
def test_sources_above_class_folders_are_no_classes(outer: str) -> None:
    found = read(crossed(outer, "cat dog"))
    assert found.labels == ["cat", "dog"] and len(found.path) == 8 * len(outer.split())
    assert all(f"/{lb}/" in p for p, lb in zip(found.path, found.label, strict=True))
    assert "are no classes: the same class folders lie in each" in found.sentence


def test_a_source_with_one_of_the_classes() -> None:
    found = read(numbered("siteA/a", "siteA/b", "siteB/a"))
    assert Counter(found.label) == {"a": 8, "b": 4}


def test_versions_of_an_image_stay_together() -> None:
    found = read(crossed("Original Augmented", "P Q"))
    assert found.labels == ["P", "Q"]
    groups = dict(zip(found.path, found.group, strict=True))
    assert groups["Original/P/1.jpg"] == groups["Augmented/P/1.jpg"] != groups["Original/Q/1.jpg"]


def test_versions_below_the_classes_stay_together() -> None:
    found = read(crossed("P Q", "original augmented"))
    assert found.labels == ["P", "Q"]
    groups = dict(zip(found.path, found.group, strict=True))
    assert groups["P/original/1.jpg"] == groups["P/augmented/1.jpg"] != groups["Q/original/1.jpg"]


def test_sources_without_a_class_folder_in_common_are_a_question() -> None:
    with pytest.raises(UserError, match="class_level"):
        read(numbered("Original/P", "Original/Q", "Augmented/P2", "Augmented/Q2"))


def test_patients_above_the_classes_are_groups() -> None:
    found = read(numbered("patient1/benign", "patient1/bad", "patient2/benign",
                          "patient3/bad", "patient3/benign"))  # fmt: skip
    assert Counter(found.label) == {"bad": 8, "benign": 12}
    assert set(found.group) == {"patient1", "patient2", "patient3"}


def test_sources_within_classes_are_no_classes_either() -> None:
    for inner in ("40X 100X", "left right", "original augmented", "day night"):
        assert read(crossed("benign malignant", inner)).labels == ["benign", "malignant"]
    deep = numbered("benign/SOB/x/s1/40X", "benign/SOB/x/s1/100X", "benign/SOB/y/s2/40X",
                    "malignant/SOB/z/s3/40X", "malignant/SOB/w/s4/40X")  # fmt: skip
    assert read(deep).labels == ["benign", "malignant"]


def test_two_levels_that_could_both_be_classes_are_a_question() -> None:
    for paths in (crossed("London Paris", "cat dog"), crossed("site1 site2", "left right")):
        with pytest.raises(UserError, match=r"two levels of folders .*class_level to outer"):
            read(paths)
    paths = crossed("London Paris", "cat dog")
    assert read(paths, class_level="outer").labels == ["London", "Paris"]
    assert read(paths, class_level="inner").labels == ["cat", "dog"]


def test_a_few_equal_names_below_classes_are_told() -> None:
    """As in MVTec: good/ in each of bottle/ and cable/, and defects of their own."""
    found = read(numbered("bottle/good", "bottle/broken", "cable/good", "cable/bent", "cable/cut"))
    assert found.labels == ["bottle", "cable"]
    assert "folders of one name lie in several class folders (good)" in found.warnings[0]


def test_different_folders_below_classes_are_no_question() -> None:
    assert read(numbered("cat/kitten", "cat/old", "dog/puppy", "dog/big")).labels == ["cat", "dog"]


def test_sources_and_splits_in_either_order() -> None:
    inside = numbered(
        *(f"train/site{s}/{c}" for s in "AB" for c in "ab"), "test/siteC/a", "test/siteC/b"
    )
    assert counted(read(inside)) == {("train", "a"): 8, ("train", "b"): 8, ("test", "a"): 4, ("test", "b"): 4}  # fmt: skip
    around = numbered(*(f"site{s}/{p}/{c}" for s in "AB" for p in ("train", "test") for c in "ab"))
    assert counted(read(around)) == {(p, c): 8 for p in ("train", "test") for c in "ab"}


def test_sources_above_files_that_begin_with_the_label() -> None:
    paths = [f"site{s}/{c}.{i}.jpg" for s in "AB" for c in ("cat", "dog") for i in range(5)]
    assert read(paths).labels == ["cat", "dog"]
    assert read([f"{c}s/{c}.{i}.jpg" for c in ("cat", "dog") for i in range(5)]).labels == ["cats", "dogs"]  # fmt: skip


# ---------------------------------------------------------------- copies, unlabelled, other folders


def test_a_data_set_repeated_inside_itself_is_left_out() -> None:
    found = read(crossed("cells", "Infected Clean") + crossed("cells/cells", "Infected Clean"))
    assert found.labels == ["Clean", "Infected"] and len(found.path) == 8
    assert "left out: cells/cells/ (8 images, the class folders and file names of its parent" in found.sentence  # fmt: skip
    found = read(crossed("PlantVillage plantvillage/PlantVillage", "scab rust"))
    assert found.labels == ["rust", "scab"] and len(found.path) == 8
    assert "left out: plantvillage/ (8 images, the same class folders and file names again)" in found.sentence  # fmt: skip
    found = read(numbered("x/a", "x/b", "x/x/a"))  # one of them alone
    assert Counter(found.label) == {"a": 4, "b": 4}
    more = [f"{folder}/new{i}.jpg" for folder in ("more/cat", "more/dog") for i in range(3)]
    found = read(numbered("cat", "dog") + more)
    assert Counter(found.label) == {"cat": 7, "dog": 7}


def test_an_unlabelled_folder_is_left_out_or_a_question() -> None:
    for beside in ("test", "test/test", "test/unknown", "unlabelled/unlabelled", "predict"):
        found = read(numbered("train/a", "train/b", beside))
        assert found.labels == ["a", "b"] and len(found.path) == 8
        assert f"left out: {beside.split('/')[0]}/ (4 images, no label)" in found.sentence
    with pytest.raises(
        UserError, match=r"test/ stands beside .* layout.ignore: \['test'\].*kind: fo"
    ):
        read(numbered("a", "b", "test"))
    assert read(numbered("a", "b", "test"), kind="folders").labels == ["a", "b", "test"]
    assert read(numbered("a", "b", "test"), ignore=["test"]).labels == ["a", "b"]


def test_what_was_split_is_left_out_beside_its_split() -> None:
    split = crossed("split/train split/test", "a b")
    found = read(split + crossed("original", "a b"))
    assert counted(found) == {(part, c): 4 for part in ("train", "test") for c in "ab"}
    assert "left out: original/ (8 images, the same classes as in split/" in found.sentence
    assert len(read(split + crossed("original", "a b c")).path) == 28  # of another class too


def test_class_folders_beside_the_split_are_left_out_and_told() -> None:
    found = read(crossed("train test augmented", "a b"))
    assert len(found.path) == 16
    assert "left out: augmented/ (8 images, beside the split folders)" in found.sentence


def test_a_training_part_of_an_unknown_name_is_a_question() -> None:
    paths = crossed("lernen val test", "a b")
    with pytest.raises(UserError, match=r"lernen/ has the same class folders: rename it train/"):
        read(paths)
    assert set(read(paths, ignore=["lernen"]).split) == {"validation", "test"}


def test_masks_above_the_classes_are_left_out() -> None:
    found = read(crossed("images masks", "cat dog"))
    assert found.labels == ["cat", "dog"] and len(found.path) == 8


def test_letters_of_any_alphabet_are_part_of_a_word() -> None:
    found = read(crossed("train_Käfer train_猫 test_Käfer test_猫", "x").copy())
    assert found.labels == ["käfer", "猫"] and set(found.split) == {"train", "test"}
    assert read(many_of("猫_{}.jpg", "狗_{}.jpg")).labels == ["狗", "猫"]
    assert (
        "2 class folders"
        in read(numbered("train/K\u00e4fer", "test/Ka\u0308fer", "train/b")).sentence
    )


def test_patients_and_dates_are_no_classes() -> None:
    for folders in (["patient001", "patient002"], ["2024-01-31", "2024-02-01"]):
        with pytest.raises(UserError, match="are by their names no classes"):
            read(numbered(*folders))
        assert read(numbered(*folders), kind="folders").labels == folders


def test_the_name_of_a_camera_is_no_label() -> None:
    with pytest.raises(UserError, match="no labels were recognised"):
        read([f"{name}_{i:04d}.jpg" for name in ("IMG", "DSC") for i in range(9)])
    with pytest.raises(UserError, match="no labels were recognised"):
        read(many_of("IMG_{}.jpg", "FB_IMG_{}.jpg", "received_{}.jpg", "beach_{}.jpg"))
    assert read(many_of("p_{}.jpg", "p_9{}.jpg", "n_{}.jpg")).labels == ["n", "p"]


# ---------------------------------------------------------------- a table beside folders

IN_FOLDERS = [f"{c}/{i}.jpg" for c in ("stroma", "tumour") for i in range(20)]


def listed(head: str, *cells: str, files: list[str] = IN_FOLDERS) -> str:
    """A CSV with a row a file; cells go round."""
    lines = [f"{path},{cells[i % len(cells)]}" for i, path in enumerate(files)]
    return "\n".join([head, *lines])


@pytest.mark.parametrize(
    "text",
    [
        listed("filename,x,y", "0,1", "1,2", "2,3", "3,0"),
        listed("filename,type", "canon", "nikon"),
        listed("filename,y", "1", "2", "3"),
        listed("filename,age,label", "3,0.51", "4,0.62", "5,1.5"),
        listed("filename,width,height", "10,20", "30,40"),
    ],
    ids=["coordinates", "cameras", "y", "scores", "sizes"],
)
def test_columns_that_only_sound_like_labels_do_not_replace_folders(text: str) -> None:
    found = read(IN_FOLDERS, {"tiles.csv": text})
    assert found.kind == "folders" and found.labels == ["stroma", "tumour"]
    assert "tiles.csv" in found.sentence + str(found.warnings)


def test_a_label_column_that_contradicts_the_folders_is_a_question() -> None:
    table = {"meta.csv": listed("filename,species", "rat", "mouse", "rat", "frog", "frog")}
    with pytest.raises(UserError) as error:
        read(IN_FOLDERS, table)
    told = str(error.value)
    assert "two readings are possible" in told and "2 class folders" in told
    assert "layout: {kind: folders}" in told and "layout: {table: meta.csv}" in told
    assert "stroma/0.jpg is 'stroma'" in told and "is 'rat'" in told
    assert read(IN_FOLDERS, table, kind="folders").labels == ["stroma", "tumour"]
    assert read(IN_FOLDERS, table, table="meta.csv").labels == ["frog", "mouse", "rat"]


def test_a_label_column_wins_over_folders_that_only_store() -> None:
    paths = numbered("site1", "site2", "site3")
    text = listed("path,diagnosis", "a", "b", "b", files=paths)
    assert read(paths, {"m.csv": text}).labels == ["a", "b"]
    patients = numbered("patient1", "patient2", "patient3")
    text = listed("path,diagnosis", "a", "b", "b", files=patients)
    assert read(patients, {"m.csv": text}).labels == ["a", "b"]


def test_two_tables_that_contradict_each_other_are_a_question() -> None:
    paths = [f"img/{i}.png" for i in range(20)]
    tables = {
        "a.csv": listed("file,label", "x", "y", files=paths),
        "b.csv": listed("file,class", "u", "u", "v", files=paths),
    }
    with pytest.raises(UserError, match=r"two readings .*\{table: a.csv\}.*\{table: b.csv\}"):
        read(paths, tables)
    assert read(paths, tables, table="b.csv").labels == ["u", "v"]


# ---------------------------------------------------------------- several tables


@pytest.mark.parametrize("name", ["_classes.csv", "{part}_classes.csv", "labels.csv"])
@pytest.mark.parametrize("head", ["filename, cat, dog", "filename,label"])
def test_a_table_in_each_split_folder(name: str, head: str) -> None:
    sizes = {"train": 24, "valid": 8, "test": 8}
    paths = [f"{part}/{part}{k}.jpg" for part, n in sizes.items() for k in range(n)]
    tables = {}
    for part, n in sizes.items():
        lines = [f"{part}{k}.jpg, {1 - k % 2}, {k % 2}" if "cat" in head
                 else f"{part}{k}.jpg,{['cat', 'dog'][k % 2]}" for k in range(n)]  # fmt: skip
        tables[f"{part}/{name.format(part=part)}"] = "\n".join([head, *lines])
    found = read(paths, tables)
    assert counted(found) == {
        (part, label): n // 2
        for part, n in (("train", 24), ("validation", 8), ("test", 8))
        for label in ("cat", "dog")
    }
    assert all(table in found.sentence for table in tables)
    files = sorted(tables)
    assert counted(read(paths, tables, table=files)) == counted(found)


def test_tables_of_the_parts_may_have_different_columns() -> None:
    paths = [f"{part}/{part}{i}.png" for part in ("train", "test") for i in range(12)]
    tables = {
        "train/_classes.csv": "filename,cat,dog,fox\n"
        + "".join(
            f"train{i}.png,{','.join(str(int(i % 3 == k)) for k in range(3))}\n" for i in range(12)
        ),
        "test/_classes.csv": "filename,dog,cat\n"
        + "".join(f"test{i}.png,{i % 2},{1 - i % 2}\n" for i in range(12)),
    }
    found = read(paths, tables)
    assert counted(found) == {
        **{("train", label): 4 for label in ("cat", "dog", "fox")},
        **{("test", label): 6 for label in ("cat", "dog")},
    }
    assert rows(found)["test/test0.png"] == ("cat", "test")


def test_images_that_no_table_names_are_rows_without_a_label() -> None:
    paths = [f"{part}/{k}.jpg" for part in ("train", "valid") for k in range(8)]
    table = listed("path,label", "x", "y", files=paths[:8])
    found = read([*paths, *(f"test/{k}.jpg" for k in range(4))], {"train/labels.csv": table})
    assert Counter(found.label) == {"x": 4, "y": 4, None: 8}
    assert {t for p, t in zip(found.path, found.trouble, strict=True) if "valid" in p} == {
        "no label: not named in train/labels.csv"
    }
    assert "8 images are not named in train/labels.csv, and have no label" in found.warnings
    assert "left out: test/ (4 images, not in the table)" in found.sentence


@pytest.mark.parametrize("column", ["is_test", "is_valid", "in_train"])
def test_a_split_by_a_column_of_yes_and_no(column: str) -> None:
    paths = [f"img/{i}.png" for i in range(12)]
    text = listed(f"file,label,{column}", "x,True", "y,False", "x,False", files=paths)
    part = {"is_test": "test", "is_valid": "validation", "in_train": "train"}[column]
    other = "test" if part == "train" else "train"
    found = read(paths, {"l.csv": text})
    assert found.labels == ["x", "y"]
    assert Counter(found.split) == {part: 4, other: 8}
    assert f"splits in '{column}'" in found.sentence


SPLITS = {
    "numbers": ("split", "0", "0", "1", "2"),
    "folds": ("fold", "0", "1", "2", "3"),
    "one word of another kind": ("set", "train", "train", "test", "extra"),
    "a part of 0 and 1": ("train", "1", "1", "0", "1"),
}


@pytest.mark.parametrize(("column", *"abcd"), SPLITS.values(), ids=SPLITS)
def test_a_column_that_may_be_a_split_and_is_not_read_is_told(
    column: str, a: str, b: str, c: str, d: str
) -> None:
    text = listed(f"file,label,{column}", f"x,{a}", f"y,{b}", f"x,{c}", f"y,{d}", files=FLAT)
    found = read(FLAT, {"l.csv": text})
    assert set(found.split) == {None}
    assert f"column '{column}' of l.csv" in found.warnings[0]
    assert "is not read as a given split: if it is one, write train" in found.warnings[0]


@pytest.mark.parametrize("column", ["type", "y", "tags", "camera", "age"])
def test_a_lone_column_of_another_name_is_told(column: str) -> None:
    text = listed(f"file,{column}", "1", "2", files=FLAT)
    found = read(FLAT, {"l.csv": text})
    assert found.labels == ["1", "2"]
    assert found.warnings == [
        f"column '{column}' of l.csv is taken for the label, and its name does not say so: "
        f"set layout.label_column: {column} if it is, or another"
    ]
    assert read(FLAT, {"l.csv": text}, label_column=column).warnings == []


# ---------------------------------------------------------------- a table that does not fit

FLAT = [f"img/{i}.png" for i in range(40)]
REASONS = {
    "files that are not there": (
        "image,label\n" + "".join(f"{i}.png,{'ab'[i % 2]}\n" for i in range(100)),
        r"only 40 of the 100 files in labels.csv \(column 'image'\).*for example, '40.png'",
    ),
    "a header in another language": (
        "Datei;Klasse;Aufnahme\n" + "".join(f"{i}.png;{'ab'[i % 2]};{i}\n" for i in range(40)),
        r"no column of labels.csv \(Datei, Klasse, Aufnahme\) .*label_column: Klasse",
    ),
    "a further column of 0 and 1": (
        "image,cat,dog,male\n" + "".join(f"{i}.png,{1 - i % 2},{i % 2},{i // 2 % 2}\n" for i in range(40)),
        r"cat, dog, male hold 0 and 1.*label_column to one of them, or to \[cat, dog\]",
    ),
    "several labels of a row": (
        "image,cat,dog,frog\n" + "".join(f"{i}.png,{i % 2},1,{i // 2 % 2}\n" for i in range(40)),
        "some rows have several 1s or none; set layout.label_column to one of them",
    ),
    "two columns that may be the label": (
        listed("file,species,breed", "cat,manx", "cat,korat", "dog,pug", files=FLAT),
        "columns 'species' and 'breed' of labels.csv may both be the label",
    ),
    "a weak name beside another column": (
        listed("file,type,colour", "a,red", "b,red", "a,blue", files=FLAT),
        "columns 'type' and 'colour' of labels.csv may both be the label",
    ),
    "two columns of one name": (
        listed("file,label,label", "a,red", "b,red", "a,blue", files=FLAT),
        "columns 'label' and 'label' of labels.csv may both be the label",
    ),
    "boxes": (
        "file,class,xmin\n" + "".join(f"{i // 2}.png,{'ab'[i % 2]},{i}\n" for i in range(80)),
        "labels.csv gives most images several rows, with different labels",
    ),
    "one label": (listed("file,label", "cat", files=FLAT), "has one label only, 'cat'"),
    "other files": ("file,label\n" + "".join(f"z{i}.gif,{'ab'[i % 2]}\n" for i in range(40)),
                    r"no column of labels.csv .* \(column 'file': 0% of z0.gif, z1.gif, z2.gif …"),
    "a label for each image": (listed("file,label", *map(str, range(40)), files=FLAT),
                               "nearly every row of labels.csv has a label of its own"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "reason"), REASONS.values(), ids=REASONS)
def test_a_table_that_is_meant_and_does_not_fit_says_why(text: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        read(FLAT, {"labels.csv": text})


def test_a_table_of_a_test_without_labels_gives_none() -> None:
    paths = [f"{part}/{part}{i}.png" for part in ("train", "test") for i in range(12)]
    tables: dict[str, str | bytes] = {
        "train.csv": listed("id,age,target", *(f"{i % 3},{'ab'[i % 2]}" for i in range(12)), files=paths[:12]),
        "test.csv": listed("id,age", *(f"{i % 3}" for i in range(12)), files=paths[12:]),
    }  # fmt: skip
    found = read(paths, tables)
    assert counted(found) == {(None, "a"): 6, (None, "b"): 6}
    assert "left out: test/ (12 images" in found.sentence


@pytest.mark.parametrize("column", ["patient_id", "fold", "partition"])
def test_a_column_of_groups_or_parts_is_no_label(column: str) -> None:
    text = listed(f"image,{column}", *"0011" * 3, files=many_of("{}.jpg", n=12))
    with pytest.raises(UserError, match=r"is recognised as the label; set layout.label_column$"):
        read(many_of("{}.jpg", n=12), {"l.csv": text})


@pytest.mark.parametrize("rows_of", ["all", "some"])
def test_rows_of_more_cells_than_the_header_are_told(rows_of: str) -> None:
    files = many_of("{}.jpg", n=12)
    labels = [f"{'ab'[i % 2]}{', c' if rows_of == 'all' or i == 9 else ''}" for i in range(12)]
    found = read(files, {"l.csv": listed("image,label", *labels, files=files)})
    assert found.labels == ["a", "b"]
    line = 2 if rows_of == "all" else 11
    assert f"more cells than its header, such as line {line} (" in found.warnings[0]


@pytest.mark.parametrize("ids", ["{:05d}", "{}"])
def test_a_table_of_folders_is_a_question(ids: str) -> None:
    files = [f"train/{p:05d}/T1/{k}.png" for p in range(10) for k in range(3)]
    table = "patient,grade\n" + "".join(f"{ids.format(p)},{p % 2}\n" for p in range(10))
    with pytest.raises(UserError, match=r"gives labels to folders .*kind: folders"):
        read(files, {"l.csv": table})
    names = "class,name\n" + "".join(f"{p},name {p}\n" for p in range(10))
    assert len(read(files, {"l.csv": names}).labels) == 10


def test_a_table_whose_names_are_in_several_folders_is_a_question() -> None:
    files = numbered("small", "large", n=6)
    table = "image,label\n" + "".join(f"{i}.jpg,{'ab'[i % 2]}\n" for i in range(6))
    with pytest.raises(
        UserError, match=r"may mean several files: small/0.jpg, large/0.jpg; .*layout.root"
    ):
        read(files, {"l.csv": table})


def test_folders_that_a_table_calls_patients_are_a_question() -> None:
    files = numbered("train/10006", "train/10011", "train/10025", n=6)
    lines = [f"{p.split('/')[1]},{p},{i % 2}" for i, p in enumerate(files)]
    table = "\n".join(["patient_id,image,cancer", *lines])
    with pytest.raises(
        UserError, match=r"label_column: cancer; or take 3 class folders .*kind: folders"
    ):
        read(files, {"l.csv": table})
    assert read(files, {"l.csv": table}, label_column="cancer").labels == ["0", "1"]


def test_the_folder_may_stand_in_a_column_of_its_own() -> None:
    files = numbered("site1", "site2", n=6)
    for folder, file, label in ((0, 1, 2), (2, 1, 0)):
        lines = []
        for i, path in enumerate(files):
            cells = {
                folder: path.partition("/")[0],
                file: path.partition("/")[2],
                label: "ab"[i % 2],
            }
            lines.append(",".join(cells[k] for k in range(3)))
        head = {folder: "place", file: "file", label: "label"}
        found = read(files, {"l.csv": "\n".join([",".join(head[k] for k in range(3)), *lines])})
        assert rows(found)["site2/3.jpg"] == ("b", None) and found.labels == ["a", "b"]
        assert not any(found.trouble)


def test_a_table_that_names_files_by_their_former_suffix() -> None:
    found = read(
        many_of("{}.png"), {"l.csv": listed("image,label", *"ababab", files=many_of("{}.jpg"))}
    )
    assert rows(found)["3.png"] == ("b", None)


def test_levels_of_storage_and_a_table_of_another_column_are_one_question() -> None:
    files = crossed("0 1", "0 1")
    table = "id,landmark\n" + "".join(f"{p},{i % 2}\n" for i, p in enumerate(files))
    with pytest.raises(
        UserError, match=r"class_level to outer or to inner; or take .*table: l.csv"
    ):
        read(files, {"l.csv": table})


def test_a_header_with_other_delimiters_in_its_names() -> None:
    text = listed("image;label (a, b, c)", *"ababab", files=many_of("{}.jpg")).replace(
        "jpg,", "jpg;"
    )
    assert read(many_of("{}.jpg"), {"l.csv": text}).labels == ["a", "b"]


def test_names_and_numbers_of_classes_are_one_label() -> None:
    text = listed("file,class_id,label", "0,cat", "1,dog", files=FLAT)
    assert read(FLAT, {"labels.csv": text}).labels == ["cat", "dog"]


def test_columns_that_differ_only_late_in_a_sorted_table_are_seen() -> None:
    paths = [f"img/{i:04d}.png" for i in range(1200)]
    cells = ["cat,manx"] * 600 + ["dog,pug"] * 300 + ["dog,boxer"] * 300
    with pytest.raises(UserError, match="may both be the label"):
        read(paths, {"labels.csv": listed("file,species,breed", *cells, files=paths)})


def test_columns_of_0_and_1_can_be_chosen() -> None:
    text = REASONS["a further column of 0 and 1"][0]
    found = read(FLAT, {"labels.csv": text}, label_column=["cat", "dog"])
    assert Counter(found.label) == {"cat": 20, "dog": 20}
    cells = ("1,0,9", "0,1,9", "1,1,9", "0,0,9")
    text = listed("file,cat,dog,other", *cells, files=FLAT)
    found = read(FLAT, {"labels.csv": text}, label_column=["cat", "dog"])
    assert Counter(found.label) == {"cat": 10, "dog": 10, None: 20}
    told = dict(zip(found.path, found.trouble, strict=True))
    assert (
        told["img/2.png"] == "no label: labels.csv, row 4 has 2 of its columns of labels set to 1"
    )
    assert (
        told["img/3.png"]
        == "no label: labels.csv, row 5 has none of its columns of labels set to 1"
    )


def test_blanks_between_path_and_label() -> None:
    text = "".join(f"img/{i}.png {i % 2}\n" for i in range(40))
    found = read(FLAT, {"train.txt": text}, table="train.txt")
    assert Counter(found.label) == {"0": 20, "1": 20} and not any(found.trouble)


def test_a_text_file_that_may_have_the_labels_is_named() -> None:
    with pytest.raises(UserError, match=r"if train.txt has lines .*set layout.table: train.txt"):
        read(FLAT, {"train.txt": "img/0.png 0\n"})


def test_a_first_line_that_names_a_file_without_its_suffix_is_no_header() -> None:
    text = "".join(f"{i},{'ab'[i % 2]}\n" for i in range(40))
    assert Counter(read(FLAT, {"labels.csv": text}).label) == {"a": 20, "b": 20}


def test_comments_above_the_header() -> None:
    text = "# made by hand\n# twice\n" + listed("#file,label", "x", "y", files=FLAT) + "\nno.png,x"
    found = read(FLAT, {"labels.csv": text})
    assert found.labels == ["x", "y"]
    assert [t for t in found.trouble if t] == [
        "missing: named in labels.csv, row 44, and not there"
    ]


def test_beginnings_of_names_beside_a_table_of_unknown_columns_are_a_question() -> None:
    files = [f"img/{'ab'[i % 2]}{i}.png" for i in range(40)]
    text = "Datei,Klasse,Nummer\n" + "".join(
        f"{f[4:]},{'xy'[i // 2 % 2]},{i}\n" for i, f in enumerate(files)
    )
    with pytest.raises(
        UserError,
        match=r"set layout.label_column: Klasse; or take labels from the beginnings of .*kind: folders",
    ):
        read(files, {"labels.csv": text})
    assert read(files, {"labels.csv": text}, label_column="Klasse").labels == ["x", "y"]
    assert read(files, {"labels.csv": text}, kind="folders").labels == ["a", "b"]
    sizes = "file,width,height\n" + "".join(f"{f[4:]},640,{i}\n" for i, f in enumerate(files))
    assert read(files, {"sizes.csv": sizes}).labels == ["a", "b"], "nothing there may be a label"


def test_a_table_of_parts_alone_gives_no_labels() -> None:
    files = numbered("cat", "dog", n=10)
    text = listed("file,split", "train", "train", "test", files=files)
    found = read(files, {"split.csv": text})
    assert found.labels == ["cat", "dog"] and found.warnings == []
    assert (
        "not used: no column of split.csv (file, split) is recognised as the label, without "
        "which its split in 'split' is not read" in found.sentence
    )
    with pytest.raises(UserError, match=r"no column of split\.csv"):
        read(FLAT, {"split.csv": listed("file,split", "train", "test", files=FLAT)})


def test_a_table_that_repeats_the_class_folders_in_one_of_its_columns_is_no_question() -> None:
    files = [f"set/{part}/n0{i % 2}/{i}.png" for part in ("train", "val") for i in range(40)]
    text = "path,clean,noisy\n" + "".join(
        f"{f[4:]},{f.split('/')[2]},n0{n // 2 % 2}\n" for n, f in enumerate(files)
    )
    found = read(files, {"set/noisy.csv": text})
    assert found.labels == ["n00", "n01"]
    assert dict(zip(found.path, found.label, strict=True))["set/val/n01/1.png"] == "n01"
    with pytest.raises(UserError, match=r"set layout.label_column: .*; or take 2 class folders"):
        read(files, {"set/noisy.csv": text.replace(",n00,", ",n01,", 1)})


@pytest.mark.parametrize("above", ["My pictures;;\n;;\n", "My pictures\n", "# me\n# 1; 2\n"])
def test_titles_above_the_header(above: str) -> None:
    text = above + listed("file,label,remark", "x,1", "y,2", files=FLAT).replace(",", ";")
    found = read(FLAT, {"labels.csv": text})
    assert Counter(found.label) == {"x": 20, "y": 20} and not any(found.trouble)


def test_names_of_rows_without_a_name_above_them() -> None:
    lines = [f"{i + 1},{i}.png,{'ab'[i % 2]}\n" for i in range(40)]  # as R writes them
    found = read(FLAT, {"labels.csv": "image,label\n" + "".join(lines)})
    assert rows(found) == {f"img/{i}.png": ("ab"[i % 2], None) for i in range(40)}


def test_a_guessed_encoding_is_told_where_labels_depend_on_it() -> None:
    text = listed("file,label", "K\u00e4fer", "M\u00f6we", files=FLAT)
    found = read(FLAT, {"labels.csv": text.encode("mac_roman")})
    assert found.warnings == [
        "labels.csv is not UTF-8, and is read as Windows-1252: if a label is wrong, such as "
        "'K\u0160fer', save the file as UTF-8"
    ]
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"):
        found = read(FLAT, {"labels.csv": text.encode(encoding)})
        assert found.labels == ["K\u00e4fer", "M\u00f6we"] and found.warnings == []


# ---------------------------------------------------------------- labels


def test_a_written_no_value_is_no_label() -> None:
    found = read(FLAT, {"l.csv": listed("file,label", "cat", "dog", "nan", "", files=FLAT)})
    assert Counter(found.label) == {"cat": 10, "dog": 10, None: 20}
    assert "no label: l.csv, row 4 has 'nan'" in found.trouble


def test_names_are_compared_in_one_unicode_form() -> None:
    apart, one = (unicodedata.normalize(form, "K\u00e4fer") for form in ("NFD", "NFC"))
    found = read(numbered(f"train/{apart}", "train/Ant", f"test/{one}", "test/Ant"))
    assert found.labels == ["Ant", one]


def test_the_sentence_has_three_examples() -> None:
    found = read(numbered("a", "b", "c", "d"))
    assert "for example a/0.jpg is 'a', b/0.jpg is 'b', c/0.jpg is 'c'" in found.sentence


def test_thousands_of_nested_folders_are_a_sentence() -> None:
    deep = "/".join(["x"] * 2000)
    with pytest.raises(UserError, match="more than 100 folders deep"):
        read([f"{deep}/a/1.jpg", f"{deep}/b/1.jpg"])


def test_a_name_of_two_lines_stays_on_one() -> None:
    found = read(numbered("cat\nrc 0", "dog"))
    assert r"cat\nrc 0/0.jpg" in found.sentence and "\n" not in found.sentence
    assert "cat\nrc 0" in found.labels
