"""Sources: every kind by its string, reused when verified, never half-written."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from darkroom import ROOT
from darkroom.config.settings import Settings
from darkroom.config.stages import stage_settings
from darkroom.errors import UserError
from darkroom.machine import disk
from darkroom.sources import addresses, http, kaggle, local, unpack
from darkroom.sources.download import _DataFolder, download_source
from darkroom.sources.folders import survey
from tests.support.kaggle_server import SIGNATURE, TOKEN, Server
from tests.support.waiting import until


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, data in files.items():
            file.writestr(name, data)
    return out.getvalue()


FILES = {"cats/1.png": b"cat" * 999, "dogs/2.png": b"dog" * 999}
PETS = zipped(FILES)
NEW_PETS = zipped({**FILES, "dogs/3.png": b"new"})
SHA = hashlib.sha256(PETS).hexdigest()


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory, and a home without credentials."""
    for name in list(os.environ):
        if name.startswith("KAGGLE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(http, "sleep", lambda _: None)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    import kagglesdk.kaggle_env as env

    with Server({"/pets.zip": PETS, "/pets-3.zip": PETS, "/cup.zip": PETS}) as running:
        monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "TEST")
        monkeypatch.setitem(
            env._env_to_endpoint, env.KaggleEnv.TEST, f"http://localhost:{running.server_port}"
        )
        yield running


def cfg(source: str, **more: Any) -> dict[str, Any]:
    return {
        "dataset": "pets",
        "source": source,
        "sha256": None,
        "limits": {"max_gb": 1.0, "max_files": 1000},
        "root": None,
        **more,
    }


def download(source: str, mirror: str | None = None, **more: Any) -> dict[str, Any]:
    output = Path("data/pets/source.json")
    output.unlink(missing_ok=True)  # as Snakemake does before a job
    download_source(str(output), cfg=cfg(source, **more), mirror=mirror)
    record: dict[str, Any] = json.loads(output.read_text())
    return record


def tree(root: str = "data/pets/files") -> dict[str, bytes]:
    return {
        p.relative_to(root).as_posix(): p.read_bytes()
        for p in sorted(Path(root).rglob("*"))
        if p.is_file()
    }


def left(folder: str = "data/pets") -> list[str]:
    return sorted(p.name for p in Path(folder).iterdir())


def put(folder: Path, files: dict[str, bytes] = FILES) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


# ---------------------------------------------------------------- the string


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("bundled:digits", "bundled"),
        ("https://example.org/a.zip", "https"),
        ("http://localhost:1/a.zip", "https"),
        ("HTTPS://example.org/a.zip", "https"),
        ("kaggle:ada/pets", "kaggle"),
        ("kaggle:ada/pets-2.0_x@12", "kaggle"),
        ("kaggle-competition:dogs-vs-cats", "kaggle-competition"),
    ],
)
def test_kinds(source: str, kind: str) -> None:
    assert addresses.kind(source) == kind
    assert local.local_input(source) is None
    assert local.listing(source) is None


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("bundled:cifar", "the one bundled data set is bundled:digits"),
        ("bundeld:digits", "did you mean bundled:?"),
        ("kagle:ada/pets", "did you mean kaggle:?"),
        ("kaggle:pets", "a Kaggle data set is kaggle:owner/name"),
        ("kaggle:ada/pets@latest", "a Kaggle data set is kaggle:owner/name"),
        ("kaggle:ada/../pets", "a Kaggle data set is kaggle:owner/name"),
        ("kaggle-competition:a/b", "a competition is kaggle-competition:name"),
        ("s3://bucket/pets.zip", "a source is one of"),
        ("ftp://host/pets.zip", "a source is one of"),
        ("https:///pets.zip", "names no server"),
        ("https://[x/pets.zip", "names no server"),
        ("~nobody/x", "there is no such folder or archive"),
        ("no/such/folder", "there is no such folder or archive"),
        ("pets.zip", "there is no such folder or archive"),
        ("", "there is no such folder or archive"),
        ("https://www.kaggle.com/datasets/ada/pets?x=1", "write kaggle:ada/pets"),
        ("https://kaggle.com/c/dogs/data", "write kaggle-competition:dogs"),
        ("https://www.kaggle.com/competitions/dogs", "write kaggle-competition:dogs"),
        ("https://www.kaggle.com/code", "write kaggle:owner/name or kaggle-comp"),
    ],
)
def test_an_unknown_source_is_reported_with_the_forms(source: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        addresses.kind(source)
    assert words in str(caught.value) and "\n" not in str(caught.value)
    if "page of Kaggle" not in str(caught.value):
        assert "bundled:digits, a folder, an archive, https://…" in str(caught.value)


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("https://example.org/a.zip", "https://example.org/a.zip"),
        ("https://ada:s3cret@example.org/a.zip", "https://…@example.org/a.zip"),
        ("htps//ada:s3cret@example.org/a.zip", "htps//…@example.org/a.zip"),
        ("https:ada:s3cret@example.org/a.zip", "https:…@example.org/a.zip"),
        ("https://example.org/{a,b}.zip?token=s3cret", "https://example.org/{a,b}.zip?…531aa7c3"),
        ("https://example.org/a.zip#s3cret", "https://example.org/a.zip?…848f50b6"),
        ("kaggle:ada/pets@3", "kaggle:ada/pets@3"),
        ("my data/what?.zip", "my data/what?.zip"),
        ("bundled:digits", "bundled:digits"),
    ],
)
def test_what_is_shown_of_a_source(source: str, shown: str) -> None:
    assert addresses.shown(source) == shown


@pytest.mark.parametrize(
    "source", ["htps://ada:s3cret@example.org/a.zip", "https//ada:s3cret@example.org/a.zip",
               "https://kaggle.com/c/dogs?token=s3cret", "ftp://example.org/a.zip?sig=s3cret"],
)  # fmt: skip
def test_a_mistyped_address_is_told_without_its_secrets(source: str) -> None:
    with pytest.raises(UserError) as caught:
        addresses.kind(source)
    assert "s3cret" not in str(caught.value)


def test_a_token_in_the_address_is_written_nowhere(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    source = f"http://localhost:{server.server_port}/pets.zip?token=s3cret"
    settings = Settings.load(
        {"run": {"datasets": ["pets"]}, "datasets": {"pets": {"source": source, "sha256": SHA}}}
    )
    recorded = stage_settings(settings, "download_source", {"dataset": "pets"})
    Path("data/pets").mkdir(parents=True)
    download_source("data/pets/source.json", cfg=recorded, address=source)
    assert server.requests[0][1] == "/pets.zip?token=s3cret"
    server.requests.clear()
    download_source("data/pets/source.json", cfg=recorded, address=source)
    assert server.requests == []
    report = stage_settings(settings, "write_report", {"dataset": "pets"})
    written = [path.read_bytes() for path in Path("data").rglob("*") if path.is_file()]
    assert b"s3cret" not in b"".join(written)
    assert "s3cret" not in f"{recorded} {report} {caplog.text}"
    assert "/pets.zip?…" in recorded["source"]


def test_a_login_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(UserError, match=r"netrc") as caught:
        addresses.kind("https://ada:s3cret@example.org/a.zip")
    assert "s3cret" not in str(caught.value)


def test_importing_sources_takes_only_the_standard_library() -> None:
    """It is imported while the Snakefile is read, by each job too."""
    heavy = {"requests", "numpy", "cv2", "tqdm", "PIL", "kaggle", "kagglesdk", "zstandard"}
    code = f"import sys; from darkroom.sources import download, local; print(sorted({heavy!r} & set(sys.modules)))"
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    assert said.strip() == "[]"


# ---------------------------------------------------------------- a folder


def listed(source: str) -> str:
    """The digest of a folder's listing."""
    return survey(str(local.folder(source)))[0]


def test_a_folder_is_used_in_place(tmp_path: Path) -> None:
    folder = put(tmp_path / "my pets")
    record = download(str(folder))
    assert record["root"] == str(folder) and record["kind"] == "folder"
    assert (record["files"], record["bytes"], record["archive"]) == (2, 5994, None)
    assert record["sha256"] == listed(str(folder))
    assert not Path("data/pets/files").exists()
    assert addresses.kind(str(folder)) == "folder" and local.local_input(str(folder)) is None
    assert local.listing(str(folder)) == sorted(FILES)
    assert local.listing(str(folder), limit=1) is None


def test_relative_and_home_folders(tmp_path: Path, work: Path) -> None:
    put(tmp_path / "home" / "pets")
    put(work / "here")
    assert download("~/pets")["root"] == str(tmp_path / "home" / "pets")
    assert download("here")["root"] == str(work / "here")


def test_an_unchanged_folder_gives_the_same_file_again(tmp_path: Path) -> None:
    folder = put(tmp_path / "pets")
    first = download(str(folder))
    Path("data/pets/.folder.json").write_text(json.dumps({**first, "retrieved": "then"}))
    assert download(str(folder))["retrieved"] == "then"
    (folder / "cats/9.png").write_bytes(b"new")
    again = download(str(folder))
    assert again["retrieved"] != "then" and again["files"] == 3


def test_what_a_digest_sees(tmp_path: Path) -> None:
    folder = put(tmp_path / "pets")
    seen = [listed(str(folder))]
    for name in (".hidden", ".git/x", "Thumbs.db", "cats/._1.png", "__MACOSX/x"):
        put(folder, {name: b"x"})
    assert listed(str(folder)) == seen[0]
    put(folder, {"cats/3.png": b"x"})
    seen.append(listed(str(folder)))
    put(folder, {"cats/3.png": b"xy"})
    seen.append(listed(str(folder)))
    os.utime(folder / "cats/3.png", (1, 1))
    seen.append(listed(str(folder)))
    (folder / "cats/3.png").rename(folder / "cats/4.png")
    seen.append(listed(str(folder)))
    assert len(set(seen)) == 5 and all(d and len(d) == 64 for d in seen)


def test_links_in_a_folder_are_followed_once(tmp_path: Path) -> None:
    folder, store = put(tmp_path / "pets"), put(tmp_path / "store", {"x/7.png": b"7"})
    (folder / "birds").symlink_to(store / "x")
    (folder / "cats" / "up").symlink_to(folder)
    (folder / "gone.png").symlink_to("nothing")
    os.mkfifo(folder / "pipe")
    assert local.listing(str(folder)) == ["birds/7.png", *sorted(FILES), "gone.png"]


def test_a_folder_that_cannot_be_used(tmp_path: Path, work: Path) -> None:
    (tmp_path / "empty" / "sub").mkdir(parents=True)
    put(tmp_path / "empty", {".DS_Store": b""})
    with pytest.raises(UserError, match="empty: the folder holds no files"):
        listed(str(tmp_path / "empty"))
    with pytest.raises(UserError, match="empty: the folder holds no files"):
        download(str(tmp_path / "empty"))
    for source in (".", "..", str(work)):
        with pytest.raises(UserError, match="the working folder or a parent of it"):
            listed(source)
    put(tmp_path / "pets")
    with pytest.raises(UserError, match=r"datasets.pets.sha256 is only for archives"):
        download(str(tmp_path / "pets"), sha256=SHA)
    assert not Path("data/pets/source.json").exists()


def test_an_unreadable_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = put(tmp_path / "pets")
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("cats"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match="cats cannot be read: Permission denied"):
        listed(str(folder))


# ---------------------------------------------------------------- bundled


def test_the_digits_are_an_ordinary_tree_of_pictures() -> None:
    from sklearn.datasets import load_digits

    record = download("bundled:digits")
    digits = load_digits()
    assert (record["files"], record["kind"], record["root"]) == (1797, "bundled", "data/pets/files")
    assert record["bytes"] == sum(map(len, tree().values())) and len(tree()) == 1797
    assert left(record["root"]) == [str(i) for i in range(10)]
    for number in (0, 7, 1796):
        path = Path(record["root"], str(digits.target[number]), f"{number:04d}.png")
        with Image.open(path) as image:
            assert image.mode == "L" and image.size == (8, 8)
            pixels = np.asarray(image)
        assert np.array_equal(pixels, np.rint(digits.images[number] / 16 * 255))
    assert pixels.max() == 255 and "CC BY 4.0" in record["license"]
    stamp = Path(record["root"], "0").stat().st_mtime_ns
    assert download("bundled:digits") == record  # reused: even the date
    assert Path(record["root"], "0").stat().st_mtime_ns == stamp


# ---------------------------------------------------------------- a local archive


def test_a_local_archive_is_unpacked_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "pets.zip"
    path.write_bytes(PETS)
    record = download(str(path), sha256=SHA.upper())
    assert tree() == FILES and path.exists()
    assert {k: record[k] for k in ("kind", "root", "version", "sha256", "archive", "files")} == {
        "kind": "archive",
        "root": "data/pets/files",
        "version": None,
        "sha256": SHA,
        "archive": "pets.zip",
        "files": 2,
    }
    assert left() == [".receipt.json", "files", "source.json"]
    assert local.local_input(str(path)) == str(path)
    assert local.listing(str(path)) == sorted(FILES)


def test_a_relative_archive_and_one_at_home(tmp_path: Path, work: Path) -> None:
    put(work, {"pets.zip": PETS})
    put(tmp_path / "home", {"p.zip": PETS})
    assert local.local_input("pets.zip") == "pets.zip"
    assert local.local_input("~/p.zip") == str(tmp_path / "home" / "p.zip")


def test_a_local_archive_is_unpacked_anew_only_when_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pets.zip"
    path.write_bytes(PETS)
    first = download(str(path))
    unpacked: list[str] = []
    original = unpack.unpack
    monkeypatch.setattr(
        unpack, "unpack", lambda *a, **k: (unpacked.append(a[0]), original(*a, **k))[1]
    )
    assert download(str(path)) == first
    os.utime(path, (1, 1))
    assert download(str(path)) == first and not unpacked  # touched, not changed
    path.write_bytes(NEW_PETS)
    assert download(str(path))["files"] == 3 and unpacked == [str(path)]
    (Path("data/pets/files") / "dogs/3.png").unlink()  # files changed by hand
    assert download(str(path))["files"] == 3 and len(tree()) == 3


def test_mistakes_leave_the_old_files_alone(tmp_path: Path) -> None:
    path = tmp_path / "pets.zip"
    path.write_bytes(PETS)
    download(str(path))
    with pytest.raises(UserError, match=f"its sha256 is {SHA}, but the config has 000"):
        download(str(path), sha256="0" * 64)
    path.write_bytes(NEW_PETS[:-40])
    with pytest.raises(UserError, match="damaged"):
        download(str(path))
    path.write_bytes(NEW_PETS)
    with pytest.raises(UserError, match="more than 2 files"):
        download(str(path), limits={"max_gb": 1, "max_files": 2})
    assert tree() == FILES and not Path("data/pets/source.json").exists()


def test_what_was_left_out_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "pets.zip"
    path.write_bytes(zipped({**FILES, "__MACOSX/._x": b""}))
    assert download(str(path))["skipped"] == {"files of macOS or Windows file managers": 1}


# ---------------------------------------------------------------- https


def test_https_is_downloaded_verified_unpacked_and_removed(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "darkroom")
    record = download(f"{server.url}/pets.zip", sha256=SHA)
    assert tree() == FILES
    assert (record["kind"], record["sha256"], record["archive"]) == ("https", SHA, "pets.zip")
    assert record["license"] is None and record["version"].startswith('"')
    assert record["retrieved"].endswith("Z")
    assert left() == [".receipt.json", "files", "source.json"]
    assert "put sha256" not in caplog.text
    assert "pets: 2 files, 6.0 kB in data/pets/files" in caplog.text


def test_without_sha256_the_log_suggests_it(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "darkroom")
    download(f"{server.url}/pets.zip")
    assert f"put sha256: {SHA} under datasets: pets in the config" in caplog.text


def test_a_receipt_spares_the_download(server: Server) -> None:
    source = f"{server.url}/pets.zip"
    first = download(source)
    server.files.clear()
    assert download(source) == first
    assert download(source, sha256=SHA) == first
    assert len(server.gets()) == 1


def test_a_receipt_is_not_believed_blindly(server: Server) -> None:
    source = f"{server.url}/pets.zip"
    download(source)
    path = Path("data/pets/files/cats/1.png")
    path.write_bytes(b"CAT" * 999)  # same size
    download(source)
    assert tree() == FILES and len(server.gets()) == 2
    path.unlink()
    download(source)
    assert tree() == FILES and len(server.gets()) == 3
    Path("data/pets/.receipt.json").write_text("{half")
    download(source)
    assert len(server.gets()) == 4
    with pytest.raises(UserError, match=r"pets\.zip: its sha256"):
        download(source, sha256="1" * 64)
    server.files["/new.zip"] = NEW_PETS
    assert download(f"{server.url}/new.zip")["files"] == 3 and len(tree()) == 3


def test_an_archive_that_was_whole_is_not_downloaded_again_after_a_limit(server: Server) -> None:
    source = f"{server.url}/pets.zip"
    with pytest.raises(UserError, match="raise limits"):
        download(source, limits={"max_gb": 1, "max_files": 1})
    download(source)
    assert len(server.gets()) == 1 and tree() == FILES


def test_a_web_page_in_place_of_the_archive_is_not_kept(server: Server) -> None:
    server.files["/pets.zip"] = b"<!DOCTYPE html><title>Log in</title>"
    source = f"{server.url}/pets.zip"
    with pytest.raises(UserError, match=r"pets\.zip is a web page"):
        download(source)
    server.files["/pets.zip"] = PETS
    download(source)
    assert tree() == FILES


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "refuses pets.zip (401)"),
        (403, "~/.netrc"),
        (404, "has no pets.zip (404)"),
        (418, "answers status 418 for pets.zip"),
    ],
)
def test_refusals_over_https(server: Server, status: int, words: str) -> None:
    server.always = status
    with pytest.raises(UserError) as caught:
        download(f"{server.url}/pets.zip")
    assert words in str(caught.value)
    assert "put the archive as pets.zip into a folder and name that folder" in str(caught.value)


def test_plain_http_from_elsewhere_needs_a_digest() -> None:
    with pytest.raises(UserError, match="use https, or give its sha256"):
        download("http://example.org/pets.zip")


def test_nothing_but_this_machine_is_called(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    called: set[str] = set()
    connect = socket.socket.connect

    def watched(self: socket.socket, address: Any) -> None:
        called.add(address[0])
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", watched)
    download(f"{server.url}/pets.zip")
    download("kaggle:ada/pets")
    download("kaggle-competition:cup")
    assert called and called <= {"127.0.0.1", "::1"}


# ---------------------------------------------------------------- Kaggle


def test_kaggle_through_the_whole_stage(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "darkroom")
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    server.script = [("cut", 3000)]
    record = download("kaggle:ada/pets")
    assert tree() == FILES
    assert {k: record[k] for k in ("kind", "version", "license", "archive", "sha256")} == {
        "kind": "kaggle",
        "version": "3",
        "license": "CC0-1.0",
        "archive": "pets.zip",
        "sha256": SHA,
    }
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    count = len(server.requests)
    assert download("kaggle:ada/pets") == record  # no sign-in for existing files
    assert len(server.requests) == count
    written = b"".join(p.read_bytes() for p in Path().rglob("*") if p.is_file())
    for secret in (TOKEN, SIGNATURE):
        assert secret.encode() not in written and secret not in caplog.text


def test_a_competition_through_the_whole_stage(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    record = download("kaggle-competition:cup")
    assert tree() == FILES and record["kind"] == "kaggle-competition" and record["version"] is None
    server.api = [403]
    with pytest.raises(UserError, match=r"competitions/cup/rules"):
        download("kaggle-competition:cup", sha256="0" * 64)


def test_no_credentials_names_the_mirror(tmp_path: Path, server: Server) -> None:
    (tmp_path / "mirror").mkdir()
    with pytest.raises(UserError) as caught:
        download("kaggle:ada/pets", mirror=str(tmp_path / "mirror"))
    assert f"the mirror {tmp_path / 'mirror'} as ada__pets.zip" in str(caught.value)


# ---------------------------------------------------------------- mirror


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("https://example.org/sets/pets%20v1.zip?download=1", "pets v1.zip"),
        ("kaggle:ada/pets", "ada__pets.zip"),
        ("kaggle:ada/pets", "ada/pets.tar.gz"),
        ("kaggle:ada/pets", "pets.zip"),
        ("kaggle:ada/pets@2", "ada__pets@2.zip"),
        ("kaggle:ada/pets@2", "ada/pets@2.zip"),
        ("kaggle-competition:cup", "cup.zip"),
        ("kaggle-competition:cup", "kaggle-competition__cup.zip"),
    ],
)
def test_a_mirror_spares_the_network(tmp_path: Path, source: str, name: str) -> None:
    mirror = put(tmp_path / "mirror", {name: PETS})
    record = download(source, mirror=str(mirror))
    assert tree() == FILES and record["sha256"] == SHA
    assert record["kind"] == addresses.kind(source) and record["archive"] == name.rpartition("/")[2]
    assert record["version"] == ("2" if "@2" in source else None)
    assert (mirror / name).exists()  # the mirror is not ours


def test_a_mirror_on_a_server_spares_the_network_too(tmp_path: Path) -> None:
    with Server({"/kept/ada__pets@2.zip": PETS}) as kept:
        record = download("kaggle:ada/pets@2", mirror=f"{kept.url}/kept")
    assert tree() == FILES and record["sha256"] == SHA
    assert (record["kind"], record["archive"], record["version"]) == (
        "kaggle",
        "ada__pets@2.zip",
        "2",
    )


def test_a_mirror_is_verified_too(tmp_path: Path) -> None:
    mirror = put(tmp_path / "mirror", {"ada__pets.zip": PETS})
    with pytest.raises(UserError, match=r"mirror/ada__pets.zip: its sha256 is .* put the right"):
        download("kaggle:ada/pets", mirror=str(mirror), sha256="0" * 64)


def test_a_version_is_not_guessed_from_a_mirror(tmp_path: Path, server: Server) -> None:
    mirror = put(tmp_path / "mirror", {"ada__pets.zip": PETS})
    with pytest.raises(UserError, match="needs credentials"):
        download("kaggle:ada/pets@2", mirror=str(mirror))
    assert download("kaggle:ada/pets@2", mirror=str(mirror), sha256=SHA)["version"] == "2"


def test_a_mirror_that_lacks_the_file_is_passed_by(tmp_path: Path, server: Server) -> None:
    (tmp_path / "mirror").mkdir()
    download(f"{server.url}/pets.zip", mirror=str(tmp_path / "mirror"))
    assert tree() == FILES and len(server.gets()) == 1


def test_a_missing_mirror(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="mirror is 'nowhere': there is no such folder"):
        download("kaggle:ada/pets", mirror="nowhere")
    download(str(put(tmp_path / "pets")), mirror="nowhere")  # not needed here


@pytest.mark.parametrize("source", ["https://example.org", "https://example.org/../..%2F"])
def test_addresses_without_a_name(source: str) -> None:
    assert addresses.mirror_names(source, has_sha256=False) == ["archive"]


# ---------------------------------------------------------------- kill -9


JOB = """
import sys
sys.path.insert(0, {root!r})
from darkroom.sources.download import download_source
download_source("data/pets/source.json", cfg={cfg!r}, mirror=None)
"""


def test_killed_at_any_moment_nothing_half_written_is_taken_for_whole(work: Path) -> None:
    """SIGKILL at moments spread over download and unpacking; then the same command again."""
    files = {f"c{i % 3}/{i}.png": os.urandom(4000) for i in range(300)}
    data = zipped(files)
    with Server({"/pets.zip": data}) as server:
        server.always = ("slow", 0.02)  # 75 pieces
        source = f"{server.url}/pets.zip"
        job = JOB.format(root=str(ROOT), cfg=cfg(source))
        killed = 0
        for pieces, delay in ((10, 0), (20, 0), (15, 0), (25, 0), (20, 0.02), (1, 0.04), (1, 0.08)):
            sent = server.pieces
            process = subprocess.Popen([sys.executable, "-c", job], stderr=subprocess.DEVNULL)
            until(lambda p=process, n=sent + pieces: server.pieces >= n or p.poll() is not None)
            time.sleep(delay)
            process.kill()
            killed += process.wait() == -signal.SIGKILL
            assert not Path("data/pets/files").exists() or tree() == files
            if Path("data/pets/source.json").exists():
                break
        assert killed >= 3 and sum("Range" in h for h in server.gets()) >= 2
        server.always = None
        record = download(source)
    assert tree() == files and record["sha256"] == hashlib.sha256(data).hexdigest()
    assert left() == [".receipt.json", "files", "source.json"]


@pytest.mark.parametrize("moment", ["unpacked", "renamed", "vouched"])
def test_stopped_between_the_last_steps(
    server: Server, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """After a stop between two steps the work is completed, not trusted."""
    source = f"{server.url}/pets.zip"

    class Stop(BaseException):
        pass

    def stop(*_: object, **__: object) -> None:
        raise Stop

    write_json = disk.write_json

    def stop_at_receipt(path: str, value: Any) -> None:
        if path.endswith(".receipt.json"):
            raise Stop
        write_json(path, value)

    with monkeypatch.context() as patch:
        if moment == "unpacked":
            patch.setattr(_DataFolder, "_install", stop)
        elif moment == "renamed":
            patch.setattr(disk, "write_json", stop_at_receipt)
        else:
            patch.setattr(
                disk,
                "write_json",
                lambda path, value: (
                    stop() if path.endswith("source.json") else write_json(path, value)
                ),
            )
        with pytest.raises(Stop):
            download(source)
    assert not Path("data/pets/source.json").exists()
    assert Path("data/pets/files").exists() == (moment != "unpacked")
    download(source)
    assert tree() == FILES and len(server.gets()) == 1  # complete archives are not downloaded again
    assert left() == [".receipt.json", "files", "source.json"]


def test_left_over_halves_of_a_new_version_are_cleared(server: Server) -> None:
    source = f"{server.url}/pets.zip"
    download(source)
    put(Path("data/pets/.files.partial"), {"half.png": b"x"})
    put(Path("data/pets/.files.old"), {"old.png": b"x"})
    download(source)
    assert tree() == FILES and len(server.gets()) == 1
    assert left() == [".receipt.json", "files", "source.json"]


# ---------------------------------------------------------------- the script


def run_script(**settings: Any) -> SimpleNamespace:
    snakemake = SimpleNamespace(
        output=["data/pets/source.json"],
        log=["log.txt"],
        rule="download_source",
        params=SimpleNamespace(cfg=cfg(**settings), address=cfg(**settings)["source"]),
        config={},
    )
    runpy.run_path(
        str(ROOT / "scripts" / "download_source.py"), init_globals={"snakemake": snakemake}
    )
    return snakemake


def test_the_script(tmp_path: Path) -> None:
    run_script(source=str(put(tmp_path / "pets")))
    assert json.loads(Path("data/pets/source.json").read_text())["files"] == 2


def test_a_mistake_in_the_script_is_one_sentence_without_secrets(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_not_a_good_one")
    with pytest.raises(SystemExit) as caught:
        run_script(source="kaggle:ada/pets")
    assert caught.value.code == 1
    said = Path("log.txt").read_text()
    assert "does not accept the credentials from KAGGLE_API_TOKEN (401)" in said
    assert "Traceback" not in said and "KGAT_not" not in said
    assert not Path("data/pets/source.json").exists()


def test_a_defect_keeps_its_traceback_but_no_secret(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)

    def broken(*_: object) -> None:
        raise ValueError(f"header {TOKEN}")

    monkeypatch.setattr(kaggle, "_about", broken)
    with pytest.raises(RuntimeError):
        run_script(source="kaggle:ada/pets")
    assert "Traceback" in (said := Path("log.txt").read_text()) and TOKEN not in said
