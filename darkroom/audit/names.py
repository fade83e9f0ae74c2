"""Folders and beginnings of file names other than the labels: they often name a source.

Where each class comes from another hospital, camera or website, a network may learn the source.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from darkroom.audit.check import Check
from darkroom.audit.sample import Sample

if TYPE_CHECKING:
    import pandas as pd

RARE = 0.01  # share of the rows, below which a word is none of a source


def find(sample: Sample) -> pd.DataFrame:
    """Numbers of the words that are no labels: of each folder, and of the names' beginnings."""
    import pandas as pd

    about = sample.about
    labels = about["label"].astype(str)
    words = [words_of(path, label) for path, label in zip(about["path"], labels, strict=True)]
    out = pd.DataFrame(words).fillna("")
    for name in out:
        share = out[name].map(out[name].value_counts(normalize=True))
        out[name] = pd.factorize(out[name].where(share >= RARE, ""), sort=True)[0]
    return out.astype("float32")


def words_of(path: str, label: str) -> dict[str, str]:
    """The folders of a file, and the letters that its name begins with; empty for the label."""
    place = PurePosixPath(path)
    found = {f"folder {i}": name for i, name in enumerate(place.parts[:-1], 1)}
    letters = re.match(r"[^\W\d_]*", place.stem)
    found["beginning of the file name"] = letters[0] if letters else ""
    return {key: "" if _alike(word, label) else word for key, word in found.items()}


def _alike(word: str, label: str) -> bool:
    """Whether a word is a label, or its singular or plural."""
    a, b = word.casefold(), label.casefold()
    return a == b or (min(len(a), len(b)) >= 3 and (a.startswith(b) or b.startswith(a)))


CHECK = Check(
    name="names",
    title="The file names",
    description="Folders that are no labels, and the letters that file names begin with.",
    near=0.5,
    find=find,
    alone=True,
)
