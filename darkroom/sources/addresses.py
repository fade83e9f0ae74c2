"""Source strings: the kind of each, and the files that it names.

Imports the standard library only: this runs while the Snakefile is read.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from darkroom.errors import UserError
from darkroom.sources.names import safe_name

FORMS = (
    "bundled:digits, a folder, an archive, https://…, kaggle:owner/name[@version],"
    " kaggle-competition:name"
)
PREFIXES = ["bundled", "https", "http", "kaggle", "kaggle-competition"]
SLUG = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
KAGGLE = re.compile(rf"kaggle:({SLUG})/({SLUG})(?:@([0-9]{{1,9}}))?\Z")
COMPETITION = re.compile(rf"kaggle-competition:({SLUG})\Z")
PACKED = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar.zst")
ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*(?::/*|//))([^/?#]*@)?([^?#]*)([?#].*)?", re.I | re.S)
BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")


def shown(source: str) -> str:
    """A source as it may be printed and written: an address without what may be secret in it.

    A login becomes `…@`. In place of a query, which may hold a token or a signature, stands a
    digest of it, so that another query is another source.
    """
    match = ADDRESS.fullmatch(source)
    if match is None:
        return source
    scheme, login, place, query = match.groups()
    digest = hashlib.sha256(query.encode("utf-8", "replace")).hexdigest()[:8] if query else ""
    return f"{scheme}{'…@' if login else ''}{place}{f'?…{digest}' if query else ''}"


def kind(source: str) -> str:
    """The kind of a source: bundled, folder, archive, https, kaggle or kaggle-competition.

    Raises
    ------
    UserError
        The source has no known form; the message lists the forms and the likely intention.
    """
    prefix, colon, rest = source.partition(":")
    prefix = prefix.lower() if colon else ""
    if prefix == "bundled":
        if rest != "digits":
            raise _unknown(source, "the one bundled data set is bundled:digits")
        return "bundled"
    if prefix in ("https", "http"):
        _check_address(source, source)
        for address in addresses(source):
            _check_address(source, address)
        return "https"
    if prefix == "kaggle":
        if not KAGGLE.match(source):
            raise _unknown(source, "a Kaggle data set is kaggle:owner/name or …@version")
        return "kaggle"
    if prefix == "kaggle-competition":
        if not COMPETITION.match(source):
            raise _unknown(source, "a competition is kaggle-competition:name")
        return "kaggle-competition"
    path = local_path(source)
    if source and path.is_dir():
        return "folder"
    if source and path.is_file():
        return "archive"
    if "://" in source or (prefix and re.match(r"[a-z][a-z-]+$", prefix)):
        import difflib

        close = difflib.get_close_matches(prefix, PREFIXES, n=1, cutoff=0.6)
        raise _unknown(source, f"did you mean {close[0]}:?" if close else "")
    if BRACES.search(source):
        raise UserError(
            f"source {shown(source)!r}: only an https address may have a list in braces; for several local"
            " files, give the folder"
        )
    looked = local_path(shown(source)).absolute()
    raise UserError(
        f"source {shown(source)!r}: there is no such folder or archive (looked for {looked});"
        f" a source is one of {FORMS}"
    )


def local_path(source: str) -> Path:
    """Path of a local source; a leading `~` is the home folder, if there is one."""
    try:
        return Path(source).expanduser() if source.startswith("~") else Path(source)
    except RuntimeError:  # of a user who is not known here
        return Path(source)


def addresses(source: str) -> list[str]:
    """The addresses of an https source: several where it has a list in braces, as in a shell.

    `https://host/{images,labels}.gz` is `https://host/images.gz` and `https://host/labels.gz`;
    any other source gives itself alone.

    Raises
    ------
    UserError
        More than one list, an empty entry, or two files of the same name.
    """
    braces = BRACES.search(source)
    if not braces or not re.match(r"https?:", source, re.I):
        return [source]
    before, after = source[: braces.start()], source[braces.end() :]
    entries = [entry.strip() for entry in braces[1].split(",")]
    if re.search("[{}]", before + after):
        raise UserError(f"source {shown(source)!r}: only one list in braces is supported")
    if not all(entries):
        raise UserError(f"source {shown(source)!r}: the list in braces has an empty entry")
    urls = [before + entry + after for entry in entries]
    names = [file_name(url) for url in urls]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"source {shown(source)!r}: two of its files would be named {name}")
    return urls


def _unknown(source: str, hint: str) -> UserError:
    hint = f"{hint}; " if hint and not hint.endswith("?") else f"{hint} " if hint else ""
    return UserError(f"source {shown(source)!r}: {hint}a source is one of {FORMS}")


def _check_address(source: str, address: str) -> None:
    try:
        parts = urlsplit(address)
        host, login = parts.hostname, parts.username or parts.password
        _ = parts.port
    except ValueError:
        host, login = None, None
    if not host:
        raise _unknown(source, "this address names no server")
    if login:
        raise _login("source", host)
    if re.fullmatch(r"(www\.)?kaggle\.com", host):
        dataset = re.match(rf"/datasets/({SLUG})/({SLUG})", parts.path)
        competition = re.match(rf"/(?:competitions|c)/({SLUG})", parts.path)
        form = (
            f"kaggle:{dataset[1]}/{dataset[2]}"
            if dataset
            else f"kaggle-competition:{competition[1]}"
            if competition
            else "kaggle:owner/name or kaggle-competition:name"
        )
        raise UserError(f"source {shown(source)!r} is a page of Kaggle: write {form}")


def check_login(setting: str, address: str) -> None:
    """Refuse an address with a login in it.

    Raises
    ------
    UserError
        It has one; the message has not.
    """
    match = ADDRESS.fullmatch(address)
    if match is not None and match[2]:
        raise _login(setting, match[3].partition("/")[0])


def _login(setting: str, host: str) -> UserError:
    return UserError(
        f"{setting}: the address at {host} contains a user name or password, which would appear"
        " in logs: remove it and put it in ~/.netrc"
    )


def file_name(address: str) -> str:
    """Local file name for an https address: its last part, made safe."""
    last = unquote(urlsplit(address).path).rstrip("/")
    try:
        return (safe_name(last) or "archive").rpartition("/")[2]
    except ValueError:
        return "archive"


def mirror_names(address: str, *, has_sha256: bool) -> list[str]:
    """Names that a remote file may have in a mirror, in the order of the search.

    Parameters
    ----------
    address : one of `addresses` of a source.
    has_sha256 : a digest is given, so a file without a version in its name can be verified.
    """
    match = KAGGLE.match(address)
    if match:
        owner, name, version = match.groups()
        stems = []
        if version:
            stems += [f"{owner}__{name}@{version}", f"{owner}/{name}@{version}"]
        if not version or has_sha256:
            stems += [f"{owner}__{name}", f"{owner}/{name}", name]
    elif COMPETITION.match(address):
        name = address.partition(":")[2]
        stems = [f"kaggle-competition__{name}", name]
    else:
        return [file_name(address)]
    return [stem + suffix for stem in stems for suffix in PACKED]
