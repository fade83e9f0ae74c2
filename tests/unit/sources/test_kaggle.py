"""Kaggle, with its real client, against a local server that speaks its protocol."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import shutil
import stat
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from darkroom.errors import UserError
from darkroom.sources import http, kaggle
from tests.support.kaggle_server import KEY, SIGNATURE, TOKEN, USERNAME, Server

DATA = bytes(range(256)) * 1024
OTHER = DATA[::-1]
SHA = hashlib.sha256(DATA).hexdigest()
PETS = kaggle.Item("kaggle:ada/pets", "ada", "pets", None)
OLD_PETS = kaggle.Item("kaggle:ada/pets@2", "ada", "pets", 2)
CUP = kaggle.Item("kaggle-competition:cup", None, "cup", None)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without credentials, and none in the environment."""
    for name in list(os.environ):
        if name.startswith("KAGGLE_") or name == "XDG_CONFIG_HOME":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / ".kaggle").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Kaggle's test environment, moved from its fixed port 7777 to a free one."""
    import kagglesdk.kaggle_env as env

    files = {"/pets-3.zip": DATA, "/pets-2.zip": OTHER, "/cup.zip": DATA}
    with Server(files) as running:
        monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "TEST")
        monkeypatch.setitem(
            env._env_to_endpoint, env.KaggleEnv.TEST, f"http://localhost:{running.server_port}"
        )
        yield running


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    out: list[float] = []
    monkeypatch.setattr(http, "sleep", out.append)
    return out


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)


def download(folder: Path, item: kaggle.Item = PETS, sha256: str | None = None) -> kaggle.Download:
    return kaggle.download(item, str(folder / "x"), sha256=sha256, hint="use a mirror", most=10**9)


def test_the_newest_version_with_todays_token(
    server: Server, tmp_path: Path, token: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    got = download(tmp_path)
    assert (tmp_path / "x").read_bytes() == DATA
    assert (got.version, got.license, got.file.sha256) == ("3", "CC0-1.0", SHA)
    posts = [h for m, _, h in server.requests if m == "POST"]
    assert all(h["Authorization"] == f"Bearer {TOKEN}" for h in posts) and len(posts) == 2
    assert "Authorization" not in server.gets()[0]  # another host: the token stays here
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("darkroom")]
    assert any("kaggle.com/datasets/ada/pets, version 3" in m for m in ours)
    assert TOKEN not in caplog.text and SIGNATURE not in " ".join(ours)


def test_a_pinned_version(server: Server, tmp_path: Path, token: None) -> None:
    got = download(tmp_path, OLD_PETS)
    assert (tmp_path / "x").read_bytes() == OTHER and got.version == "2"


def test_a_competition(server: Server, tmp_path: Path, token: None) -> None:
    got = download(tmp_path, CUP)
    assert (tmp_path / "x").read_bytes() == DATA and got.version is None
    assert (
        got.license == "the rules of the competition, https://www.kaggle.com/competitions/cup/rules"
    )


def test_a_cut_connection_is_resumed_with_a_new_signed_address(
    server: Server, tmp_path: Path, token: None, naps: list[float]
) -> None:
    server.script = [("cut", len(DATA) // 2)]
    assert download(tmp_path, sha256=SHA).file.sha256 == SHA
    assert [h.get("Range") for h in server.gets()] == [None, f"bytes={len(DATA) // 2}-"]
    assert sum(p.endswith("DownloadDataset") for _, p, _ in server.requests) == 2


def test_a_start_from_the_beginning_asks_for_no_range(
    server: Server, tmp_path: Path, token: None, naps: list[float]
) -> None:
    server.script, server.shift = [("cut", 1000)], 5
    assert download(tmp_path).file.sha256 == SHA
    assert [h.get("Range") for h in server.gets()] == [None, "bytes=1000-", None]


def test_md5_of_the_storage_is_checked(server: Server, tmp_path: Path, token: None) -> None:
    server.md5 = base64.b64encode(hashlib.md5(b"").digest()).decode()
    with pytest.raises(UserError, match=r"pets.zip arrived damaged"):
        download(tmp_path)


def test_a_wrong_digest(server: Server, tmp_path: Path, token: None) -> None:
    with pytest.raises(UserError, match=f"its sha256 is {SHA}, but the config has 000"):
        download(tmp_path, sha256="0" * 64)
    assert not (tmp_path / "x").exists()


# ---------------------------------------------------------------- refusals


def test_no_credentials_says_what_to_create_and_where(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        download(tmp_path)
    said = str(caught.value)
    for part in (
        "kaggle:ada/pets needs credentials",
        "https://www.kaggle.com/settings/api",
        "~/.kaggle/access_token",
        "KAGGLE_API_TOKEN",
        "kaggle.json",
        "use a mirror",
    ):
        assert part in said
    assert server.requests == []


def test_credentials_that_are_not_accepted(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_wrong")
    with pytest.raises(
        UserError, match=r"not accept the credentials from KAGGLE_API_TOKEN \(401\)"
    ) as e:
        download(tmp_path)
    assert "KGAT_wrong" not in str(e.value)


@pytest.mark.parametrize("step", [403, 200])
def test_rules_not_accepted(server: Server, tmp_path: Path, token: None, step: int) -> None:
    server.api = [step]  # 200: the failure is only in the JSON
    with pytest.raises(UserError, match=r"403.*https://www.kaggle.com/competitions/cup/rules"):
        download(tmp_path, CUP)


def test_a_data_set_that_is_refused(server: Server, tmp_path: Path, token: None) -> None:
    server.api = [403]
    with pytest.raises(UserError, match=r"403.*open https://www.kaggle.com/datasets/ada/pets "):
        download(tmp_path)


def test_no_such_data_set(server: Server, tmp_path: Path, token: None) -> None:
    item = kaggle.Item("kaggle:ada/cats@7", "ada", "cats", 7)
    with pytest.raises(UserError, match=r"no kaggle:ada/cats@7 \(404\), or no version 7"):
        download(tmp_path, item)


def test_too_many_requests_waits_as_requested(
    server: Server, tmp_path: Path, token: None, naps: list[float]
) -> None:
    server.api = [(429, {"Retry-After": "11"}), (429, {"Retry-After": "3"})]
    assert download(tmp_path).file.sha256 == SHA
    assert naps == [11.0, 3.0]


def test_too_many_requests_for_too_long(
    server: Server, tmp_path: Path, token: None, naps: list[float]
) -> None:
    server.api = [(429, {"Retry-After": "86400"})]
    with pytest.raises(UserError, match=r"Kaggle asks to wait 86400 s.*later.*use a mirror"):
        download(tmp_path)
    assert naps == []


def test_an_overloaded_server(
    server: Server, tmp_path: Path, token: None, naps: list[float]
) -> None:
    server.api = [503, 502]
    server.script = [500]
    assert download(tmp_path).file.sha256 == SHA
    assert naps == [1.0, 2.0, 4.0]


def test_another_refusal(server: Server, tmp_path: Path, token: None) -> None:
    server.api = [(451, {"message": f"Not here, Bearer {TOKEN}"})]
    with pytest.raises(UserError, match=r"status 451.*Not here") as caught:
        download(tmp_path)
    assert TOKEN not in str(caught.value)


def test_no_space(
    server: Server, tmp_path: Path, token: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("U", "free")(10))
    with pytest.raises(UserError, match="no space: the download needs 262 kB"):
        download(tmp_path)


def test_no_server_answers(tmp_path: Path, token: None, naps: list[float], server: Server) -> None:
    server.shutdown()
    server.server_close()
    with pytest.raises(UserError, match="Kaggle: connection refused, 6 times in a row"):
        download(tmp_path)


def test_no_proxy_and_no_other_host(
    server: Server, tmp_path: Path, token: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    for name in ("http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    called: list[str] = []
    connect = socket.socket.connect

    def watched(self: socket.socket, address: Any) -> None:
        called.append(address[0])
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", watched)
    assert download(tmp_path).file.sha256 == SHA
    assert called and set(called) <= {"127.0.0.1", "::1"}


def test_an_unknown_environment(
    tmp_path: Path, token: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "MOON")
    with pytest.raises(UserError, match="KAGGLE_API_ENVIRONMENT"):
        download(tmp_path)


def test_no_client_installed(tmp_path: Path, token: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kagglesdk", None)
    with pytest.raises(UserError, match="pip install kaggle, or use a mirror"):
        download(tmp_path)


def test_a_defect_of_the_client_shows_no_secret(
    server: Server, tmp_path: Path, token: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError(f"cannot send {TOKEN} to https://storage/x?X-Goog-Signature={SIGNATURE}")

    monkeypatch.setattr(kaggle, "_about", broken)
    with pytest.raises(RuntimeError, match=r"cannot send \*\*\* to https://storage/x\?\*\*\*") as e:
        download(tmp_path)
    assert e.value.__cause__ is None and e.value.__suppress_context__


# ---------------------------------------------------------------- credentials


def older(folder: Path, **content: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "kaggle.json"
    path.write_text(json.dumps(content or {"username": USERNAME, "key": KEY}))
    path.chmod(0o600)


def test_the_older_key_signs_in(server: Server, tmp_path: Path, home: Path) -> None:
    older(home / ".kaggle")
    assert download(tmp_path).file.sha256 == SHA
    basic = base64.b64encode(f"{USERNAME}:{KEY}".encode()).decode()
    assert server.requests[0][2]["Authorization"] == f"Basic {basic}"


def test_the_older_key_from_the_environment(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_USERNAME", USERNAME)
    monkeypatch.setenv("KAGGLE_KEY", KEY)
    assert download(tmp_path).file.sha256 == SHA


def test_a_login_by_the_browser_is_renewed(server: Server, tmp_path: Path, home: Path) -> None:
    path = home / ".kaggle" / "credentials.json"
    path.write_text(json.dumps({"refresh_token": "refresh-me", "username": "ada"}))
    assert download(tmp_path).file.sha256 == SHA
    path.write_text(json.dumps({"refresh_token": "refresh-that", "username": "ada"}))
    with pytest.raises(UserError, match=r"credentials from ~/.kaggle/credentials.json \(401\)"):
        download(tmp_path / "2")


def test_where_credentials_are_searched(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> tuple[Any, ...]:
        it = kaggle.credentials()
        return (it.token, it.username, it.key) if it else ()

    assert found() == ()
    (home / ".kaggle").rmdir()
    older(home / ".config" / "kaggle")
    assert found() == (None, USERNAME, KEY)
    older(home / ".kaggle", username="b", key="kb")
    assert found() == (None, "b", "kb")
    older(tmp_path / "c", username="c", key="kc")
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "c"))
    assert found() == (None, "c", "kc")
    monkeypatch.setenv("KAGGLE_KEY", "kd")  # the environment wins, one by one
    assert found() == (None, "c", "kd")
    (home / ".kaggle" / "access_token.txt").write_text("t1\n")
    assert found()[0] == "t1"
    (home / ".kaggle" / "access_token").write_text("t2\n")
    assert found()[0] == "t2"
    (tmp_path / "held").write_text("t3\n")
    monkeypatch.setenv("KAGGLE_API_TOKEN", str(tmp_path / "held"))
    assert found()[0] == "t3"
    monkeypatch.setenv("KAGGLE_API_TOKEN", "e" * 5000)  # longer than a path may be
    assert found()[0] == "e" * 5000
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    (tmp_path / "notebook").write_text("t4")
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Batch")
    monkeypatch.setenv("KAGGLE_API_V1_TOKEN", str(tmp_path / "notebook"))
    assert found()[0] == "t4"


def test_what_cannot_be_a_credential(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = home / ".kaggle" / "kaggle.json"
    for content in ("no json", "[]", '{"username": "ada"}'):
        path.write_text(content)
        with pytest.raises(UserError, match=r"kaggle.json is not a file from Kaggle"):
            kaggle.credentials()
    monkeypatch.setenv("KAGGLE_API_TOKEN", "two\nwords")
    with pytest.raises(UserError, match="KAGGLE_API_TOKEN holds no Kaggle token") as caught:
        kaggle.credentials()
    assert "words" not in str(caught.value)


def test_a_key_that_others_can_read_is_reported(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    older(home / ".kaggle")
    path = home / ".kaggle" / "kaggle.json"
    assert kaggle.credentials() and "chmod" not in caplog.text
    path.chmod(stat.S_IRUSR | stat.S_IROTH)
    assert kaggle.credentials() and f"chmod 600 {path}" in caplog.text


def test_credentials_never_print_themselves() -> None:
    it = kaggle.Credentials("here", token="t0ken", username="u", key="k3y")
    assert repr(it) == str(it) == "Credentials(where='here')"
    assert it.secrets == ["t0ken", "k3y"]


def test_scrub() -> None:
    text = "Authorization: Bearer abc.def, https://a/b?sig=1&x=2 Basic Zm9v s3cret"
    assert (
        kaggle.scrub(text, ["s3cret"]) == "Authorization: Bearer ***, https://a/b?*** Basic *** ***"
    )


def test_nothing_signs_in_or_is_imported_before_a_download() -> None:
    code = "import sys; from darkroom.sources.kaggle import scrub; print('kaggle' in sys.modules, 'kagglesdk' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "False"]
