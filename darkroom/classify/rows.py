"""Rows of features: training rows with their samples and folds, and rows to predict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from darkroom.errors import UserError
from darkroom.images.joined import forget

FORGET_BYTES = 16 << 20  # mapped bytes read before their pages are released


@dataclass
class TrainingRows:
    """Training rows.

    Attributes
    ----------
    x : (M, D) float32 features.
    y : (M,) class code, 0 … k-1, each at least once.
    classes : names of these k classes.
    group : (M,) group code; a variant has its parent's.
    original : (M,) bool, False for a variant.
    """

    x: np.ndarray
    y: np.ndarray
    classes: list[str]
    group: np.ndarray
    original: np.ndarray


def stratified_sample(label: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Choose `n` rows: from each class in proportion, and at least one.

    Parameters
    ----------
    label : (M,) class of each row.
    n : number of rows, at most M.
    seed : random seed.

    Returns
    -------
    (n,) positions in `label`, ascending.

    Raises
    ------
    UserError
        `n` is less than the number of classes.
    """
    classes, code, count = np.unique(label, return_inverse=True, return_counts=True)
    if n < len(classes):
        raise UserError(f"max_rows is {n}, but there are {len(classes)} classes: raise it")
    share = count * (n / len(label))
    quota = np.maximum(1, np.floor(share)).astype(int)
    while quota.sum() != n:  # add by the largest remainder, remove by the largest excess
        step = 1 if quota.sum() < n else -1
        gap = np.where(quota < count, share - quota, -np.inf)
        if step < 0:
            gap = np.where(quota > 1, quota - share, -np.inf)
        quota[np.argmax(gap)] += step
    random = np.random.default_rng(seed)
    chosen = [
        random.choice(np.flatnonzero(code == k), quota[k], replace=False)
        for k in range(len(classes))
    ]
    return np.sort(np.concatenate(chosen))


def stratified_folds(
    y: np.ndarray, group: np.ndarray, k: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """At most `k` stratified folds that split no group; none where that is impossible.

    Parameters
    ----------
    y : (M,) class code of each row.
    group : (M,) group code of each row.
    k : requested number of folds.
    seed : seed of the shuffling.

    Returns
    -------
    For each fold the positions of its training rows and of its held-out rows.
    """
    groups = len(np.unique(group))
    k = min(k, groups, int(np.bincount(y).max()))
    if k < 2:
        return []
    # StratifiedGroupKFold loops over the groups: slow where every row is its own group
    if groups == len(y):
        folds = StratifiedKFold(k, shuffle=True, random_state=seed).split(y, y)
    else:
        folds = StratifiedGroupKFold(k, shuffle=True, random_state=seed).split(y, y, group)
    return [(train, test) for train, test in folds if len(train) and len(test)]


@dataclass
class MappedRows:
    """Some rows of a mapped array, read by slices.

    Attributes
    ----------
    array : (M, D), mapped.
    at : (N,) positions of the rows in `array`.
    read : bytes read since pages were last released.
    """

    array: np.ndarray
    at: np.ndarray
    read: int = 0

    def __len__(self) -> int:
        return len(self.at)

    def __getitem__(self, part: slice) -> np.ndarray:
        chosen: np.ndarray = self.array[self.at[part]]
        self.read += chosen.nbytes
        if self.read > FORGET_BYTES:  # mapped pages count towards this process's memory
            forget(self.array)
            self.read = 0
        return chosen
