"""Weights come from where they are said to be, verified, and fit; or a sentence says why not."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from darkroom.errors import UserError
from darkroom.sources import http, transfer
from darkroom.train import backbones, keras_backend, weights
from tests.support.backbone_weights import MOBILENET, SHAPE, mobilenet_weights, two_blocks
from tests.support.kaggle_server import Server

keras_backend.start(1)
NAME = "small_no_top.h5"


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Each file is built and written as ONNX, which takes its time for each layer."""
    with two_blocks():
        yield


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return Path(mobilenet_weights(tmp_path_factory.mktemp("weights") / "w.h5")).read_bytes()


@pytest.fixture
def server(content: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serves the file that the application is taken to ask for; its md5 is known."""
    monkeypatch.setattr(http, "sleep", lambda seconds: None)
    with Server({f"/{NAME}": content, "/mine.h5": content}) as running:
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        said = backbones.Official(f"{running.url}/{NAME}", NAME, md5)
        monkeypatch.setattr(backbones, "official", lambda *_: said)
        yield running


def download(folder: Path, mirror: Path | str | None = None, **changes: Any) -> bytes:
    output = folder / "weights" / "mobilenet.h5"
    output.parent.mkdir(exist_ok=True)
    cfg = {"features": "mobilenet", **MOBILENET, "weights": "imagenet", "sha256": None}
    weights.download_weights(
        str(output),
        str(output.with_suffix(".onnx")),
        cfg=cfg | {"shape": list(SHAPE), "pool": "average"} | changes,
        mirror=str(mirror) if mirror else None,
    )
    assert {p.name for p in output.parent.iterdir()} == {"mobilenet.h5", "mobilenet.onnx"}
    return output.read_bytes()


def refused(folder: Path, *args: Any, **changes: Any) -> str:
    with pytest.raises(UserError) as error:
        download(folder, *args, **changes)
    assert not (folder / "weights" / "mobilenet.h5").exists()
    assert str(error.value).startswith("features.mobilenet: ")
    return str(error.value)


def test_the_official_file_comes_from_the_network(
    server: Server, content: bytes, tmp_path: Path
) -> None:
    assert download(tmp_path) == content


def test_a_mirror_on_a_server_is_looked_into_first(
    server: Server, content: bytes, tmp_path: Path
) -> None:
    with Server({f"/kept/{NAME}": content}) as other:
        mirror = f"{other.url}/kept/"
        assert download(tmp_path, mirror) == content
        assert other.gets() and not server.gets()
    with Server({}) as empty:
        (tmp_path / "weights/mobilenet.h5").unlink()
        assert download(tmp_path, empty.url) == content and server.gets()


def test_a_mirror_is_looked_into_first(server: Server, content: bytes, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / NAME).write_bytes(content)
    assert download(tmp_path, mirror) == content
    assert not server.gets()
    assert (mirror / NAME).exists()
    (mirror / NAME).write_bytes(content[:-10])
    assert "put the right file into the mirror" in refused(tmp_path / "mirror", mirror)
    (mirror / NAME).unlink()
    assert download(tmp_path, mirror) == content and server.gets()


def test_a_file_of_another_hash_is_told_and_removed(
    server: Server, content: bytes, tmp_path: Path
) -> None:
    server.files[f"/{NAME}"] = content + b"more"
    said = refused(tmp_path)
    assert "its md5 is" in said and "it is removed: run again" in said
    server.files[f"/{NAME}"] = content
    assert download(tmp_path) == content


def test_a_download_that_broke_off_goes_on(
    server: Server, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = len(content) // 2

    def cut(self: Any, chunk: bytes, add: Any = transfer._Part._add) -> None:
        add(self, chunk)
        if self.at >= half and self.at < len(content):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(transfer._Part, "_add", cut)
        patch.setattr(transfer, "CHUNK", 1 << 14)
        download(tmp_path)
    assert download(tmp_path) == content
    assert "Range" in server.gets()[-1]


def test_a_given_hash_is_checked(
    server: Server, content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sha256 = hashlib.sha256(content).hexdigest()
    address = f"{server.url}/mine.h5"
    assert download(tmp_path, weights=address, sha256=sha256) == content
    assert "vouches" not in caplog.text
    other = refused(tmp_path / "weights", weights=address, sha256="0" * 64)
    assert "its sha256 is" in other


def test_where_nothing_vouches_for_a_file_its_hash_is_told(
    server: Server, content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert download(tmp_path, weights=f"{server.url}/mine.h5") == content
    assert "mine.h5 was checked against no hash" in caplog.text
    assert f"sha256: {hashlib.sha256(content).hexdigest()} under features: mobilenet" in caplog.text


def test_a_local_file_is_copied_and_stays(content: bytes, tmp_path: Path) -> None:
    mine = tmp_path / "mine.h5"
    mine.write_bytes(content)
    assert weights.local(str(mine)) == str(mine)
    assert download(tmp_path, weights=str(mine)) == content and mine.exists()
    (tmp_path / "b").mkdir()
    said = refused(tmp_path / "b", weights=str(mine), settings={"alpha": 0.5})
    assert f"{mine} does not hold weights of MobileNet" in said and mine.exists()


def test_a_download_on_another_file_system_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    came = tmp_path / ".net/came.h5"
    came.parent.mkdir()
    came.write_bytes(b"weights")
    really = Path.replace

    def refuse(self: Path, target: Any) -> Path:
        if self == came:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(self))
        return really(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    weights._place(came, str(tmp_path / "net.h5"))
    assert (tmp_path / "net.h5").read_bytes() == b"weights"


@pytest.mark.parametrize(
    ("weights_", "said"),
    [
        ("imagnet", "weights 'imagnet': there is no such file"),
        (
            "http://example.org/w.h5?token=s3cret",
            "weights 'http://example.org/w.h5?…531aa7c3' uses",
        ),
        ("http://example.org/w.h5", "uses http, which does not protect the file from changes"),
    ],
)
def test_what_is_not_there(tmp_path: Path, weights_: str, said: str) -> None:
    assert said in refused(tmp_path, weights=weights_)


def test_a_login_is_refused_and_not_repeated() -> None:
    with pytest.raises(UserError, match=r"weights: the address at example.org .*netrc") as caught:
        weights.check("MobileNet", "http://ada:s3cret@example.org/w.h5")
    assert "s3cret" not in str(caught.value)


def test_a_server_without_the_file(server: Server, tmp_path: Path) -> None:
    said = refused(tmp_path, weights=f"{server.url}/none.h5")
    assert "answers status 404 for none.h5" in said and "name that folder as mirror" in said
    assert "there is no such folder" in refused(tmp_path / "weights", tmp_path / "nowhere")
