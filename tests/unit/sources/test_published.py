"""Images in array files as sources: from archives, folders, pages and mirrors, and once only."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from darkroom.config.settings import Settings
from darkroom.config.stages import stage_settings
from darkroom.errors import UserError
from darkroom.index import layout
from darkroom.sources import addresses, arrays, http, local, published
from darkroom.sources.download import download_source
from darkroom.sources.folders import survey
from tests.support.kaggle_server import Server
from tests.support.published_layouts import cifar10_binary, cifar10_python, digits, idx, mnist_idx

COUNTS = {"train": 30, "test": 20}
NAMES = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
]
PAGE = "/mnist/{" + ",".join(NAMES) + "}.gz"


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(http, "sleep", lambda _: None)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    mnist_idx(tmp_path / "mnist", images=COUNTS)
    return tmp_path / "mnist"


@pytest.fixture
def server(mnist: Path) -> Iterator[Server]:
    with Server({f"/mnist/{p.name}": p.read_bytes() for p in mnist.iterdir()}) as running:
        yield running


def download(source: str, mirror: str | None = None, **more: Any) -> dict[str, Any]:
    output = Path("data/mnist/source.json")
    output.unlink(missing_ok=True)  # as Snakemake does before a job
    cfg = {
        "dataset": "mnist",
        "source": source,
        "sha256": None,
        "limits": {"max_gb": 1.0, "max_files": 1000},
        "root": None,
        **more,
    }
    download_source(str(output), cfg=cfg, mirror=mirror)
    record: dict[str, Any] = json.loads(output.read_text())
    return record


def left(folder: str = "data/mnist") -> list[str]:
    return sorted(p.name for p in Path(folder).iterdir())


def check(record: dict[str, Any], root: str = "data/mnist/files") -> None:
    """All images of COUNTS are in place, and the layout is recognised."""
    assert record["root"] == "data/mnist/files" and record["files"] == 50
    found = sorted(p.relative_to(root).as_posix() for p in Path(root).rglob("*.png"))
    assert len(found) == 50
    for part, seed in (("train", 0), ("test", 1)):
        pixels, labels = digits(COUNTS[part], seed=seed)
        for i in (0, 7, 19):
            image = cv2.imread(f"{root}/{part}/{labels[i]}/{i:05d}.png", cv2.IMREAD_UNCHANGED)
            assert np.array_equal(image, pixels[i])
    defaults = stage_settings(
        Settings.load(
            {
                "run": {"datasets": ["mnist"]},
                "datasets": {"mnist": {"source": "bundled:digits"}},
            }
        ),
        "index_files",
        {"dataset": "mnist"},
    )["layout"]
    seen = layout.recognise(found, defaults)
    assert seen.labels == list("0123456789")
    assert [seen.split.count(part) for part in ("train", "test")] == [30, 20]


def zipped(path: Path, folder: Path, below: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for each in folder.iterdir():
            file.write(each, below + each.name)
    return path


# ---------------------------------------------------------------- archives and folders


def test_an_archive_becomes_class_folders_once(
    tmp_path: Path, mnist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = zipped(tmp_path / "mnist.zip", mnist, "deep/down/")
    record = download(str(path))
    check(record)
    assert record["kind"] == "archive" and record["archive"] == "mnist.zip"
    assert record["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert record["written_from"].startswith("IDX: deep/down/train-images-idx3-ubyte.gz, ")
    assert record["written_from"].endswith("(train 30, test 20)")
    assert left() == [".receipt.json", "files", "source.json"]
    assert not list(Path("data").rglob("*ubyte*"))  # the arrays are not kept beside the pictures
    monkeypatch.setattr(arrays, "write", None)  # would be called in vain
    assert download(str(path)) == record
    monkeypatch.setattr(arrays, "VERSION", arrays.VERSION + 1)
    with pytest.raises(TypeError):
        download(str(path))


@pytest.mark.parametrize("make", [cifar10_binary, cifar10_python])
def test_an_archive_of_cifar(tmp_path: Path, make: Any) -> None:
    record = download(str(make(tmp_path / "cifar.tar.gz", images=COUNTS)))
    assert left("data/mnist/files") == ["test", "train"]
    assert len(left("data/mnist/files/train")) == 10
    assert record["files"] == 50 and "CIFAR-10" in record["written_from"]


def test_files_changed_by_hand_are_written_anew(tmp_path: Path, mnist: Path) -> None:
    path = zipped(tmp_path / "mnist.zip", mnist)
    download(str(path))
    shutil.rmtree("data/mnist/files/train/3")
    check(download(str(path)))


def test_a_local_folder_is_left_as_it_is(mnist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in mnist.iterdir()}
    record = download(str(mnist))
    check(record)
    assert record["kind"] == "folder" and record["sha256"] == survey(str(mnist))[0]
    assert {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in mnist.iterdir()} == before
    assert left() == [".listing.json", ".receipt.json", "files", "source.json"]
    with monkeypatch.context() as patch:
        patch.setattr(arrays, "write", None)
        assert download(str(mnist)) == record
    mnist_idx(mnist, images={"train": 40, "test": 20})
    assert survey(str(mnist))[0] != record["sha256"]
    assert download(str(mnist))["files"] == 60
    shutil.rmtree(mnist)
    for i in range(3):
        (mnist / str(i)).mkdir(parents=True)
        (mnist / f"{i}/{i}.png").write_bytes(b"x")
    assert download(str(mnist))["root"] == str(mnist)  # now ordinary class folders


def test_pictures_beside_array_files_are_the_images(tmp_path: Path, mnist: Path) -> None:
    for i in range(5):
        (mnist / f"training/{i % 2}").mkdir(parents=True, exist_ok=True)
        (mnist / f"training/{i % 2}/{i}.png").write_bytes(b"x")
    record = download(str(mnist))
    assert record["root"] == str(mnist) and "written_from" not in record
    (mnist / "training/0/0.png").unlink()  # as few pictures as array files: an illustration
    assert download(str(mnist))["files"] == 50


def test_what_is_known_before_the_download_refuses_nothing(
    tmp_path: Path, mnist: Path, work: Path
) -> None:
    from darkroom.workflow import checks

    archive = zipped(tmp_path / "mnist.zip", mnist)
    cifar = cifar10_binary(tmp_path / "cifar.tar.gz", images=COUNTS)
    folder = cifar10_python(tmp_path / "cifar", images=COUNTS)
    for source in (mnist, archive, cifar, folder):
        assert local.listing(str(source)) is None
        config = {
            "run": {"datasets": ["mnist"]},
            "datasets": {"mnist": {"source": str(source)}},
        }
        messages: list[str] = []
        checks.check(Settings.load(config), say=messages.append)
        assert messages == []


def test_mistakes_lose_nothing(tmp_path: Path, mnist: Path) -> None:
    path = zipped(tmp_path / "mnist.zip", mnist)
    check(download(str(path)))
    (mnist / f"{NAMES[1]}.gz").write_bytes(gzip.compress(idx(np.zeros(29, np.uint8))))
    zipped(path, mnist)
    with pytest.raises(UserError, match=r"30 images but .* has 29 labels"):
        download(str(path))
    with pytest.raises(UserError, match=r"30 images but .* has 29 labels"):
        download(str(mnist))
    with pytest.raises(UserError, match="exceed 40 files"):
        download(
            str(mnist_idx(tmp_path / "other", images=COUNTS)[0].parent),
            limits={"max_gb": 1, "max_files": 40},
        )
    assert len(list(Path("data/mnist/files").rglob("*.png"))) == 50
    assert not Path("data/mnist/source.json").exists()


def test_one_of_several_data_sets_by_layout_root(tmp_path: Path) -> None:
    for name in ("emnist-letters-", "emnist-digits-"):
        mnist_idx(tmp_path / "emnist" / "gzip", images=COUNTS, prefix=name)
    path = zipped(tmp_path / "gzip.zip", tmp_path / "emnist/gzip", "gzip/")
    with pytest.raises(UserError, match=r"choose one, as in layout: \{root: gzip/emnist-digits\}"):
        download(str(path))
    record = download(str(path), root="emnist-digits")
    check(record, "data/mnist/files/emnist-digits")
    assert download(str(path), root="emnist-digits") == record
    record = download(str(path), root="emnist-letters")
    assert left(record["root"]) == ["emnist-letters"]


# ---------------------------------------------------------------- several files of a page


def test_several_files_of_a_page(server: Server, mnist: Path) -> None:
    record = download(server.url + PAGE)
    check(record)
    digests = [hashlib.sha256((mnist / f"{n}.gz").read_bytes()).hexdigest() for n in NAMES]
    assert record["sha256"] == digests and record["archive"] == [f"{n}.gz" for n in NAMES]
    assert record["kind"] == "https" and len(server.gets()) == 4
    assert left() == [".receipt.json", "files", "source.json"]
    assert download(server.url + PAGE, sha256=[d.upper() for d in digests]) == record
    assert len(server.gets()) == 4
    digests[2] = "0" * 64
    with pytest.raises(UserError, match=rf"{NAMES[2]}\.gz: its sha256 is"):
        download(server.url + PAGE, sha256=digests)


def test_a_cut_download_is_resumed_in_its_own_file(server: Server) -> None:
    server.script, server.always = [None, ("cut", 20)], 503
    with pytest.raises(UserError):
        download(server.url + PAGE)
    server.always = None
    assert not Path("data/mnist/files").exists()
    before = len(server.gets())
    check(download(server.url + PAGE))
    again = server.gets()[before:]
    assert len(again) == 3 and again[0]["Range"] == "bytes=20-"  # the first file was whole


def test_each_file_is_searched_in_the_mirror(server: Server, mnist: Path) -> None:
    (mnist / f"{NAMES[0]}.gz").rename(mnist.parent / "elsewhere")
    check(download(server.url + PAGE, mirror=str(mnist)))
    assert len(server.gets()) == 1
    server.files.clear()
    shutil.rmtree("data")
    with pytest.raises(UserError) as caught:
        download(server.url + PAGE, mirror=str(mnist))
    assert f"put the file into the mirror {mnist} as {NAMES[0]}.gz" in str(caught.value)


def test_plain_array_files_and_archives_of_a_page(server: Server, tmp_path: Path) -> None:
    files = mnist_idx(tmp_path / "plain", images=COUNTS, packed=False)
    for number in (0, 2):  # a zip for each part
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as file:
            for path in files[number : number + 2]:
                file.write(path, path.name)
                server.files[f"/{path.name}"] = path.read_bytes()
        server.files[f"/{number}.zip"] = data.getvalue()
    check(download(f"{server.url}/{{{','.join(NAMES)}}}"))
    record = download(f"{server.url}/{{0,2}}.zip")  # array files in folders of their archives
    check(record)
    assert "0/train-images-idx3-ubyte" in record["written_from"]


def test_pictures_and_their_table_from_a_page(server: Server, tmp_path: Path) -> None:
    server.files["/labels.csv"] = b"path,label\na.png,cat\n"
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        info = tarfile.TarInfo("a.png")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    server.files["/images.tar.gz"] = data.getvalue()
    record = download(server.url + "/{images.tar.gz,labels.csv}")
    assert left(record["root"]) == ["images", "labels.csv"] and record["files"] == 2
    server.files["/labels.csv"] = b"<!DOCTYPE html><title>Log in</title>"
    shutil.rmtree("data")
    with pytest.raises(UserError, match=r"labels\.csv is a web page"):
        download(server.url + "/{images.tar.gz,labels.csv}")


def test_limits_hold_for_all_files_together(server: Server) -> None:
    for name in "ab":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as file:
            for i in range(3):
                file.writestr(f"{name}/{i}.png", b"x" * 100)
        server.files[f"/{name}.zip"] = buffer.getvalue()
    for limits in ({"max_gb": 1, "max_files": 5}, {"max_gb": 500e-9, "max_files": 6}):
        with pytest.raises(UserError, match=r"b\.zip unpacks to more than"):
            download(server.url + "/{a,b}.zip", limits=limits)
    assert left(download(server.url + "/{a,b}.zip")["root"]) == ["a", "b"]


def test_a_wrong_file_of_a_page_is_not_kept(server: Server) -> None:
    good = server.files[f"/mnist/{NAMES[1]}.gz"]
    server.files[f"/mnist/{NAMES[1]}.gz"] = gzip.compress(idx(np.zeros(29, np.uint8)))
    with pytest.raises(UserError, match="has 29 labels"):
        download(server.url + PAGE)
    server.files[f"/mnist/{NAMES[1]}.gz"] = good
    check(download(server.url + PAGE))


@pytest.mark.parametrize(
    ("source", "each"),
    [
        ("https://h.org/m/{a,b-1}.gz", ["https://h.org/m/a.gz", "https://h.org/m/b-1.gz"]),
        ("https://h.org/{a.zip, b.csv}", ["https://h.org/a.zip", "https://h.org/b.csv"]),
        ("https://h.org/{a}.zip", ["https://h.org/{a}.zip"]),
        ("https://h.org/a.zip", ["https://h.org/a.zip"]),
        ("kaggle:ada/pets", ["kaggle:ada/pets"]),
    ],
)
def test_braces(source: str, each: list[str]) -> None:
    assert addresses.addresses(source) == each


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("https://h.org/{a,b}/{c,d}.gz", "only one list in braces is supported"),
        ("https://h.org/{a,{b,c}}.gz", "only one list in braces is supported"),
        ("https://h.org/{a,}.gz", "the list in braces has an empty entry"),
        ("https://h.org/{a,b}/x.gz", "two of its files would be named x.gz"),
        ("https://h.org/{a,a}.gz", "two of its files would be named a.gz"),
        ("https://ada:pw@h.org/{a,{b}.gz", "user name or password"),
        ("pets/{a,b}.zip", "for several local files, give the folder"),
    ],
)
def test_mistakes_in_braces(source: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        addresses.kind(source)
    assert words in str(caught.value) and "ada:pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "yes"),
    [
        ("train-images-idx3-ubyte.gz", True),
        ("x/emnist-letters-test-labels-idx1-ubyte", True),
        ("x/data_batch_12.bin", True),
        ("train_images", True),
        ("trainer-images-idx3-ubyte", False),
        ("train-images.csv", False),
        ("train/images/1.png", False),
    ],
)
def test_claims_by_name(name: str, yes: bool) -> None:
    assert published.claimed([name]) is yes
    assert published.claimed([name, "a/1.jpg", "b/2.JPG"]) is False


def test_a_folder_of_train_and_test_is_not_claimed() -> None:
    assert not published.claimed(["meta/1.jpg", "train/cat", "test/cat", "images/labels.csv"])
    assert published.claimed(["fine_label_names.txt", "train.bin"])
    assert not published.claimed(["fine_label_names.txt", "other.bin"])
