"""Images that show the same picture: how many, under which labels, and on which side of the split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from darkroom.machine.units import plural
from darkroom.report.caveat import Caveat, Weight
from darkroom.report.words import number, share

if TYPE_CHECKING:
    import pandas as pd

    from darkroom.report.results import Results

MANY = 0.01  # share of the images, from which copies are worth a warning


@dataclass(frozen=True)
class Copies:
    """Images that show the same picture as an earlier one.

    Attributes
    ----------
    table : one row a copy: `row`, `path`, `label`, `first` (row of the first of its set), `of` (its
        path), `of_label`, `kind`, `how` (empty where bytes or pixels are equal).
    across : rows of the reported part that are copies of a training image; of all folds.
    left_out : copies that are unused, since another of the set is used.
    """

    table: pd.DataFrame
    across: frozenset[int]
    left_out: int

    @property
    def disputed(self) -> int:
        """Copies whose label differs from that of the first."""
        ours, theirs = self.table["label"], self.table["of_label"]
        return int((ours.notna() & theirs.notna() & (ours != theirs)).sum())


def copies(
    found: pd.DataFrame,
    manifest: pd.DataFrame,
    split: pd.DataFrame,
    folds: Sequence[str],
    part: str,
) -> Copies:
    """What became of the copies.

    Parameters
    ----------
    found : `copies.parquet`. manifest, split : as in docs/formats.md.
    folds : columns of `split`. part : that is reported on.
    """
    known = manifest.set_index("row")[["path", "label"]]
    own, first = known.reindex(found["row"]), known.reindex(found["of"])
    table = found.rename(columns={"of": "first"}).assign(
        path=own["path"].to_numpy(),
        label=own["label"].to_numpy(),
        of=first["path"].to_numpy(),
        of_label=first["label"].to_numpy(),
    )
    rows = split["row"]
    picture = rows.map(found.set_index("row")["of"]).fillna(rows).to_numpy(np.int64)
    across: set[int] = set()
    for fold in folds:
        place = split[fold].to_numpy(dtype=object)
        leaks = (place == part) & np.isin(picture, picture[place == "train"])
        across |= set(rows[leaks].tolist())
    unused = (split[list(folds)] == "unused").all(axis=1).to_numpy(dtype=bool)
    left_out = int((unused & np.isin(picture, picture[~unused])).sum())
    return Copies(table, frozenset(across), left_out)


def caveats(results: Results) -> list[Caveat]:
    """What the copies mean for the score."""
    c, key = results.copies, results.reported
    out = []
    if c.across:
        more = ""
        if key is not None:
            right = results.right(key)
            rest = right[~right.index.isin(c.across)]
            more = f"Without them its accuracy is {number(rest.mean())}." if len(rest) else ""
        n = len(c.across)
        verb = "shows" if n == 1 else "show"
        out.append(
            Caveat(
                Weight.WRONG,
                "Copies across the split",
                f"{plural(n, f'{results.part} image')} {verb} the same picture as a training image, so "
                "the score is too good.",
                "copies",
                more,
            )
        )
    if c.disputed:
        verb = "shows" if c.disputed == 1 else "show"
        out.append(
            Caveat(
                Weight.LIMIT,
                "Contradicting labels",
                f"{plural(c.disputed, 'image')} {verb} the same picture as another image with another "
                "label: one of the two must be wrong.",
                "copies",
            )
        )
    n = len(c.table)
    if n and not c.across:
        images = int((results.manifest["status"] != "unusable").sum())
        fate = [f"{c.left_out:,} of them were left out"] if c.left_out else []
        if c.left_out < n:
            fate.append(f"{'the others' if fate else 'they'} stay in one part of the split")
        verb = "shows" if n == 1 else "show"
        out.append(
            Caveat(
                Weight.LIMIT if n > MANY * images else Weight.NOTE,
                "Copies in the data",
                f"{n:,} of {images:,} images ({share(n, images)}) {verb} the same picture as another; "
                f"{' and '.join(fate)}.",
                "copies",
            )
        )
    return out
