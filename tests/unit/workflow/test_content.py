"""A source counts as changed where its content is, whatever its times say."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
import zipfile
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from darkroom.config.settings import Settings
from darkroom.config.stages import stage_settings
from darkroom.sources import contents
from darkroom.sources.download import download_source
from darkroom.workflow.content import content, of_pictures, state, weights_state
from darkroom.workflow.known import listing_digest

IN_2100 = (4102444800, 4102444800)
SOURCE = Path("data/pets/source.json")


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".snakemake").mkdir()
    for name, data in {"pets/cat/1.png": b"one", "pets/dog/2.png": b"two",
                       "pets/labels.csv": b"1.png,cat", "pets/left.png": b"unread"}.items():  # fmt: skip
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(data)


def settings(source: str) -> Settings:
    return Settings.load({"run": {"datasets": ["pets"]}, "datasets": {"pets": {"source": source}}})


def made(source: str) -> Settings:
    """The settings of a source that was downloaded and indexed."""
    known = settings(source)
    SOURCE.parent.mkdir(parents=True, exist_ok=True)
    cfg: Any = stage_settings(known, "download_source", {"dataset": "pets"})
    download_source(str(SOURCE), cfg=cfg)
    os.utime(SOURCE, (time.time() - 60,) * 2)
    read = ["cat/1.png", "dog/2.png"]
    manifest = Path("results/pets/manifest.parquet")
    manifest.parent.mkdir(parents=True, exist_ok=True)
    digests = [hashlib.sha256(Path("pets", path).read_bytes()).hexdigest() for path in read]
    pyarrow.parquet.write_table(pyarrow.table({"path": read, "sha256": digests}), manifest)
    return known


def changed(known: Settings) -> bool:
    """Whether the stages of the source would run, by both of the marks of a change."""
    listing_digest.cache_clear()  # a run of its own
    found, place = content(known, "pets", Path()), state(known, "pets", Path())
    assert found is not None and place is not None
    newer = Path(place).stat().st_mtime > SOURCE.stat().st_mtime
    assert newer == (found.now != found.before)
    return newer


def touch() -> None:
    for path in Path("pets").rglob("*.*"):
        os.utime(path, IN_2100)


def test_before_anything_ran_a_folder_is_new() -> None:
    found = content(settings("pets"), "pets", Path())
    assert found is not None and found.before is None and len(found.now) == 64
    assert state(settings("pets"), "pets", Path()) is not None
    assert content(settings("https://example.org/a.zip"), "pets", Path()) is None


def test_touched_and_copied_files_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    known = made("pets")
    assert not changed(known)
    touch()
    assert not changed(known)
    shutil.copytree("pets", "again", copy_function=shutil.copyfile)
    shutil.rmtree("pets")
    Path("again").rename("pets")
    assert not changed(known)
    monkeypatch.setattr(contents, "sha256_of", pytest.fail)  # they are read once
    assert not changed(known)


@pytest.mark.parametrize(
    ("path", "data"),
    [("cat/1.png", b"eno"), ("labels.csv", b"1.png,dog"), ("dog/2.png", b"longer"),
     ("dog/3.png", b"new")],
)  # fmt: skip
def test_other_content_is_seen_by_itself_and_among_touched_files(path: str, data: bytes) -> None:
    known = made("pets")
    Path("pets", path).write_bytes(data)
    assert changed(known)
    touch()
    assert changed(known)


def test_what_the_index_never_read_counts_by_its_name() -> None:
    known = made("pets")
    Path("pets/left.png").write_bytes(b"other!")
    assert not changed(known)
    Path("pets/left.png").rename("pets/right.png")
    assert changed(known)


def test_without_an_index_a_touched_folder_is_read_again() -> None:
    known = made("pets")
    Path("results/pets/manifest.parquet").unlink()
    touch()
    assert changed(known)


def test_lost_records_hide_no_change() -> None:
    known = made("pets")
    shutil.rmtree(".snakemake")
    assert not changed(known)
    Path("pets/cat/9.png").write_bytes(b"new")
    shutil.rmtree(".snakemake")
    assert changed(known)


def test_an_archive_counts_by_its_content() -> None:
    def pack(data: bytes) -> None:
        with zipfile.ZipFile("pets.zip", "w") as file:
            file.writestr("cat/1.png", data)

    pack(b"one")
    known = made("pets.zip")
    assert not changed(known)
    os.utime("pets.zip", IN_2100)
    assert not changed(known)
    pack(b"eno")
    assert changed(known)


def test_pictures_count_by_name_and_content() -> None:
    before = of_pictures("pets")
    os.utime("pets/cat/1.png", IN_2100)
    assert of_pictures("pets") == before
    Path("pets/cat/1.png").write_bytes(b"eno")
    changed = of_pictures("pets")
    assert changed != before
    Path("pets/cat/1.png").rename("pets/cat/3.png")
    assert of_pictures("pets") not in (before, changed)


def test_a_file_of_weights_counts_by_its_content() -> None:
    """Its name may have braces, and its time be any: Snakemake is told of another file."""
    file = Path("net {v1}.h5")
    file.write_bytes(b"one")
    os.utime(file, IN_2100)
    told = Path(weights_state(file, "net", Path()))
    assert "{" not in str(told) and told.stat().st_mtime <= time.time()
    os.utime(told, (1, 1))
    os.utime(file, (2, 2))
    assert weights_state(file, "net", Path()) == str(told) and told.stat().st_mtime == 1
    file.write_bytes(b"eno")
    os.utime(file, (3, 3))
    assert Path(weights_state(file, "net", Path())).stat().st_mtime > 3
