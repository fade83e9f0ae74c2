"""Units: single rows, or all rows of a group and of copies. A unit is never divided."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from darkroom.split.rows import Ints

if TYPE_CHECKING:
    import pandas as pd


def pictures(sha: pd.Series) -> pd.Series:
    """An equal number for rows of equal bytes, which are all the copies that are known before a run."""
    import pandas as pd

    code = pd.factorize(sha)[0].astype(np.int64)
    return pd.Series(np.where(code < 0, -1 - np.arange(len(code)), code))


def units(group: pd.Series, picture: pd.Series) -> Ints:
    """(N,) int64 unit of each row: rows of one group or of one picture share a unit."""
    import pandas as pd

    codes, names = pd.factorize(group)
    code = codes.astype(np.int64)
    alone = code < 0
    code[alone] = len(names) + np.arange(alone.sum())
    same = picture.duplicated(keep=False).to_numpy(dtype=bool)
    if same.any():
        parent = np.arange(code.max() + 1).tolist()

        def root(x: int) -> int:
            while parent[x] != x:
                parent[x] = parent[parent[x]]
                x = parent[x]
            return x

        first: dict[int, int] = {}
        for shown, x in zip(picture[same].tolist(), code[same].tolist(), strict=True):
            parent[root(x)] = root(first.setdefault(shown, x))
        code = np.array([root(x) for x in range(len(parent))])[code]
    return pd.factorize(code)[0].astype(np.int64)


def unit_names(table: pd.DataFrame, unit: Ints) -> NDArray[np.object_]:
    """(N,) name of each row's unit: its first group, or its first path."""
    import pandas as pd

    path = table["path"].to_numpy(dtype=object)
    named = table["group"].notna().to_numpy(dtype=bool)
    name = np.where(named, table["group"].to_numpy(dtype=object), path)
    # Within a unit, rows with a group come first, then by name.
    order = np.lexsort((pd.factorize(name, sort=True)[0], ~named, unit))
    first = order[np.r_[True, np.diff(unit[order]) != 0]]
    names = name[first]
    if len(set(names)) < len(names):  # a group is named like another row's path
        names = np.array([f"{n} ({path[i]})" for n, i in zip(names, first, strict=True)])
    return np.asarray(names[unit], dtype=object)


def contradicting(sha: pd.Series, label: Ints) -> NDArray[np.bool_]:
    """(N,) bool, rows whose bytes also occur in another class."""
    import pandas as pd

    classes = pd.Series(label, index=sha.index).groupby(sha).agg(["min", "max"])
    bad = classes.index[classes["min"] != classes["max"]]
    return sha.isin(bad).to_numpy(dtype=bool)


def spare(picture: pd.Series, given: Ints) -> NDArray[np.bool_]:
    """(N,) bool, all rows of a picture but one: one given as test, else as validation, else the first."""
    order = np.argsort(-given, kind="stable")
    return picture.iloc[order].duplicated().sort_index().to_numpy(dtype=bool)


def count_units(unit: Ints, stratum: Ints, strata: int) -> Ints:
    """(strata,) number of units in each stratum."""
    pairs = np.sort(unit * strata + stratum)  # twenty times as fast as np.unique
    new = np.r_[True, pairs[1:] != pairs[:-1]][: len(pairs)]
    return np.bincount(pairs[new] % strata, minlength=strata)
