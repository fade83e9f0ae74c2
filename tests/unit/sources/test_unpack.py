"""Archives: recognised by content, unpacked whole, and never beyond the target or the limits."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import os
import shutil
import stat
import struct
import tarfile
import time
import zipfile
import zlib
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from darkroom.errors import UserError
from darkroom.sources import formats, names
from darkroom.sources import unpack as archive

FILES = {"a/1.png": b"one" * 999, "a/2.png": b"two", "b/3.png": b"", "read me.txt": b"hello"}
LOTS = {"max_bytes": 10**9, "max_files": 10**6}


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return out.getvalue()


def tarred(*entries: tuple[str, bytes] | tarfile.TarInfo, form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as file:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                file.addfile(entry)
            else:
                info = tarfile.TarInfo(entry[0])
                info.size = len(entry[1])
                file.addfile(info, io.BytesIO(entry[1]))
    return out.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def unpack(folder: Path, data: bytes, name: str = "pets.bin", **limits: int) -> archive.Unpacked:
    (folder / name).write_bytes(data)
    return archive.unpack(str(folder / name), str(folder / "out"), **{**LOTS, **limits})


def tree(folder: Path) -> dict[str, bytes]:
    out = folder / "out"
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


TAR = tarred(*FILES.items())
PACKED: dict[str, bytes] = {
    "zip": zipped(FILES),
    "tar": TAR,
    "tar.gz": gzip.compress(TAR),
    "tar.bz2": bz2.compress(TAR),
    "tar.xz": lzma.compress(TAR),
    "tar.zst": zstandard.compress(TAR),
}


@pytest.mark.parametrize("kind", PACKED)
def test_every_kind_is_known_by_content_and_unpacked(tmp_path: Path, kind: str) -> None:
    got = unpack(tmp_path, PACKED[kind])
    assert formats.recognise(str(tmp_path / "pets.bin")) == kind
    assert tree(tmp_path) == FILES
    assert (got.files, got.bytes, got.skipped) == (4, sum(map(len, FILES.values())), {})
    for path in (tmp_path / "out").rglob("*"):
        wanted = 0o777 if path.is_dir() else 0o666
        umask = os.umask(0)
        os.umask(umask)
        assert stat.S_IMODE(path.stat().st_mode) == wanted & ~umask


@pytest.mark.parametrize("kind", PACKED)
def test_a_listing_is_what_unpacking_gives(tmp_path: Path, kind: str) -> None:
    unpack(tmp_path, PACKED[kind])
    assert archive.listing(str(tmp_path / "pets.bin")) == sorted(tree(tmp_path))
    assert archive.listing(str(tmp_path / "pets.bin"), limit=3) is None


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_of_zip(tmp_path: Path, method: int) -> None:
    unpack(tmp_path, zipped(FILES, method))
    assert tree(tmp_path) == FILES


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_other_forms_of_tar_and_long_names(tmp_path: Path, form: int) -> None:
    long = "d" * 90 + "/" + "n" * 90 + ".png"
    unpack(tmp_path, tarred((long, b"x"), form=form))
    assert tree(tmp_path) == {long: b"x"}


@pytest.mark.parametrize(
    ("packer", "kind"),
    [
        (gzip.compress, "gz"),
        (bz2.compress, "bz2"),
        (lzma.compress, "xz"),
        (zstandard.compress, "zst"),
    ],
)
def test_one_compressed_file(tmp_path: Path, packer: Callable[[bytes], bytes], kind: str) -> None:
    unpack(tmp_path, packer(b"x" * 600), f"scan.png.{kind}")
    assert formats.recognise(str(tmp_path / f"scan.png.{kind}")) == kind
    assert tree(tmp_path) == {"scan.png": b"x" * 600}
    assert archive.listing(str(tmp_path / f"scan.png.{kind}")) is None


def test_a_zip_behind_a_program_and_a_tar_that_ends_in_a_zip(tmp_path: Path) -> None:
    unpack(tmp_path, b"#!/bin/sh\nexit\n" + PACKED["zip"])
    assert tree(tmp_path) == FILES
    shutil.rmtree(tmp_path / "out")
    unpack(tmp_path, tarred(("inner.bin", zipped({"x": b"x"}))))
    assert list(tree(tmp_path)) == ["inner.bin"]


def test_several_frames_of_zstd_and_members_of_gzip(tmp_path: Path) -> None:
    half = len(TAR) // 2
    unpack(tmp_path, zstandard.compress(TAR[:half]) + zstandard.compress(TAR[half:]))
    assert tree(tmp_path) == FILES
    shutil.rmtree(tmp_path / "out")
    unpack(tmp_path, gzip.compress(TAR[:half]) + gzip.compress(TAR[half:]))
    assert tree(tmp_path) == FILES


# ---------------------------------------------------------------- not an archive, not whole


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "pets.bin is empty"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(100), "is a 7z archive"),
        (b"Rar!\x1a\x07\x01\x00" + bytes(100), "is a rar archive"),
        (b"\n <!DOCTYPE html><html>", "is a web page, not an archive"),
        (b"\x89PNG\r\n\x1a\n" + bytes(600), "is no archive of a supported format"),
        (zipped({}), "holds no files"),
        (bytes(10240), "holds no files"),
    ],
)
def test_files_that_are_no_archives(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(UserError, match=words):
        unpack(tmp_path, data)


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("cut", [0.3, 0.5, 0.7])
def test_a_truncated_archive_is_one_sentence(tmp_path: Path, kind: str, cut: float) -> None:
    noise = {f"{i}.png": os.urandom(3000) for i in range(9)}
    data = {**PACKED, "zip": zipped(noise)}
    body = tarred(*noise.items())
    packers: dict[str, Any] = {
        "tar": bytes,
        "tar.gz": gzip.compress,
        "tar.bz2": bz2.compress,
        "tar.xz": lzma.compress,
        "tar.zst": zstandard.compress,
    }
    if kind in packers:
        data[kind] = packers[kind](body)
    with pytest.raises(formats.Damaged, match=r"pets.bin is damaged or truncated") as caught:
        unpack(tmp_path, data[kind][: int(len(data[kind]) * cut)])
    assert "\n" not in str(caught.value)


def test_a_tar_cut_between_two_files_is_noticed(tmp_path: Path) -> None:
    whole = tarred(("1.png", b"x" * 512), ("2.png", b"y" * 512), form=tarfile.GNU_FORMAT)
    with pytest.raises(formats.Damaged, match="the end of the tar is missing"):
        unpack(tmp_path, whole[:1024])
    with pytest.raises(formats.Damaged, match="the end of the tar is missing"):
        unpack(tmp_path, zstandard.compress(whole[:1024]))


def test_a_tar_with_a_damaged_header_is_noticed(tmp_path: Path) -> None:
    whole = bytearray(tarred(("1.png", b"x" * 512), ("2.png", b"y" * 512), form=tarfile.GNU_FORMAT))
    whole[1024:1034] = b"##########"
    with pytest.raises(formats.Damaged):
        unpack(tmp_path, bytes(whole))


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz", "tar.bz2"])
def test_a_changed_byte_is_noticed(tmp_path: Path, kind: str) -> None:
    noise = {"1.png": os.urandom(5000)}
    data = {
        "zip": zipped(noise, zipfile.ZIP_STORED),
        "tar.gz": gzip.compress(tarred(*noise.items())),
        "tar.xz": lzma.compress(tarred(*noise.items())),
        "tar.bz2": bz2.compress(tarred(*noise.items())),
    }[kind]
    bad = bytearray(data)
    bad[len(bad) // 2] ^= 0x55
    with pytest.raises(formats.Damaged):
        unpack(tmp_path, bytes(bad))


def test_the_checksum_behind_the_last_file_is_read(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(tarred(("1.png", b"x")) + bytes(4_000_000)))
    data[-8] ^= 0x55
    with pytest.raises(formats.Damaged, match="CRC"):
        unpack(tmp_path, bytes(data))


def test_passwords_are_reported(tmp_path: Path) -> None:
    data = bytearray(zipped({"1.png": b"x"}))
    for sign, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(sign) + at] |= 1
    with pytest.raises(UserError, match="protected by a password"):
        unpack(tmp_path, bytes(data))


def test_methods_that_python_cannot_read_are_reported(tmp_path: Path) -> None:
    data = bytearray(zipped({"1.png": b"x"}))
    data[data.index(b"PK\x03\x04") + 8] = data[data.index(b"PK\x01\x02") + 10] = 9  # deflate64
    with pytest.raises(UserError, match="compressed in a way that Python cannot read"):
        unpack(tmp_path, bytes(data))


# ---------------------------------------------------------------- paths


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("a/b.png", "a/b.png"),
        ("/etc/passwd", "etc/passwd"),
        ("//server/share/x", "server/share/x"),
        ("C:\\pets\\1.png", "pets/1.png"),
        ("c:/x", "x"),
        ("a\\b\\1.png", "a/b/1.png"),
        ("./a//./b", "a/b"),
        ("a/../b", "b"),
        ("a\nb\x00c\x7f", "a_b_c_"),
        ("", None),
        ("./", None),
        ("caf\udce9.png", "caf%E9.png"),
        ("odd\ud800.png", "odd?.png"),
        ("ünï/猫.png", "ünï/猫.png"),
    ],
)
def test_names_become_safe(name: str, clean: str | None) -> None:
    assert names.safe_name(name) == clean


@pytest.mark.parametrize("name", ["../x", "a/../../x", "..\\x", "C:\\..\\x", "/../x", ".."])
def test_names_that_leave_the_archive(name: str) -> None:
    with pytest.raises(ValueError):
        names.safe_name(name)


def test_a_long_name_is_shortened_the_same_way_each_time() -> None:
    first, second = ("猫" * 200 + end + ".png" for end in "ab")
    short = names.safe_name(first)
    assert short and len(short.encode()) <= 255 and short.endswith(".png")
    assert short == names.safe_name(first) != names.safe_name(second)


@pytest.mark.parametrize("name", ["../evil.png", "a/../../evil.png", "..\\evil.png"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_that_leaves_the_archive_is_refused(
    tmp_path: Path, kind: str, name: str
) -> None:
    data = zipped({name: b"x"}) if kind == "zip" else tarred((name, b"x"))
    with pytest.raises(UserError, match="leads out of the target folder"):
        unpack(tmp_path, data)
    assert not list(tmp_path.rglob("evil*")) and not list(tmp_path.parent.glob("evil*"))


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_absolute_names_stay_below(tmp_path: Path, kind: str) -> None:
    files = {f"{tmp_path}/abs.png": b"x", "C:\\win\\dos.png": b"y"}
    unpack(tmp_path, zipped(files) if kind == "zip" else tarred(*files.items()))
    assert list(tree(tmp_path)) == [f"{tmp_path}/abs.png"[1:], "win/dos.png"]
    assert not (tmp_path / "abs.png").exists()


def test_a_path_too_long_for_the_system(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is too long"):
        unpack(tmp_path, tarred(("/".join(["d" * 200] * 40), b"x")))


def raw_zip(names: list[bytes], flag: int, extra: bytes = b"") -> bytes:
    """A zip whose names are any bytes, with flag bit 11 set or not."""
    body, table = b"", b""
    for name in names:
        rest = struct.pack("<4H3I2H", flag, 0, 0, 0, zlib.crc32(b"x"), 1, 1, len(name), len(extra))
        table += b"PK\x01\x02" + struct.pack("<2H", 20, 20) + rest
        table += struct.pack("<3H2I", 0, 0, 0, 0, len(body)) + name + extra
        body += b"PK\x03\x04" + struct.pack("<H", 20) + rest + name + extra + b"x"
    end = struct.pack("<4H2IH", 0, 0, len(names), len(names), len(table), len(body), 0)
    return body + table + b"PK\x05\x06" + end


@pytest.mark.parametrize(
    ("raw", "flag", "name"),
    [
        ("猫.png".encode(), 0x800, "猫.png"),
        ("猫.png".encode(), 0, "猫.png"),  # macOS and Linux leave the flag out
        ("chat é.png".encode("cp437"), 0, "chat é.png"),
        (b"caf\xe9.png", 0x800, b"caf\xe9.png".decode("cp437")),  # marked UTF-8, and is not
        ("中.png".encode("gbk"), 0, "中.png".encode("gbk").decode("cp437")),
    ],
)
def test_names_of_a_zip_in_any_encoding(tmp_path: Path, raw: bytes, flag: int, name: str) -> None:
    unpack(tmp_path, raw_zip([raw, b"b.png"], flag))
    assert sorted(tree(tmp_path)) == sorted([name, "b.png"])
    assert archive.listing(str(tmp_path / "pets.bin")) == sorted([name, "b.png"])


def test_the_unicode_path_of_info_zip(tmp_path: Path) -> None:
    plain = b"cat.png"
    content = b"\x01" + struct.pack("<I", zlib.crc32(plain)) + "猫.png".encode()
    extra = struct.pack("<2H", 0x7075, len(content)) + content
    unpack(tmp_path, raw_zip([plain], 0, extra))
    assert list(tree(tmp_path)) == ["猫.png"]


def test_names_of_a_tar_in_any_encoding(tmp_path: Path) -> None:
    data = tarred(("caf\udce9/猫.png", b"x"), form=tarfile.GNU_FORMAT)
    unpack(tmp_path, data)
    assert list(tree(tmp_path)) == ["caf%E9/猫.png"]


def test_litter_stays_out(tmp_path: Path) -> None:
    junk = [
        "__MACOSX/a/._1.png",
        ".DS_Store",
        "a/_DS_Store",
        "a/._1.png",
        "a/Thumbs.db",
        "desktop.ini",
    ]
    files = {"a/1.png": b"x", **dict.fromkeys(junk, b"junk")}
    got = unpack(tmp_path, zipped(files))
    assert list(tree(tmp_path)) == ["a/1.png"]
    assert got.skipped == {"files of macOS or Windows file managers": 6}
    assert archive.listing(str(tmp_path / "pets.bin")) == ["a/1.png"]


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_of_equal_names_the_last_counts(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    entries = [
        ("1.png", b"first, longer"),
        ("1.png", b"last"),
        ("A\\1.png", b"x"),
        ("A/1.png", b"y"),
    ]
    if kind == "tar":
        data = tarred(*entries)
    else:
        out = io.BytesIO()
        with pytest.warns(UserWarning), zipfile.ZipFile(out, "w") as file:
            for name, content in entries:
                file.writestr(name, content)
        data = out.getvalue()
    got = unpack(tmp_path, data)
    assert tree(tmp_path) == {"1.png": b"last", "A/1.png": b"y"}
    assert got.files == 2 and sum(got.skipped.values()) == 2
    assert "left out 2 entries, replaced by a later entry of the same name" in caplog.text


def test_a_file_and_a_folder_of_one_name(tmp_path: Path) -> None:
    got = unpack(tmp_path, tarred(("a", b"x"), ("a/b", b"y"), ("c/d", b"z"), ("c", b"w")))
    assert tree(tmp_path) == {"a": b"x", "c/d": b"z"}
    assert got.skipped == {"a file and a folder of the same name": 2}


# ---------------------------------------------------------------- links, devices


def test_links_become_files_or_stay_out(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    sym, hard = tarfile.SYMTYPE, tarfile.LNKTYPE
    data = tarred(
        ("all/1.png", b"one"),
        special("train/cat/1.png", sym, "../../all/1.png"),
        special("train/chain.png", sym, "cat/1.png"),
        special("hard.png", hard, "all/1.png"),
        special("early.png", sym, "late.png"),
        ("late.png", b"late"),
        special("folder", sym, "all"),
        special("out1", sym, "../secret"),
        special("out2", sym, str(tmp_path / "secret")),
        special("out3", hard, "../secret"),
        special("gone", sym, "nothing"),
        special("round", sym, "round"),
        special("late.png", sym, "all/1.png"),
        special("all/1.png/x", sym, "../1.png"),
    )
    got = unpack(tmp_path, data)
    assert tree(tmp_path) == {
        "all/1.png": b"one",
        "train/cat/1.png": b"one",
        "train/chain.png": b"one",
        "hard.png": b"one",
        "early.png": b"late",
        "late.png": b"late",
    }
    assert not any(p.is_symlink() for p in (tmp_path / "out").rglob("*"))
    assert got.skipped["links out of the archive"] == 3
    assert got.skipped["links to a folder"] == 1
    assert got.skipped["links to nothing"] == 2
    assert got.skipped["a file and a folder of the same name"] == 1
    assert got.skipped["links in place of an existing file"] == 1
    assert archive.listing(str(tmp_path / "pets.bin")) is None


def test_a_link_is_not_a_way_out_for_what_follows_it(tmp_path: Path) -> None:
    """The classic attack: a link to a folder outside, then a file through it."""
    (tmp_path / "outside").mkdir()
    data = tarred(special("d", tarfile.SYMTYPE, str(tmp_path / "outside")), ("d/evil.png", b"x"))
    unpack(tmp_path, data)
    assert not list((tmp_path / "outside").iterdir())
    assert tree(tmp_path) == {"d/evil.png": b"x"}


def test_links_count_towards_the_limits(tmp_path: Path) -> None:
    links = [special(f"{i}.png", tarfile.SYMTYPE, "big") for i in range(50)]
    with pytest.raises(UserError, match="more than 1e-06 GB"):
        unpack(tmp_path, tarred(("big", b"x" * 100), *links), max_bytes=1000)
    with pytest.raises(UserError, match="more than 9 files"):
        unpack(tmp_path, tarred(*links), max_files=9)


def test_links_of_a_zip(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("a/1.png", b"one")
        for name, target in (("b/1.png", "../a/1.png"), ("evil", "/etc/passwd")):
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            file.writestr(info, target)
        fifo = zipfile.ZipInfo("pipe")
        fifo.create_system, fifo.external_attr = 3, stat.S_IFIFO << 16
        file.writestr(fifo, "")
        folder = zipfile.ZipInfo("folder")
        folder.create_system, folder.external_attr = 3, (stat.S_IFDIR | 0o755) << 16
        file.writestr(folder, "")
        file.writestr("empty/", "")
    got = unpack(tmp_path, out.getvalue())
    assert tree(tmp_path) == {"a/1.png": b"one", "b/1.png": b"one"}
    assert got.skipped == {"links out of the archive": 1, "devices, pipes and sockets": 1}


def test_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no")

    monkeypatch.setattr(os, "link", refuse)
    unpack(tmp_path, tarred(("1.png", b"one"), special("2.png", tarfile.LNKTYPE, "1.png")))
    assert tree(tmp_path) == {"1.png": b"one", "2.png": b"one"}


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_and_pipes_stay_out(tmp_path: Path, kind: bytes) -> None:
    got = unpack(tmp_path, tarred(("1.png", b"x"), special("dev", kind)))
    assert list((tmp_path / "out").iterdir()) == [tmp_path / "out" / "1.png"]
    assert got.skipped == {"devices, pipes and sockets": 1}


# ---------------------------------------------------------------- limits


@pytest.mark.parametrize("kind", PACKED)
def test_limits_on_size_and_count(tmp_path: Path, kind: str) -> None:
    with pytest.raises(UserError, match=r"more than 2e-06 GB: .* raise limits: \{max_gb"):
        unpack(tmp_path, PACKED[kind], max_bytes=2000)
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(UserError, match=r"more than 3 files: .* raise limits: \{max_files"):
        unpack(tmp_path, PACKED[kind], max_files=3)
    shutil.rmtree(tmp_path / "out")
    size = sum(map(len, FILES.values()))
    assert unpack(tmp_path, PACKED[kind], max_bytes=size, max_files=4).files == 4


def test_headers_that_lie_do_not_matter(tmp_path: Path) -> None:
    """A zip that says 1 byte and holds 10 MB gives at most what it says."""
    data = bytearray(zipped({"bomb.png": bytes(10**7)}))
    for sign, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = data.index(sign) + at
        data[place : place + 4] = struct.pack("<I", 1)
    with pytest.raises(UserError):
        unpack(tmp_path, bytes(data), max_bytes=1000)
    assert sum(p.stat().st_size for p in (tmp_path / "out").rglob("*") if p.is_file()) <= 1000


def test_a_bomb_is_stopped_long_before_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "BOMB_BYTES", 10**6)
    inner = zipped({f"{i}": bytes(2_000_000) for i in range(3)})
    nested = zipped({f"{i}.zip": inner for i in range(20)})
    with pytest.raises(UserError, match="looks like a zip bomb"):
        unpack(tmp_path, nested)
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(UserError, match="looks like a zip bomb"):
        unpack(tmp_path, zstandard.compress(tarred(("0", bytes(9_000_000)))))


def test_entries_that_write_nothing_are_limited_too(tmp_path: Path) -> None:
    folders = [special(f"d{i}", tarfile.DIRTYPE) for i in range(10_010)]
    with pytest.raises(UserError, match="more than 5 files"):
        unpack(tmp_path, gzip.compress(tarred(("1", b"x"), *folders), 1), max_files=5)


def test_a_stream_beside_the_files_is_limited_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive._Unpacking, "_stream_limit", lambda _: 50_000)
    tail = gzip.compress(tarred(("1.png", b"x")) + bytes(10**6))
    with pytest.raises(UserError, match="far more than the data set's limits"):
        unpack(tmp_path, tail)


def test_a_giant_header_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.pax_headers = {"comment": "x" * (2 << 20)}
    with pytest.raises(UserError, match="a header of more than 1 MB"):
        unpack(tmp_path, tarred(info))


@pytest.mark.parametrize(
    "header",
    [
        b"1" * 900_000,  # no end of the number
        b"1 " * 400_000,  # records of one byte
        b"900018 comment=" + b"1" * 900_002 + b"\n",  # a value of digits alone
        b"20 path=no-line-end!",
    ],
)
def test_a_pax_header_that_takes_tarfile_hours_is_refused(tmp_path: Path, header: bytes) -> None:
    pax = special("x", tarfile.XHDTYPE)
    pax.size = len(header)
    packed = pax.tobuf() + header + bytes(-len(header) % 512) + tarred(("1.png", b"x"))
    began = time.process_time()
    with pytest.raises(UserError, match="a pax header with a"):
        unpack(tmp_path, gzip.compress(packed, 1))
    assert archive.listing(str(tmp_path / "pets.bin")) is None
    assert time.process_time() - began < 5


def test_what_stands_behind_the_end_of_nested_tars_is_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "BOMB_BYTES", 100_000)
    inner = bz2.compress(tarred(("1.png", b"x")) + bytes(90_000))
    packed = tarred(*[(f"{i}.tar.bz2", inner) for i in range(9)])
    with pytest.raises(UserError, match="far more than the data set's limits"):
        unpack(tmp_path, packed, max_bytes=50_000)


def test_a_table_of_more_files_than_the_archive_can_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MOST_ENTRIES", 50)
    inner = zipped({"0" * i: b"" for i in range(1, 200)}, zipfile.ZIP_STORED)
    packed = lzma.compress(tarred(("a.zip", inner)))
    assert len(packed) < 1990
    with pytest.raises(UserError, match="its table lists more files than"):
        unpack(tmp_path, packed)
    assert archive.listing(str(tmp_path / "pets.bin"), limit=10) is None


def test_folders_without_files_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_OTHERS", 100)
    folders = [special(f"d{i}", tarfile.DIRTYPE) for i in range(200)]
    with pytest.raises(UserError, match="more than 1,000,000 files"):
        unpack(tmp_path, tarred(*folders, ("1", b"x")), max_files=10**6)


def test_space_is_checked_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("U", "free")(100))
    with pytest.raises(UserError, match=r"no space: unpacking pets.bin needs 3.0 kB .* 100 B free"):
        unpack(tmp_path, PACKED["zip"])
    assert tree(tmp_path) == {}


def test_a_disk_that_fills_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(archive._Unpacking, "count_bytes", full)
    with pytest.raises(UserError, match="no space: writing below"):
        unpack(tmp_path, PACKED["tar.gz"])


def test_other_errors_of_the_system_keep_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object) -> None:
        raise PermissionError(errno.EACCES, "denied")

    monkeypatch.setattr(archive._Unpacking, "count_bytes", denied)
    for kind in ("zip", "tar"):
        with pytest.raises(PermissionError):
            unpack(tmp_path, PACKED[kind])
        shutil.rmtree(tmp_path / "out")


# ---------------------------------------------------------------- archives in archives


def test_nested_archives_are_unpacked_in_place(tmp_path: Path) -> None:
    data = zipped(
        {
            "train.zip": zipped({"cat/1.png": b"1"}),
            "more/test.tar.gz": gzip.compress(tarred(("dog/2.png", b"2"))),
            "labels.csv.gz": gzip.compress(b"a,b"),  # data, read as it is
            "array.npz": zipped({"x.npy": b"3"}),  # a zip by content, not by name
            "fake.zip": b"not a zip",
        }
    )
    got = unpack(tmp_path, data)
    assert sorted(tree(tmp_path)) == [
        "array.npz",
        "fake.zip",
        "labels.csv.gz",
        "more/test/dog/2.png",
        "train/cat/1.png",
    ]
    assert got.files == 5 and got.bytes == sum(map(len, tree(tmp_path).values()))
    assert archive.listing(str(tmp_path / "pets.bin")) is None


def test_a_nested_archive_beside_a_folder_of_its_name(tmp_path: Path) -> None:
    data = zipped({"train/1.png": b"1", "train.zip": zipped({"1.png": b"2"})})
    unpack(tmp_path, data)
    assert tree(tmp_path) == {"train/1.png": b"1", "train.zip/1.png": b"2"}


def test_nesting_has_an_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = zipped({"x.png": b"x"})
    for level in range(5):
        data = zipped({f"{level}.zip": data})
    got = unpack(tmp_path, data)
    assert list(tree(tmp_path)) == ["4/3/2/1.zip"]
    assert got.skipped == {"archives nested deeper than 3, not unpacked": 1}
    assert "not unpacked" in caplog.text


def test_limits_hold_across_nesting(tmp_path: Path) -> None:
    inner = zipped({f"{i}.png": b"x" for i in range(4)})
    with pytest.raises(UserError, match="more than 7 files"):
        unpack(tmp_path, zipped({"a.zip": inner, "b.zip": inner}), max_files=7)


def test_a_broken_archive_inside_is_named(tmp_path: Path) -> None:
    inner = zipped({"1.png": os.urandom(999)})
    with pytest.raises(formats.Damaged, match=r"pets.bin: in/train.zip is damaged"):
        unpack(tmp_path, zipped({"in/train.zip": inner[:500]}))
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(UserError, match="leads out of the target folder"):
        unpack(tmp_path, zipped({"in/train.zip": zipped({"../../evil": b"x"})}))


def test_links_within_a_nested_archive_stay_there(tmp_path: Path) -> None:
    inner = tarred(
        ("1.png", b"inner"),
        special("2.png", tarfile.SYMTYPE, "1.png"),
        special("up", tarfile.SYMTYPE, "../1.png"),
    )
    got = unpack(tmp_path, zipped({"1.png": b"outer", "in.tar": inner}))
    assert tree(tmp_path) == {"1.png": b"outer", "in/1.png": b"inner", "in/2.png": b"inner"}
    assert got.skipped == {"links out of the archive": 1}


def test_stem() -> None:
    stems = {"a.zip": "a", "a.tar.gz": "a", "x/a.b.tgz": "x/a.b", "a": "a", ".zip": ".zip"}
    assert {n: names.stem(n) for n in stems} == stems


def test_a_listing_of_what_cannot_be_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    for data in (b"", b"PK\x03\x04 no", PACKED["tar.gz"][:99], tarred(("../x", b""))):
        path.write_bytes(data)
        assert archive.listing(str(path)) is None
    path.write_bytes(PACKED["tar.gz"])
    monkeypatch.setattr(archive, "SLOW_LISTING", 10)
    assert archive.listing(str(path)) is None
