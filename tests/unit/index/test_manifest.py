"""One row for every file, whatever is in it; and the limit of unusable ones."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import os
import signal
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from darkroom.config.dataset import Decode, Layout
from darkroom.errors import UserError
from darkroom.index import examine, sharded
from darkroom.index.check import check_files
from darkroom.index.manifest import index_files
from darkroom.machine import disk, workers
from tests.support.awful import (
    UNUSABLE,
    awful_folder,
    encoded,
    kind_of,
    photograph,
    sixteen_bit_png,
)
from tests.support.tiffs import tiff

Rows = dict[str, dict[str, Any]]


def indexed(root: Path, out: Path, threads: int = 1, **settings: Any) -> tuple[Rows, Path]:
    """Rows of the manifest by path."""
    out.mkdir(exist_ok=True)
    source, manifest = out / "source.json", out / "manifest.parquet"
    source.write_text(json.dumps({"root": str(root)}))
    cfg = {
        "dataset": "pets",
        "layout": Layout(**settings.get("layout", {})).model_dump(),
        "group": settings.get("group"),
        "decode": Decode(**settings.get("decode", {})).model_dump(),
    }
    index_files(str(source), str(manifest), str(out / "thumbnails.npy"), cfg=cfg, threads=threads)
    assert not list(out.glob(".*.part"))
    return {r["path"]: r for r in pq.read_table(manifest).to_pylist()}, manifest


def good(root: Path, n: int = 4) -> Path:
    for c, name in enumerate(("cat", "dog")):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            data = encoded(photograph(100 * c + i), "JPEG")
            (root / name / f"{i}.jpg").write_bytes(data)
    return root


def test_a_pipe_that_is_called_like_a_table_is_not_waited_for(tmp_path: Path) -> None:
    root = good(tmp_path / "pets")
    os.mkfifo(root / "labels.csv")
    (root / "more.csv").symlink_to("labels.csv")
    rows, _ = indexed(root, tmp_path / "out")
    assert {row["label"] for row in rows.values()} == {"cat", "dog"}
    with pytest.raises(UserError, match=r"labels.csv cannot be read: it is a pipe"):
        indexed(root, tmp_path / "out", layout={"table": "labels.csv"})


@pytest.fixture(scope="module")
def awful(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    root = tmp_path_factory.mktemp("awful") / "pets"
    return root, awful_folder(root)


def test_every_awful_file_is_found_and_named(
    awful: tuple[Path, dict[str, str]], tmp_path: Path, caplog: Any, capfd: Any
) -> None:
    root, expected = awful
    with caplog.at_level(logging.INFO, "darkroom"):
        rows, manifest = indexed(root, tmp_path / "1")
    wrong = {
        path: (kind, rows[path]["status"], rows[path]["reason"])
        for path, kind in expected.items()
        if kind not in rows[path]["reason"]
        or rows[path]["status"]
        != ("unusable" if kind_of(expected, path) in UNUSABLE else "converted")
    }
    assert not wrong
    rest = {p: r for p, r in rows.items() if p not in expected}
    assert len(rest) in (13, 14) and all(
        r["status"] == "ok" and r["reason"] == "" for r in rest.values()
    )
    assert "layout: 2 class folders" in caplog.text
    unusable = sum(r["status"] == "unusable" for r in rows.values())
    assert f"{unusable} unusable (truncated 8, not an image 5" in caplog.text
    assert capfd.readouterr().err == ""  # no library speaks for itself
    two, other = indexed(root, tmp_path / "2", threads=2)
    assert two == rows  # the number of workers changes nothing
    assert pq.read_schema(other).metadata == pq.read_schema(manifest).metadata


def test_a_row_says_what_the_file_is(awful: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    root, _ = awful
    rows, manifest = indexed(root, tmp_path)
    table = pq.read_table(manifest)
    assert table["row"].to_pylist() == list(range(len(rows)))
    assert table["path"].to_pylist() == sorted(rows)
    columns = [f"{f.name} {f.type}" for f in table.schema]
    assert columns == [
        "row int64", "path string", "label string", "group string", "split string", "bytes int64",
        "width int32", "height int32", "mode string", "format string", "bit_depth int16",
        "maximum int32", "frames int32", "orientation int16", "sha256 string", "duplicate_of int64",
        "status string", "reason string",
    ]  # fmt: skip
    data = (root / "cat/cat.0.jpg").read_bytes()
    row = rows["cat/cat.0.jpg"]
    assert row | {"row": 0} == {
        "row": 0, "path": "cat/cat.0.jpg", "label": "cat", "group": None, "split": None,
        "bytes": len(data), "width": 72, "height": 60, "mode": "rgb", "format": "jpeg",
        "bit_depth": 8, "maximum": None, "frames": 1, "orientation": 1, "sha256": hashlib.sha256(data).hexdigest(),
        "duplicate_of": None, "status": "ok", "reason": "",
    }  # fmt: skip
    turned = next(r for p, r in rows.items() if p.endswith("turned.jpg"))
    assert (turned["width"], turned["height"], turned["orientation"]) == (60, 72, 6)
    copy = rows["dog/copy of a cat.jpg"]
    assert copy["duplicate_of"] == row["row"] and copy["status"] == "ok"
    assert rows["cat/empty.jpg"]["sha256"] is None
    meta = json.loads(table.schema.metadata[b"darkroom"])
    assert meta["dataset"] == "pets" and meta["labels"] == ["cat", "dog"]
    assert meta["root"] == str(root) and meta["layout"].startswith("2 class folders")


def test_what_refuse_means(awful: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    root, _ = awful
    refused = {
        "sixteen_bit": "deep.png", "palette": "palette.png", "alpha": "transparent.png",
        "cmyk": "inks.jpg", "gray": "gray.jpg", "animated": "pages.tif", "wrong_suffix": "a png.jpg",
    }  # fmt: skip
    rows, _ = indexed(root, tmp_path, decode=dict.fromkeys(refused, "refuse"))
    for key, name in refused.items():
        row = next(r for p, r in rows.items() if p.endswith("/" + name))
        assert row["status"] == "unusable" and f"decode.{key} is refuse" in row["reason"], key
        assert row["width"]
    opaque = next(r for p, r in rows.items() if p.endswith("opaque.png"))
    assert opaque["status"] == "converted"  # nothing is transparent in it


def test_gray_images_of_a_gray_data_set_are_ordinary(tmp_path: Path) -> None:
    for i in range(4):
        place = tmp_path / "d" / "ab"[i % 2] / f"{i}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(encoded(photograph(i)[..., 0], "PNG"))
    rows, _ = indexed(tmp_path / "d", tmp_path / "o")
    assert {(r["status"], r["mode"], r["reason"]) for r in rows.values()} == {("ok", "gray", "")}


def test_rows_of_a_table(tmp_path: Path, caplog: Any) -> None:
    root = good(tmp_path / "d")
    lines = [f"{c}/{i}.jpg,{c},p{i}" for c in ("cat", "dog") for i in range(4)]
    lines += ["cat/9.jpg,cat,p9", "cat/0.jpg,cat,p0", "dog/1.jpg,cat,p1"]
    (root / "l.csv").write_text("\n".join(["path,label,patient", *lines]))
    with caplog.at_level(logging.INFO, "darkroom"):
        indexed(root, tmp_path / "o")
    table = pq.read_table(tmp_path / "o" / "manifest.parquet").to_pylist()
    bad = [(r["path"], r["reason"].split(":")[0]) for r in table if r["status"] == "unusable"]
    assert bad == [
        ("cat/9.jpg", "missing"),
        ("dog/1.jpg", "duplicate path"), ("dog/1.jpg", "duplicate path"),
    ]  # fmt: skip
    assert [r["group"] for r in table if r["path"] == "dog/2.jpg"] == ["p2"]
    assert "2 labels from l.csv" in caplog.text


def test_a_table_that_cannot_be_opened(tmp_path: Path) -> None:
    root = good(tmp_path / "d")
    (root / "l.csv").symlink_to("nowhere.csv")
    with pytest.raises(UserError, match=r"l\.csv cannot be read: No such file"):
        indexed(root, tmp_path / "o", layout={"table": "l.csv"})


def test_links(tmp_path: Path) -> None:
    root = good(tmp_path / "d")
    (root / "cat" / "z.jpg").hardlink_to(root / "cat" / "0.jpg")
    (root / "dog" / "z.jpg").symlink_to(root / "cat" / "1.jpg")
    (root / "cat" / "again").symlink_to(root / "cat")  # a circle
    rows, _ = indexed(root, tmp_path / "o")
    assert len(rows) == 10
    assert rows["cat/z.jpg"]["reason"] == "duplicate path: a link to the same file as cat/0.jpg"
    assert rows["cat/0.jpg"]["status"] == "ok"
    for path in ("cat/1.jpg", "dog/z.jpg"):  # whose label is right cannot be known
        assert rows[path]["reason"].endswith("under another label")


def test_names_that_differ_in_case_only(tmp_path: Path, caplog: Any) -> None:
    root = good(tmp_path / "d")
    (root / "cat" / "3.JPG").write_bytes(encoded(photograph(77), "JPEG"))
    if len(list((root / "cat").iterdir())) < 5:
        pytest.skip("a file system that does not tell case apart")
    with caplog.at_level(logging.INFO, "darkroom"):
        rows, _ = indexed(root, tmp_path / "o")
    assert all(r["status"] == "ok" for r in rows.values())
    assert "2 names differ from another only in case" in caplog.text


def test_odd_names_and_odd_files(tmp_path: Path) -> None:
    root = good(tmp_path / "d")
    name = os.fsencode(root) + b"/cat/gr\xfcn.jpg"
    try:
        with open(name, "wb") as file:  # noqa: PTH123
            file.write(encoded(photograph(5), "JPEG"))
    except OSError:
        pytest.skip("a file system of UTF-8 names")
    os.mkfifo(root / "cat" / "pipe.jpg")
    (root / "cat" / "x\x1b[31m\n").write_bytes(encoded(photograph(7), "JPEG"))
    (root / "cat" / "große Katze №1.jpg").write_bytes(encoded(photograph(6), "JPEG"))
    rows, _ = indexed(root, tmp_path / "o")
    assert rows["cat/gr\\xfcn.jpg"]["reason"] == "its name is not valid UTF-8: rename it"
    assert rows[r"cat/x\x1b[31m\n"]["reason"] == "its name has control characters: rename it"
    assert rows["cat/pipe.jpg"]["reason"] == "cannot be read: not a regular file"
    assert rows["cat/große Katze №1.jpg"]["status"] == "ok"


def test_a_file_without_permission(tmp_path: Path, monkeypatch: Any) -> None:
    root = good(tmp_path / "d")

    def refuse(path: str, flags: int) -> int:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(examine.os, "open", refuse)
    block = examine.examine(str(root), ["cat/0.jpg"], Decode().model_dump())
    assert block.trouble == ["cannot be read: permission denied"]
    assert block.sha256 == [b""]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_source_that_goes_away_is_not_taken_for_bad_files(
    tmp_path: Path, monkeypatch: Any, threads: int
) -> None:
    """Its index would stay when the source is back as it was."""
    root = good(tmp_path / "d", n=20)
    really = examine.probe

    def probe(data: bytes, name: str, policy: dict[str, Any]) -> examine.Probe:
        if root.exists():
            root.rename(tmp_path / "unplugged")
        return really(data, name, policy)

    monkeypatch.setattr(examine, "probe", probe)
    with pytest.raises(FileNotFoundError) as told:
        indexed(root, tmp_path / "o", threads=threads)
    assert str(disk.in_words(told.value)).startswith(str(root))
    assert not (tmp_path / "o/manifest.parquet").exists()


def test_a_file_beyond_the_limit(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(examine, "MAX_BYTES", 100)
    block = examine.examine(str(good(tmp_path)), ["cat/0.jpg"], Decode().model_dump())
    assert block.trouble[0].startswith("too large:") and "a file may have 100" in block.trouble[0]


def test_a_worker_that_dies_costs_its_file_only(tmp_path: Path, monkeypatch: Any) -> None:
    root = good(tmp_path / "d", n=20)
    bad = {(root / f"{c}/7.jpg").read_bytes() for c in ("cat", "dog")}
    really = examine.probe

    def probe(data: bytes, name: str, policy: dict[str, Any]) -> examine.Probe:
        if data in bad:
            os.kill(os.getpid(), signal.SIGKILL)
        return really(data, name, policy)

    monkeypatch.setattr(examine, "probe", probe)
    rows, _ = indexed(root, tmp_path / "o", threads=2)
    broken = {p: r["reason"] for p, r in rows.items() if r["status"] != "ok"}
    said = "crashed: the decoder ended by signal SIGKILL"
    assert broken == {"cat/7.jpg": said, "dog/7.jpg": said}


def test_a_file_on_which_the_decoder_hangs_costs_that_file_only(
    tmp_path: Path, monkeypatch: Any
) -> None:
    root = good(tmp_path / "d", n=8)
    bad = (root / "cat/7.jpg").read_bytes()
    really = examine.probe

    def probe(data: bytes, name: str, policy: dict[str, Any]) -> examine.Probe:
        while data == bad:
            pass
        return really(data, name, policy)

    monkeypatch.setattr(examine, "probe", probe)
    monkeypatch.setattr(workers, "LIMIT", 1.0)
    rows, _ = indexed(root, tmp_path / "o", threads=2)
    broken = {p: r["reason"] for p, r in rows.items() if r["status"] != "ok"}
    said = "crashed: the decoder ended by the limit of 1 s of computing for an image: it hangs"
    assert broken == {"cat/7.jpg": said}


def test_the_limit_of_time_is_that_of_one_file(tmp_path: Path, monkeypatch: Any) -> None:
    root = good(tmp_path / "d", n=32)  # blocks of eight files
    really = examine.probe
    slow = {(root / f"cat/{i}.jpg").read_bytes(): 0.3 for i in range(8)}  # 2.4 s, but none over 1 s
    slow[(root / "dog/3.jpg").read_bytes()] = 1.6  # less than 8 s, but over 1 s

    def probe(data: bytes, name: str, policy: dict[str, Any]) -> examine.Probe:
        end = time.process_time() + slow.get(data, 0)
        while time.process_time() < end:
            pass
        return really(data, name, policy)

    monkeypatch.setattr(examine, "probe", probe)
    monkeypatch.setattr(workers, "LIMIT", 1.0)
    rows, _ = indexed(root, tmp_path / "o")
    assert [p for p, r in rows.items() if r["status"] != "ok"] == ["dog/3.jpg"]


def test_16_bit_files_have_the_scale_of_their_data_set(tmp_path: Path, caplog: Any) -> None:
    values = np.random.default_rng(0).integers(2000, 4000, (4, 30, 40)).astype(np.uint16)
    values[1] //= 300  # 13 at most: one gray level of 4,095
    values[2] //= 30
    values[3] = 3
    for i, image in enumerate(values):
        (tmp_path / "d" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / "ab"[i % 2] / f"{i}.png").write_bytes(sixteen_bit_png(image))
    (tmp_path / "d/a/8 bits.png").write_bytes(encoded(photograph(1)[..., 0], "PNG"))
    rows, manifest = indexed(tmp_path / "d", tmp_path / "o")
    assert {p: (r["maximum"], r["reason"]) for p, r in rows.items()} == {
        "a/0.png": (values[0].max(), "16-bit: 0..4,095 to 0..255"),
        "b/1.png": (13, "16-bit: 0..4,095 to 0..255; dark: 2 of 256 levels"),
        "a/2.png": (133, "16-bit: 0..4,095 to 0..255; dark: 9 of 256 levels"),
        "b/3.png": (3, "16-bit: 0..4,095 to 0..255; one colour throughout"),
        "a/8 bits.png": (None, ""),
    }
    about = json.loads(pq.read_schema(manifest).metadata[b"darkroom"])
    assert about["white_level"] == 4095 and "end at 3," in about["warnings"][-1]
    assert f"16-bit files end at {values[0].max():,}: 0..4,095 becomes 0..255" in caplog.text
    caplog.clear()
    rows, _ = indexed(tmp_path / "d", tmp_path / "o", decode={"sixteen_bit": "stretch"})
    assert rows["b/1.png"]["reason"] == "16-bit: own range to 0..255"
    assert "becomes 0..255" not in caplog.text


def test_shards_of_an_index_find_one_scale(tmp_path: Path) -> None:
    for i, top in enumerate((100, 1000, 4000, 200)):
        image = np.linspace(0, top, 1200).reshape(30, 40).astype(np.uint16)
        (tmp_path / "d" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / "ab"[i % 2] / f"{i}.png").write_bytes(sixteen_bit_png(image))
    _, whole = indexed(tmp_path / "d", tmp_path / "o")
    source, listing = str(tmp_path / "o/source.json"), str(tmp_path / "listing.parquet")
    policy, parts = Decode().model_dump(), [str(tmp_path / f"{k}.parquet") for k in (1, 2)]
    sharded.list_files(source, listing, cfg={"layout": Layout().model_dump(), "group": None})
    for k, part in enumerate(parts, start=1):
        cfg = {"decode": policy, "shard": k, "shards": 2}
        sharded.index_shard(source, listing, part, cfg=cfg, threads=1)
    joined = str(tmp_path / "manifest.parquet")
    sharded.join_index(source, listing, parts, joined, joined + ".npy", cfg={"dataset": "pets"})
    assert Path(joined).read_bytes() == whole.read_bytes()


def test_numbers_of_a_header_end_no_run(tmp_path: Path) -> None:
    root = good(tmp_path / "d")
    frames = b"acTL" + struct.pack(">II", 2**32 - 1, 0)
    chunk = struct.pack(">I", 8) + frames + struct.pack(">I", zlib.crc32(frames))
    data = encoded(photograph(9), "PNG")
    (root / "cat/frames.png").write_bytes(data[:33] + chunk + data[33:])
    deep = bytearray(tiff(photograph(9)[..., 0], 1))
    at = deep.index(struct.pack("<HH", 258, 3))
    deep[at + 8 : at + 10] = struct.pack("<H", 65_474)
    (root / "cat/bits.tif").write_bytes(deep)
    rows, _ = indexed(root, tmp_path / "o")
    assert rows["cat/frames.png"]["frames"] == 1
    assert rows["cat/bits.tif"]["status"] == "unusable"


def test_a_defect_is_no_reason(tmp_path: Path, monkeypatch: Any) -> None:
    def probe(*_: Any) -> examine.Probe:
        raise ZeroDivisionError("a defect of ours")

    monkeypatch.setattr(examine, "probe", probe)
    with pytest.raises(RuntimeError, match="ZeroDivisionError: a defect of ours"):
        indexed(good(tmp_path / "d"), tmp_path / "o")


def test_a_root_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(
        UserError,
        match=r"nowhere cannot be read: there is no such folder .*--forcerun download_source",
    ):
        indexed(tmp_path / "nowhere", tmp_path / "o")


def test_a_class_without_usable_image_is_told(tmp_path: Path, caplog: Any) -> None:
    root = good(tmp_path / "d")
    (root / "bird").mkdir()
    (root / "bird" / "1.jpg").write_bytes(b"")
    with caplog.at_level(logging.INFO, "darkroom"):
        _, manifest = indexed(root, tmp_path / "o")
    assert "class 'bird' has no usable image" in caplog.text
    meta = json.loads(pq.read_schema(manifest).metadata[b"darkroom"])
    assert meta["labels"] == ["cat", "dog"]


# ---------------------------------------------------------------- perceptual hashes


def test_the_thumbnail_is_of_the_image_as_shown(tmp_path: Path) -> None:
    root = good(tmp_path / "d")
    upright = photograph(50)
    turned = Image.Exif()
    turned[0x0112] = 6
    stored = np.ascontiguousarray(np.rot90(upright, 1))
    (root / "cat" / "a.png").write_bytes(encoded(upright, "PNG"))
    (root / "cat" / "b.png").write_bytes(encoded(stored, "PNG", exif=turned))
    rows, _ = indexed(root, tmp_path / "o")
    a, b = np.load(tmp_path / "o/thumbnails.npy")[[rows[f"cat/{n}.png"]["row"] for n in "ab"]]
    assert (a == b).all() and a.std() > 10
    assert rows["cat/a.png"]["sha256"] != rows["cat/b.png"]["sha256"]


# ---------------------------------------------------------------- the limit


def checked(manifest: Path, output: Path, limit: float) -> list[list[str]]:
    check_files(str(manifest), str(output), cfg={"dataset": "pets"}, limit=limit)
    with output.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_too_many_unusable_files_stop_with_a_list(
    awful: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    root, expected = awful
    rows, manifest = indexed(root, tmp_path)
    bad = sorted(p for p, r in rows.items() if r["status"] == "unusable")
    logger, path = logging.getLogger("darkroom"), tmp_path / "check.log"
    handler = logging.FileHandler(path)
    logger.addHandler(handler)
    try:
        with pytest.raises(UserError) as error:
            checked(manifest, tmp_path / "unusable.csv", 0.02)
    finally:
        logger.removeHandler(handler)
        handler.close()
    said = str(error.value)
    assert f"{len(bad)} of {len(rows)} files of pets" in said
    assert "datasets.pets.max_unusable allows 2.0%" in said and "repair or remove them" in said
    assert said.count("\n") == 21 and f"… and {len(bad) - 20} more; all are in" in said
    assert f"  {bad[0]}: {rows[bad[0]]['reason']}" in said
    logged = path.read_text()
    assert all(p in logged for p in bad)

    listed = checked(manifest, tmp_path / "unusable.csv", 0.9)
    assert listed[0] == ["path", "label", "reason"]
    assert [r[0] for r in listed[1:]] == bad
    assert all(expected[p] in reason for p, _, reason in listed[1:])


def test_a_share_right_at_the_limit_passes(tmp_path: Path) -> None:
    root = good(tmp_path / "d", n=5)
    (root / "cat" / "0.jpg").write_bytes(b"")
    _, manifest = indexed(root, tmp_path / "o")
    out = tmp_path / "u.csv"
    assert checked(manifest, out, 0.1) == [
        ["path", "label", "reason"], ["cat/0.jpg", "cat", "empty: the file has 0 bytes"],
    ]  # fmt: skip
    with pytest.raises(UserError, match="1 of 10 files of pets"):
        checked(manifest, out, 0.09)


def test_nothing_usable_and_one_label(tmp_path: Path) -> None:
    root = good(tmp_path / "d")
    for path in (root / "cat").iterdir():
        path.write_bytes(b"")
    _, manifest = indexed(root, tmp_path / "o")
    with pytest.raises(UserError, match="have one label only, 'dog'"):
        checked(manifest, tmp_path / "u.csv", 1)
    for path in (root / "dog").iterdir():
        path.write_bytes(b"")
    _, manifest = indexed(root, tmp_path / "o")
    with pytest.raises(UserError, match="none of the 8 files of pets can be used"):
        checked(manifest, tmp_path / "u.csv", 1)
