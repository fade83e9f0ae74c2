"""The layouts of common public data sets, in miniature and under their own names.

Each is recognised without a setting, or refused by a sentence that says what to write.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from darkroom.errors import UserError
from tests.support.listings import counted, read

Listing = tuple[list[str], dict[str, str | bytes]]


def files(*folders: str, name: str = "{i:05d}.jpg", n: int = 6, first: int = 0) -> list[str]:
    """Files in each folder; `{folder}` in the name is the folder's own."""
    return [
        f"{folder}/" + name.format(i=i, folder=folder.rpartition("/")[2])
        for folder in folders
        for i in range(first, first + n)
    ]


def csv(head: str, rows: Sequence[Sequence[object]], sep: str = ",") -> str:
    return "\n".join([head, *(sep.join(map(str, row)) for row in rows)]) + "\n"


def kaggle_competition() -> Listing:
    """dog-breed-identification: train/ and test/ flat, labels.csv of the one."""
    ids = [f"{i:032x}" for i in range(12)]
    tables: dict[str, str | bytes] = {
        "labels.csv": csv("id,breed", [(x, ("pug", "boxer")[i % 2]) for i, x in enumerate(ids)]),
        "sample_submission.csv": csv("id,boxer,pug", [(f"t{i}", 0.5, 0.5) for i in range(4)]),
    }
    return [f"train/{x}.jpg" for x in ids] + [f"test/t{i}.jpg" for i in range(4)], tables


def cassava() -> Listing:
    """cassava-leaf-disease-classification: train.csv of image_id, label; test_images/ without."""
    paths = [f"train_images/{1000 + i}.jpg" for i in range(12)]
    tables: dict[str, str | bytes] = {
        "train.csv": csv("image_id,label", [(p.split("/")[1], i % 3) for i, p in enumerate(paths)]),
        "label_num_to_disease_map.json": "{}",
    }
    return [*paths, "test_images/2216.jpg"], tables


def tiny_imagenet() -> Listing:
    paths = files("tiny/train/n01443537/images", "tiny/train/n01629819/images", name="n_{i}.JPEG")
    val = [f"tiny/val/images/val_{i}.JPEG" for i in range(4)]
    tables: dict[str, str | bytes] = {
        "tiny/val/val_annotations.txt": csv("val_0.JPEG\tn01443537\t0\t0\t9\t9", [], "\t"),
        "tiny/wnids.txt": "n01443537\nn01629819\n",
    }
    return [*paths, *val, *(f"tiny/test/images/test_{i}.JPEG" for i in range(4))], tables


def cub_200() -> Listing:
    top = "CUB_200_2011"
    paths = files(
        f"{top}/images/001.Black_footed_Albatross", f"{top}/images/002.Laysan_Albatross",
        name="{folder}_{i:04d}.jpg",
    )  # fmt: skip
    short = [p.partition("/images/")[2] for p in paths]
    return paths, {
        f"{top}/images.txt": "".join(f"{i + 1} {p}\n" for i, p in enumerate(short)),
        f"{top}/image_class_labels.txt": "".join(f"{i + 1} {i // 6 + 1}\n" for i in range(12)),
        f"{top}/train_test_split.txt": "".join(f"{i + 1} {i % 2}\n" for i in range(12)),
    }


def isic_2019() -> Listing:
    names = [f"ISIC_{i:07d}" for i in range(12)]
    labels = [(n, *(f"{float(i % 3 == k)}" for k in range(3))) for i, n in enumerate(names)]
    meta = [(n, 40 + i, "torso", f"MSK_{i}", "male") for i, n in enumerate(names)]
    return [f"ISIC_2019_Training_Input/{n}.jpg" for n in names], {
        "ISIC_2019_Training_GroundTruth.csv": csv("image,MEL,NV,BCC", labels),
        "ISIC_2019_Training_Metadata.csv": csv("image,age_approx,anatom_site_general,lesion_id,sex", meta),
    }  # fmt: skip


def ham10000() -> Listing:
    names = [f"ISIC_{24306 + i}" for i in range(12)]
    rows = [(f"HAM_{i // 2}", n, ("bkl", "nv")[i // 2 % 2], "histo", 80.0, "male", "scalp")
            for i, n in enumerate(names)]  # fmt: skip
    pixels = [(*range(4), i % 2) for i in range(12)]
    return [f"HAM10000_images_part_{1 + i // 6}/{n}.jpg" for i, n in enumerate(names)], {
        "HAM10000_metadata.csv": csv("lesion_id,image_id,dx,dx_type,age,sex,localization", rows),
        "hmnist_28_28_L.csv": csv("pixel0000,pixel0001,pixel0002,pixel0003,label", pixels),
    }


def chexpert() -> Listing:
    top = "CheXpert-v1.0-small"
    paths = {
        part: [f"{top}/{part}/patient{first + i:05d}/study1/view1_frontal.jpg" for i in range(6)]
        for part, first in (("train", 1), ("valid", 64541))
    }
    head = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Cardiomegaly,Edema"
    rows = {part: [(p, "Male", 60 + i, "Frontal", "AP", ("1.0", "")[i % 2], ("", "-1.0", "1.0")[i % 3], ("0.0", "1.0")[i % 2])
                   for i, p in enumerate(own)] for part, own in paths.items()}  # fmt: skip
    tables: dict[str, str | bytes] = {f"{top}/{p}.csv": csv(head, rows[p]) for p in paths}
    return paths["train"] + paths["valid"], tables


def nih() -> Listing:
    names = [f"{i // 2:08d}_{i % 2:03d}.png" for i in range(16)]
    labels = ("No Finding", "Mass", "Effusion", "Mass|Effusion")
    rows = [(n, labels[i // 2 % 4], i % 2, i // 2 + 1, "58Y", "M") for i, n in enumerate(names)]
    return [f"images_{1 + i // 8:03d}/images/{n}" for i, n in enumerate(names)], {
        "Data_Entry_2017.csv": csv("Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender", rows),
        "BBox_List_2017.csv": csv("Image Index,Finding Label,Bbox [x,y,w,h]", [(names[2], "Mass", "1,2,3,4")]),
        "train_val_list.txt": "\n".join(names[:12]), "test_list.txt": "\n".join(names[12:]),
    }  # fmt: skip


def oxford_pets() -> Listing:
    paths = [f"images/{b}_{i}.jpg" for b in ("Abyssinian", "american_bulldog") for i in range(1, 7)]
    masks = [p.replace("images/", "annotations/trimaps/").replace(".jpg", ".png") for p in paths]
    lines = [f"{p[7:-4]} {1 + i // 6} 1 1" for i, p in enumerate(paths)]
    return paths + masks, {"annotations/trainval.txt": "\n".join(lines)}


def food_101() -> Listing:
    paths = files("food-101/images/apple_pie", "food-101/images/waffles", name="{i}34.jpg")
    train, test = (
        "\n".join(p[len("food-101/images/") : -4] for p in paths[i::2]) for i in range(2)
    )
    return paths, {
        "food-101/meta/classes.txt": "apple_pie\nwaffles\n",
        "food-101/meta/train.txt": train,
        "food-101/meta/test.txt": test,
    }


def plantvillage() -> Listing:
    kinds, classes = (
        ("color", "grayscale", "segmented"),
        ("Apple___Apple_scab", "Corn_(maize)___healthy"),
    )
    return files(*(f"plantvillage dataset/{k}/{c}" for k in kinds for c in classes)), {}


def gtsrb() -> Listing:
    """Kaggle's: class folders below Train/, Test/ flat, a table of each."""
    train = files("Train/0", "Train/1", "Train/2", name="{folder}_{i}.png", n=20)
    test = files("Test", name="{i:05d}.png", n=12)
    rows = [(30, 30, p.split("/")[1], p) for p in train]
    return [*train, *test, "Meta/0.png"], {
        "Train.csv": csv("Width,Height,ClassId,Path", rows),
        "Test.csv": csv("Width,Height,ClassId,Path", [(30, 30, i % 3, p) for i, p in enumerate(test)]),
        "Meta.csv": csv("Path,ClassId,ShapeId,ColorId,SignId", [("Meta/0.png", 0, 1, 0, 3.29)]),
    }  # fmt: skip


def gtsrb_official() -> Listing:
    """The institute's: a table in each class folder."""
    top = "GTSRB/Final_Training/Images"
    paths = files(f"{top}/00000", f"{top}/00001", name="{i:05d}_00000.ppm")
    tables: dict[str, str | bytes] = {
        f"{top}/{c:05d}/GT-{c:05d}.csv": csv(
            "Filename;Width;Height;Roi.X1;ClassId",
            [(p.rpartition("/")[2], 29, 30, 5, c) for p in paths if f"/{c:05d}/" in p], ";",
        ) for c in range(2)
    }  # fmt: skip
    return paths, tables


def eurosat() -> Listing:
    return files("EuroSAT/2750/AnnualCrop", "EuroSAT/2750/Forest", name="{folder}_{i}.jpg"), {}


def roboflow() -> Listing:
    sizes = {"train": 12, "valid": 6, "test": 6}
    paths = {p: [f"{p}/{p}{i}_jpg.rf.{i:032x}.jpg" for i in range(n)] for p, n in sizes.items()}
    return [path for own in paths.values() for path in own], {
        f"{p}/_classes.csv": csv("filename, cat, dog", [(x.split("/")[1], f" {1 - i % 2}", f" {i % 2}") for i, x in enumerate(own)])
        for p, own in paths.items()
    } | {"README.roboflow.txt": "pets", "README.dataset.txt": "# pets"}  # fmt: skip


def google_drive() -> Listing:
    stamp = "20240301T101112Z"
    return [
        *files(f"flowers-{stamp}-001/flowers/rose", f"flowers-{stamp}-001/flowers/tulip"),
        *files(f"flowers-{stamp}-002/flowers/tulip", f"flowers-{stamp}-002/flowers/daisy", first=6),
    ], {}


def image_folder() -> Listing:
    """hymenoptera_data of PyTorch's tutorial."""
    folders = [f"hymenoptera_data/{p}/{c}" for p in ("train", "val") for c in ("ants", "bees")]
    return files(*folders), {}


def one_csv() -> Listing:
    """A table of boxes, an object a row, as tools export COCO's annotations for one label."""
    paths = [f"images/{i:012d}.jpg" for i in range(12)]
    rows = [
        (p.split("/")[1], 640, 480, ("car", "bus")[i % 2], 1, 2, 30, 40)
        for i, p in enumerate(paths)
    ]
    return paths, {"annotations.csv": csv("filename,width,height,class,xmin,ymin,xmax,ymax", rows)}


def flowers_102() -> Listing:
    """The official files: the labels lie in a .mat file."""
    return [f"jpg/image_{i:05d}.jpg" for i in range(1, 13)], {"imagelabels.mat": b"MATLAB 5.0", "setid.mat": b""}  # fmt: skip


def flowers_102_csv() -> Listing:
    paths, _ = flowers_102()
    return paths, {"labels.csv": csv("image,label", [(p, 1 + i % 3) for i, p in enumerate(paths)])}


def stanford_dogs() -> Listing:
    folders = ("n02085620-Chihuahua", "n02085782-Japanese_spaniel")
    paths = files(*(f"images/Images/{f}" for f in folders), name="n02085620_{i}.jpg")
    notes = [p.replace("images/Images", "annotations/Annotation")[:-4] for p in paths]
    return paths + notes, {}


def malaria() -> Listing:
    folders = ("cell_images/Parasitized", "cell_images/Uninfected")
    name = "C{i}thin_cell_{i}.png"
    copies = files(*(f"cell_images/{f}" for f in folders), name=name)
    return [*files(*folders, name=name), *copies, "cell_images/Parasitized/Thumbs.db"], {}


def intel_scenes() -> Listing:
    folders = [f"seg_{p}/seg_{p}/{c}" for p in ("train", "test") for c in ("forest", "sea")]
    return files(*folders) + files("seg_pred/seg_pred"), {}


P = {"train": 6, "test": 6}
RECOGNISED = {
    kaggle_competition: {(None, "pug"): 6, (None, "boxer"): 6},
    cassava: {(None, str(k)): 4 for k in range(3)},
    tiny_imagenet: {(None, "n01443537"): 6, (None, "n01629819"): 6},
    cub_200: {(p, c): 3 for p in ("train", "test")
              for c in ("001.Black_footed_Albatross", "002.Laysan_Albatross")},
    isic_2019: {(None, "MEL"): 4, (None, "NV"): 4, (None, "BCC"): 4},
    ham10000: {(None, "bkl"): 6, (None, "nv"): 6},
    nih: {("train", "No Finding"): 4, ("train", "Mass"): 4,
          **{(p, c): 2 for p in ("train", "test") for c in ("Effusion", "Mass|Effusion")}},
    oxford_pets: {(None, "Abyssinian"): 6, (None, "american_bulldog"): 6},
    food_101: {(p, c): 3 for p in ("train", "test") for c in ("apple_pie", "waffles")},
    plantvillage: {(None, "Apple___Apple_scab"): 18, (None, "Corn_(maize)___healthy"): 18},
    gtsrb: {**{("train", str(c)): 20 for c in range(3)}, **{("test", str(c)): 4 for c in range(3)},
            (None, None): 1},
    gtsrb_official: {(None, "00000"): 6, (None, "00001"): 6},
    eurosat: {(None, "AnnualCrop"): 6, (None, "Forest"): 6},
    roboflow: {("train", "cat"): 6, ("train", "dog"): 6, ("validation", "cat"): 3,
               ("validation", "dog"): 3, ("test", "cat"): 3, ("test", "dog"): 3},
    google_drive: {(None, "rose"): 6, (None, "tulip"): 12, (None, "daisy"): 6},
    image_folder: {(p, c): 6 for p in ("train", "validation") for c in ("ants", "bees")},
    one_csv: {(None, "car"): 6, (None, "bus"): 6},
    flowers_102_csv: {(None, "1"): 4, (None, "2"): 4, (None, "3"): 4},
    stanford_dogs: {(None, "n02085620-Chihuahua"): 6, (None, "n02085782-Japanese_spaniel"): 6},
    malaria: {(None, "Parasitized"): 6, (None, "Uninfected"): 6},
    intel_scenes: {(p, c): n for p, n in P.items() for c in ("forest", "sea")},
}  # fmt: skip


@pytest.mark.parametrize("make", RECOGNISED, ids=lambda f: f.__name__)
def test_a_published_layout_is_recognised_without_a_setting(make) -> None:
    found = read(*make())
    assert counted(found) == RECOGNISED[make], found.sentence


REFUSED = {
    chexpert: r"no column of .*(train|valid).csv \(Path, Sex, .* recognised as the label.*layout.label_column",
    flowers_102: r"imagelabels.mat may have the labels, but is not read: write them into a CSV of path and label",
}


@pytest.mark.parametrize("make", REFUSED, ids=lambda f: f.__name__)
def test_another_is_refused_by_what_to_write(make) -> None:
    with pytest.raises(UserError, match=REFUSED[make]):
        read(*make())


def test_what_chexpert_is_told_to_write_works() -> None:
    found = read(*chexpert(), label_column="Edema")
    assert counted(found) == {(p, lb): 3 for p in ("train", "validation") for lb in ("0.0", "1.0")}


def test_groups_of_published_tables() -> None:
    for make, groups in ((ham10000, 6), (nih, 8)):
        assert len(set(read(*make()).group)) == groups, make.__name__


def test_what_is_left_out_is_told() -> None:
    for make, words in {
        kaggle_competition: "left out: test/ (4 images, not in the table)",
        cassava: "left out: test_images/ (1 images, not in the table)",
        tiny_imagenet: "left out: tiny/val/, tiny/test/ (8 images, no label)",
        malaria: "left out: cell_images/cell_images/ (12 images, the class folders and file names",
        intel_scenes: "left out: seg_pred/ (6 images, no label)",
    }.items():
        assert words in read(*make()).sentence, read(*make()).sentence


def test_combinations_of_labels_are_told() -> None:
    warned = read(*nih()).warnings
    assert Counter("several labels in one" in w for w in warned)[True] == 1
