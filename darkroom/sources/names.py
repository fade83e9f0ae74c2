"""Names of the files in an archive, made safe to write."""

from __future__ import annotations

import codecs
import hashlib
import re

NESTED = re.compile(r"\.(zip|tar|tgz|tbz2?|txz|tzst|tar\.(gz|bz2|xz|zst))$", re.I)
SUFFIX = re.compile(r"(\.tar)?\.(zip|tar|tgz|tbz2?|txz|tzst|gz|bz2|xz|zst)$", re.I)


def _percent(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    stray = error.object[error.start : error.end]
    return "".join(f"%{byte:02X}" for byte in stray), error.end


codecs.register_error("darkroom.percent", _percent)


def safe_name(name: str) -> str | None:
    """A relative path without `..` and control characters; None if nothing remains.

    Parameters
    ----------
    name : name in the archive; undecodable bytes as surrogates (`surrogateescape`).

    Raises
    ------
    ValueError
        The path leaves the archive by `..`.
    """
    name = re.sub(r"^[A-Za-z]:(?=/)", "", name.replace("\\", "/"))
    parts: list[str] = []
    for part in name.split("/"):
        if part in ("", "."):
            continue
        if part == "..":
            if not parts:
                raise ValueError("a path out of the archive")
            parts.pop()
        else:
            parts.append(_component(part))
    return "/".join(parts) or None


def _component(part: str) -> str:
    if not part.isascii():
        raw = part.encode("utf-8", "surrogateescape" if _escaped(part) else "replace")
        part = raw.decode("utf-8", "darkroom.percent")
    part = re.sub("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", "_", part)
    raw = part.encode()
    if len(raw) > 255:
        digest = hashlib.sha256(raw).hexdigest()[:8]
        suffix = re.search(r"\.[A-Za-z0-9]{1,8}$", part)
        tail = f"~{digest}{suffix[0] if suffix else ''}"
        part = raw[: 255 - len(tail)].decode("utf-8", "ignore") + tail
    return part


def _escaped(part: str) -> bool:
    return all("\udc80" <= c <= "\udcff" for c in part if "\ud800" <= c <= "\udfff")


def stem(name: str) -> str:
    """Name of an archive without its suffixes: `train.tar.gz` gives `train`."""
    return SUFFIX.sub("", name) or name
