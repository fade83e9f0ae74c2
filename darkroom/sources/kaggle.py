"""Data sets and competitions of Kaggle, downloaded by Kaggle's own package.

Credentials are read here, and only for a download, and passed to `kagglesdk.KaggleClient`, the
part of the package `kaggle` that talks to the server: `import kaggle` would sign in at import and
read `sys.argv`. With `KAGGLE_API_ENVIRONMENT=TEST` it talks to http://localhost:7777 (for tests).

Secrets stay in the request's header. Messages are made from the status and the server's text with
secrets removed; errors of the client are never passed on unchanged, as some quote the header or a
signed address.
"""

from __future__ import annotations

import json
import logging
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import requests

from darkroom import __version__
from darkroom.errors import UserError
from darkroom.sources import http, transfer

log = logging.getLogger(__name__)

T = TypeVar("T")
TOKENS = "https://www.kaggle.com/settings/api"
MAKE_ONE = (
    f"make a token at {TOKENS} (Generate New Token) and save it as ~/.kaggle/access_token, or set"
    " KAGGLE_API_TOKEN; the older ~/.kaggle/kaggle.json (KAGGLE_USERNAME and KAGGLE_KEY) works too"
)


@dataclass(frozen=True)
class Credentials:
    """A token, or a user name with the older key, and `where` they come from; repr hides them."""

    where: str
    token: str | None = None
    username: str | None = None
    key: str | None = None

    def __repr__(self) -> str:
        return f"Credentials(where={self.where!r})"

    @property
    def secrets(self) -> list[str]:
        """Values that no message may show."""
        return [s for s in (self.token, self.key) if s]


@dataclass(frozen=True)
class Item:
    """A data set or competition of Kaggle; `owner` and `version` are None for a competition."""

    source: str
    owner: str | None
    name: str
    version: int | None

    @property
    def page(self) -> str:
        """Address of its web page."""
        if self.owner is None:
            return f"https://www.kaggle.com/competitions/{self.name}"
        return f"https://www.kaggle.com/datasets/{self.owner}/{self.name}"


@dataclass(frozen=True)
class Download:
    """The archive, with Kaggle's version and licence of it."""

    file: transfer.Fetched
    version: str | None
    license: str | None


# ---------------------------------------------------------------- credentials


def credentials() -> Credentials | None:
    """Kaggle's credentials, searched in the same order as by Kaggle's own client; None if absent.

    `KAGGLE_API_TOKEN` (the token or its file), `~/.kaggle/access_token` (or .txt),
    `KAGGLE_USERNAME` and `KAGGLE_KEY`, `kaggle.json` in `KAGGLE_CONFIG_DIR` or else in
    `~/.kaggle` or `$XDG_CONFIG_HOME/kaggle`.

    Raises
    ------
    UserError
        A file or variable holds no valid credentials.
    """
    token = os.environ.get("KAGGLE_API_TOKEN", "").strip()
    # Path.is_file would raise for a token longer than a path may be, and quote it
    if token and os.path.isfile(token):  # noqa: PTH113
        return _token(_read(Path(token)), f"the file that KAGGLE_API_TOKEN names ({token})")
    if token:
        return _token(token, "KAGGLE_API_TOKEN")
    files = [_home(f".kaggle/access_token{s}") for s in ("", ".txt")]
    if os.environ.get("KAGGLE_KERNEL_RUN_TYPE"):  # within a Kaggle notebook
        files.insert(0, Path(os.environ.get("KAGGLE_API_V1_TOKEN", "")))
    for path in files:
        if path.is_file() and (token := _read(path)):
            return _token(token, str(path))
    return _older()


def _home(name: str) -> Path:
    return Path(f"~/{name}").expanduser()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


def _token(token: str, where: str) -> Credentials:
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise UserError(
            f"{where} holds no Kaggle token: a token is one word of ASCII characters;"
            f" copy it again from {TOKENS}"
        )
    return Credentials(where, token=token)


def _older() -> Credentials | None:
    folder = _home(".kaggle")
    if not folder.is_dir():
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or _home(".config")) / "kaggle"
    path = Path(os.environ.get("KAGGLE_CONFIG_DIR") or folder) / "kaggle.json"
    saved: dict[str, Any] = {}
    where = "KAGGLE_USERNAME and KAGGLE_KEY"
    env = {
        "username": os.environ.get("KAGGLE_USERNAME"),
        "key": os.environ.get("KAGGLE_KEY"),
    }
    if not all(env.values()) and path.is_file():
        where = str(path)
        try:
            saved = json.loads(_read(path))
        except ValueError:
            saved = {}
        if not (isinstance(saved, dict) and saved.get("username") and saved.get("key")):
            raise UserError(
                f"{path} is not a file from Kaggle (JSON with username and key): {MAKE_ONE}"
            )
        if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            log.warning("others can read your Kaggle key: chmod 600 %s", path)
    both = {**saved, **{k: v for k, v in env.items() if v}}
    if not (both.get("username") and both.get("key")):
        return None
    for value in (both["username"], both["key"]):
        _token(str(value).strip(), where)
    return Credentials(where, username=str(both["username"]).strip(), key=str(both["key"]).strip())


def _browser_login(environment: Any) -> Credentials | None:
    """Credentials saved by `kaggle auth login`: a token that the client renews when it expires."""
    from kagglesdk import KaggleClient, KaggleCredentials

    path = _home(".kaggle/credentials.json")
    if not path.is_file():
        return None
    with KaggleClient(env=environment) as client:
        http.prepare(client.http_client()._session)
        saved = KaggleCredentials.load(client, str(path))
        token = saved.get_access_token() if saved is not None else None
    return Credentials(str(path), token=token) if token else None


def scrub(text: str, secrets: list[str]) -> str:
    """Remove secrets, authorization headers and signatures of addresses from a text."""
    for secret in secrets:
        text = text.replace(secret, "***")
    text = re.sub(r"(?i)\b(bearer|basic)\s+[^\s'\",;]+", r"\1 ***", text)
    return re.sub(r"(https?://[^\s?'\"]+)\?[^\s'\")]+", r"\1?***", text)


# ---------------------------------------------------------------- download


def download(item: Item, path: str, *, sha256: str | None, hint: str, most: int) -> Download:
    """Download the archive of a data set or competition to `path`.

    Parameters
    ----------
    item : the data set or competition.
    path : path of the archive; parts are beside it.
    sha256 : expected digest; None: not checked.
    hint : alternative for the user, for error messages.
    most : bytes that are taken.

    Raises
    ------
    UserError
        The package or credentials are missing; status 401, 403 (with the page where the rules are
        accepted), 404, repeated 429 or another failure; no network; the disk is full; the digest
        differs.
    """
    try:
        from kagglesdk import KaggleClient
        from kagglesdk.kaggle_env import get_endpoint, get_env
    except ImportError:
        raise UserError(
            f"{item.source}: Kaggle's client is not installed: pip install kaggle, or {hint}"
        ) from None
    try:
        environment = get_env()
    except Exception:
        raise UserError(
            "KAGGLE_API_ENVIRONMENT has a value that Kaggle's client does not know: unset it"
        ) from None
    login = credentials()
    secrets = login.secrets if login else []
    patience = http.Patience("Kaggle", hint)
    try:
        if login is None:
            login = _browser_login(environment)
        if login is None:
            raise UserError(f"{item.source} needs credentials: {MAKE_ONE}; or {hint}")
        secrets = login.secrets
        log.debug("Kaggle at %s, with %s", get_endpoint(environment), login.where)
        with KaggleClient(
            env=environment,
            username=login.username,
            password=login.key,
            api_token=login.token,
            user_agent=f"darkroom/{__version__}",
        ) as client:
            return _download(client, item, login, patience, path, sha256, most)
    except UserError as error:
        raise UserError(scrub(str(error), secrets)) from None
    except requests.HTTPError as error:  # from renewing a token of `kaggle auth login`
        raise _explain(item, "~/.kaggle/credentials.json")(
            error.response.status_code if error.response is not None else 0, ""
        ) from None
    except requests.RequestException as error:
        raise UserError(f"Kaggle: {http.reason(error)}; {hint}") from None
    except OSError:
        raise
    except Exception as error:  # its text may quote the request
        text = scrub(f"{type(error).__name__}: {error}", secrets)
        raise RuntimeError(f"Kaggle's client failed: {text}") from None


def _download(
    client: Any,
    item: Item,
    login: Credentials,
    patience: http.Patience,
    path: str,
    sha256: str | None,
    most: int,
) -> Download:
    """Ask for the current version, then download the archive of that version."""
    session = http.prepare(client.http_client()._session)
    explain = _explain(item, login.where)
    about = patience.attempt(lambda: _call(lambda: _about(client, item), explain))
    version = item.version
    licence: str | None = None
    if item.owner is None:
        licence = f"the rules of the competition, {item.page}/rules"
    else:
        version = version or about.current_version_number or None
        licence = about.license_name or None
    log.info("%s%s", item.page, f", version {version}" if version else "")

    def opened(headers: dict[str, str]) -> requests.Response:
        for name in ("Range", "If-Range"):
            session.headers.pop(name, None)
        session.headers.update(headers)
        try:
            response: requests.Response = _archive(client, item, version)
        except requests.HTTPError as error:
            return _refusal(error)
        return response

    file = transfer.fetch(
        opened,
        path,
        key=f"{item.source} version {version}",
        name=f"{item.name}.zip",
        patience=patience,
        explain=explain,
        most=most,
        sha256=sha256,
    )
    return Download(file, str(version) if version else None, licence)


def _about(client: Any, item: Item) -> Any:
    if item.owner is None:
        from kagglesdk.competitions.types.competition_api_service import (
            ApiGetCompetitionRequest,
        )

        request = ApiGetCompetitionRequest()
        request.competition_name = item.name
        return client.competitions.competition_api_client.get_competition(request)
    from kagglesdk.datasets.types.dataset_api_service import ApiGetDatasetRequest

    request = ApiGetDatasetRequest()
    request.owner_slug, request.dataset_slug = item.owner, item.name
    return client.datasets.dataset_api_client.get_dataset(request)


def _archive(client: Any, item: Item, version: int | None) -> Any:
    if item.owner is None:
        from kagglesdk.competitions.types.competition_api_service import (
            ApiDownloadDataFilesRequest,
        )

        request = ApiDownloadDataFilesRequest()
        request.competition_name = item.name
        return client.competitions.competition_api_client.download_data_files(request)
    from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest

    request = ApiDownloadDatasetRequest()
    request.owner_slug, request.dataset_slug = item.owner, item.name
    request.dataset_version_number = version
    return client.datasets.dataset_api_client.download_dataset(request)


def _call(call: Callable[[], T], explain: http.Explain) -> T:
    def once() -> T:
        try:
            return call()
        except requests.HTTPError as error:
            http.check(_refusal(error), explain)
            raise http.Retry(f"status {error.response.status_code}") from None

    return http.connect(once, "Kaggle")


def _refusal(error: requests.HTTPError) -> requests.Response:
    """The response of a failed request; Kaggle sometimes gives the status in the JSON only."""
    response: requests.Response | None = error.response
    if response is None:
        raise http.Retry("no answer")
    if response.status_code < 400:
        response.status_code = int(response.json().get("code", 500))
    return response


def _explain(item: Item, where: str) -> http.Explain:
    competition = item.owner is None

    def explain(status: int, text: str) -> UserError:
        reason = f" (its message: {text})" if text else ""
        if status == 401:
            return UserError(
                f"Kaggle does not accept the credentials from {where} (401){reason}: {MAKE_ONE}"
            )
        if status == 403 and competition:
            return UserError(
                f"Kaggle refuses {item.source} (403){reason}: join the competition and accept its"
                f" rules at {item.page}/rules, then run the same command again"
            )
        if status == 403:
            return UserError(
                f"Kaggle refuses {item.source} (403){reason}: open {item.page} signed in as the"
                " same user, accept its terms or ask its owner for access, then run the same"
                " command again"
            )
        if status == 404:
            version = f", or no version {item.version} of it" if item.version else ""
            return UserError(
                f"Kaggle has no {item.source} (404){version}: see {item.page} and correct"
                " source in the config"
            )
        return UserError(
            f"Kaggle answers {item.source} with status {status}{reason}: see {item.page}"
        )

    return explain
