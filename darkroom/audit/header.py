"""The header of each file: size, mode, format, and how its JPEG or PNG was written.

A network never sees it; but where it tells the classes, they come from different cameras, programs or
hospitals, whose traces in the pixels a network learns.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.audit.check import Check
from darkroom.audit.sample import Sample

if TYPE_CHECKING:
    import pandas as pd

BYTES = 1 << 16  # of a file that are read: what follows is pixels

# Columns of the manifest, in words.
KNOWN = {
    "width": "width",
    "height": "height",
    "mode": "colour mode",
    "format": "file format",
    "bit_depth": "bit depth",
    "frames": "number of frames",
    "orientation": "orientation",
    "bytes": "file size",
}


def find(sample: Sample) -> pd.DataFrame:
    """Numbers of the header; names are numbered."""
    import pandas as pd

    about = sample.about
    out = pd.DataFrame({words: about[name] for name, words in KNOWN.items()})
    out["shape"] = about["width"] / about["height"]
    out["bytes a pixel"] = about["bytes"] / (about["width"] * about["height"])
    written = [written_as(head(sample.root / path)) for path in about["path"]]
    out = pd.concat([out, pd.DataFrame(written)], axis=1)
    for name in out:
        if not pd.api.types.is_numeric_dtype(out[name]):
            out[name] = pd.factorize(out[name], sort=True)[0]
    return out.fillna(-1).astype("float32")


def head(path: Path) -> bytes:
    """The first bytes of a file; nothing where it is gone."""
    try:
        with path.open("rb") as file:
            return file.read(BYTES)
    except OSError:
        return b""


def written_as(data: bytes) -> dict[str, float | str]:
    """How a file was written, by the blocks before its pixels.

    Returns
    -------
    `metadata` names its blocks, `EXIF` is 0 or 1; of a JPEG (ITU-T T.81, annex B) `JPEG quality` is the
    mean step of its first quantisation table, and `JPEG tables` a digest of all of them.
    """
    tables, names, at = b"", [], 2
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        at = 8
        while at + 8 <= len(data) and data[at + 4 : at + 8] != b"IDAT":
            names.append(data[at + 4 : at + 8].decode("latin-1"))
            at += 12 + int.from_bytes(data[at : at + 4], "big")
    elif data[:2] == b"\xff\xd8":
        while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
            marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
            block = data[at + 4 : at + 2 + size]
            if marker == 0xDB:
                tables += block
            elif marker != 0xC4:
                is_exif = marker == 0xE1 and block[:4] == b"Exif"
                names.append("eXIf" if is_exif else f"{marker:02x}")
            at += 2 + size
    step = tables[1:65]
    return {
        "metadata": " ".join(dict.fromkeys(names)),
        "EXIF": float("eXIf" in names),
        "JPEG quality": sum(step) / len(step) if step else -1.0,
        "JPEG tables": hashlib.sha256(tables).hexdigest()[:8],
    }


CHECK = Check(
    name="header",
    title="The file header",
    description="File size, width, height, mode, depth, format, EXIF, JPEG quality and tables.",
    near=0.5,
    find=find,
    alone=True,
)
