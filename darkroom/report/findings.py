"""What a reader must know beside the scores: which result is reported, and what it hides.

Everything here is derived from the files; nothing is left to the reader's vigilance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from darkroom.evaluate.comparisons import Difference
from darkroom.evaluate.ranking import Choice
from darkroom.machine.units import plural

if TYPE_CHECKING:
    import pandas as pd

FEW = 20  # test images of a class, below which its own figures say little
UNEVEN = 1.5  # largest class over smallest, from which accuracy alone misleads
NEAR = 4  # bits of 64 in which two perceptual hashes may differ and still be alike
WIDE = 0.02  # half an interval, from which a reader should be told


def hashes(text: pd.Series) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Perceptual hashes as numbers, and the positions that have one."""
    held = np.flatnonzero(text.notna().to_numpy())
    values = [int(t, 16) for t in text.to_numpy(dtype=object)[held]]
    return np.array(values, np.uint64), held.astype(np.int64)


def near_duplicates(
    asked: NDArray[np.uint64], known: NDArray[np.uint64], limit: int = NEAR, block: int = 1 << 22
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each hash the nearest known one, where it is at most `limit` bits away.

    Two hashes that differ in `limit` bits agree in one of `limit + 1` pieces (Norouzi,
    Punjani and Fleet 2012, CVPR, "Fast search in Hamming space with multi-index hashing"),
    so only pairs that share a piece are compared, at most about `block` of them at a time.

    Parameters
    ----------
    asked : (N,) uint64. known : (M,) uint64.

    Returns
    -------
    distance : (N,) bits; -1 where nothing is near. match : (N,) index into `known`, or -1.
    """
    own, inverse = np.unique(asked, return_inverse=True)
    others, first = np.unique(known, return_index=True)
    best = np.full(len(own), limit + 1, np.int64)
    match = np.full(len(own), -1, np.int64)
    if len(own) and len(others):
        edges = np.linspace(0, 64, limit + 2).astype(int)
        for low, high in pairwise(edges.tolist()):
            mask = np.uint64((1 << (high - low)) - 1)
            wanted = (own >> np.uint64(low)) & mask
            held = (others >> np.uint64(low)) & mask
            order = np.argsort(held, kind="stable")
            left = np.searchsorted(held[order], wanted, "left")
            count = np.searchsorted(held[order], wanted, "right") - left
            ends = np.cumsum(count)
            start = 0
            while start < len(own):
                before = int(ends[start - 1]) if start else 0
                stop = max(start + 1, int(np.searchsorted(ends, before + block, "right")))
                _compare(own, others, order, left, count, start, stop, best, match)
                start = stop
    found = match >= 0
    distance = np.where(found, best, -1)
    original = np.where(found, first[np.maximum(match, 0)] if len(first) else -1, -1)
    return distance[inverse], original[inverse]


def _compare(
    own: NDArray[np.uint64],
    others: NDArray[np.uint64],
    order: NDArray[np.int64],
    left: NDArray[np.int64],
    count: NDArray[np.int64],
    start: int,
    stop: int,
    best: NDArray[np.int64],
    match: NDArray[np.int64],
) -> None:
    """Distances of own[start:stop] to the hashes that share a piece; the nearest are kept."""
    n = count[start:stop]
    total = int(n.sum())
    if not total:
        return
    a = np.repeat(np.arange(start, stop), n)
    within = np.arange(total) - np.repeat(np.cumsum(n) - n, n)
    k = order[np.repeat(left[start:stop], n) + within]
    d = np.bitwise_count(own[a] ^ others[k]).astype(np.int64)
    closer = d < best[a]
    a, k, d = a[closer], k[closer], d[closer]
    nearest = np.lexsort((k, d, a))
    a, k, d = a[nearest], k[nearest], d[nearest]
    head = np.flatnonzero(np.diff(a, prepend=-1))
    best[a[head]] = d[head]
    match[a[head]] = k[head]


def baseline(table: pd.DataFrame, folds: Sequence[str], part: str) -> float | None:
    """Accuracy of always saying the most frequent training class, the mean over folds."""
    out = []
    for fold in folds:
        train = table.loc[table[fold] == "train", "class"]
        rest = table.loc[table[fold] == part, "class"]
        if len(train) and len(rest):
            often = int(np.bincount(train.to_numpy(np.int64)).argmax())
            out.append(float((rest == often).mean()))
    return float(np.mean(out)) if out else None


def counts(table: pd.DataFrame, classes: Sequence[str], folds: Sequence[str]) -> pd.DataFrame:
    """Images by class (index) and part (columns), the mean over folds."""
    import pandas as pd

    parts = ("train", "validation", "test", "unused")
    k = len(classes)
    out = np.zeros((k, len(parts)))
    label = table["class"].to_numpy(np.int64)
    for fold in folds:
        place = table[fold].to_numpy(dtype=object)
        for j, part in enumerate(parts):
            out[:, j] += np.bincount(label[place == part], minlength=k)
    return pd.DataFrame(out / max(len(folds), 1), index=list(classes), columns=list(parts))


@dataclass(frozen=True)
class Copies:
    """Files whose bytes are those of another.

    Attributes
    ----------
    table : one row a copy: `row`, `path`, `of` (path of the first), `label`, `of_label`.
    disputed : copies whose label differs from that of the first.
    across : test images that are a copy of a training image, counted once a fold.
    """

    table: pd.DataFrame
    disputed: int
    across: int


def copies(manifest: pd.DataFrame, split: pd.DataFrame, folds: Sequence[str]) -> Copies:
    """Exact duplicates, those labelled differently, and those on both sides of the split."""
    import pandas as pd

    second = manifest[manifest["duplicate_of"].notna()]
    of = second["duplicate_of"].astype("int64").to_numpy()
    by_row = manifest.set_index("row")
    table = pd.DataFrame(
        {
            "row": second["row"].to_numpy(),
            "path": second["path"].to_numpy(),
            "of": by_row["path"].reindex(of).to_numpy(),
            "label": second["label"].to_numpy(),
            "of_label": by_row["label"].reindex(of).to_numpy(),
        }
    )
    ours, theirs = table["label"], table["of_label"]
    disputed = int((ours.notna() & theirs.notna() & (ours != theirs)).sum())
    first = manifest["duplicate_of"].fillna(manifest["row"]).astype("int64")
    first.index = manifest["row"]
    across = 0
    for fold in folds:
        name = first.reindex(split["row"]).to_numpy()
        place = split[fold].to_numpy(dtype=object)
        test, train = name[place == "test"], name[place == "train"]
        across += int(np.isin(test, train).sum())
    return Copies(table, disputed, across)


def reasons(manifest: pd.DataFrame) -> list[tuple[str, int]]:
    """Conversions of unusual files and how many files each was made of, the most frequent first.

    A file may have had several. Reasons that differ in a number only (of frames, say) are one.
    """
    import re

    alike: dict[str, dict[str, int]] = {}
    for reason in manifest.loc[manifest["status"] == "converted", "reason"]:
        for piece in dict.fromkeys(re.split(r"\s*;\s*", str(reason))):
            if piece:
                kinds = alike.setdefault(re.sub(r"(?<![\w-])\d+(?![\w-])", "…", piece), {})
                kinds[piece] = kinds.get(piece, 0) + 1
    told = [
        (next(iter(kinds)) if len(kinds) == 1 else common, sum(kinds.values()))
        for common, kinds in alike.items()
    ]
    return sorted(told, key=lambda item: (-item[1], item[0]))


@dataclass(frozen=True)
class Facts:
    """What the caveats are derived from; see `caveats`."""

    part: str
    n: int
    low: float
    high: float
    baseline: float | None
    counts: pd.DataFrame
    choice: Choice
    names: dict[tuple[str, str], str]
    versus: Difference | None
    better: tuple[str, float] | None
    seeds: int
    networks: bool
    picked_epoch: bool
    files: int
    unusable: int
    copies: Copies
    near: int
    near_rest: float | None
    grouped: bool
    folds: int


def caveats(f: Facts) -> list[tuple[str, str]]:
    """What a reader should keep in mind: (a few words, one or two sentences) each."""
    out: list[tuple[str, str]] = []
    if f.part != "test":
        out.append(
            (
                "No test images",
                "The split has no test part, so all scores are of the validation images, on which "
                "epochs and the best classifier were chosen too: they flatter.",
            )
        )
    half = (f.high - f.low) / 2
    if math.isfinite(half) and half > WIDE:
        out.append(
            (
                "Wide interval",
                f"{f.n:,} {f.part} images pin the accuracy down only to about ±{half:.3f}.",
            )
        )
    out += _uneven(f)
    out += _runner_up(f)
    out += _leaks(f)
    out += _use_of_parts(f)
    if f.networks and f.seeds == 1:
        out.append(
            (
                "One seed",
                "Each network was trained once, so how much another random start would change is "
                "not known; the intervals cover the choice of images only.",
            )
        )
    few = f.counts[f.part] if f.folds == 1 else f.counts[f.part] * f.folds
    scarce = few[few < FEW].sort_values(kind="stable")
    if len(scarce):
        named = ", ".join(f"{name} ({value:,.0f})" for name, value in scarce.head(8).items())
        more = f" and {len(scarce) - 8:,} more" if len(scarce) > 8 else ""
        out.append(
            (
                "Classes with few images",
                f"Fewer than {FEW} {f.part} images: {named}{more}. "
                "Read the figures of these classes with their intervals.",
            )
        )
    if f.unusable:
        out.append(
            (
                "Unusable files",
                f"{f.unusable:,} of {f.files:,} files ({share(f.unusable, f.files)}) could not be "
                "used and are in no figure here; each is named below with its reason.",
            )
        )
    return out


def _uneven(f: Facts) -> list[tuple[str, str]]:
    total = f.counts[["train", "validation", "test"]].sum(axis=1)
    total = total[total > 0]
    if not len(total) or total.max() / total.min() < UNEVEN:
        return []
    always = (
        ""
        if f.baseline is None
        else f" Always saying the most frequent class would reach {number(f.baseline)}."
    )
    return [
        (
            "Uneven classes",
            f"{total.idxmax()} has {total.max() / total.min():.1f} times as many images as "
            f"{total.idxmin()}; balanced accuracy, which counts each class alike, stands beside "
            f"accuracy.{always}",
        )
    ]


def _runner_up(f: Facts) -> list[tuple[str, str]]:
    out = []
    if f.versus is not None and len(f.choice.ranking) > 1:
        second = f.names[f.choice.ranking[1]]
        d = f.versus
        if not d.distinct:
            told = (
                "both were right on the very same images"
                if not d.discordant
                else f"on the same images their accuracy differs by {signed(d.mean)} "
                f"({signed(d.low)} to {signed(d.high)})"
            )
            out.append(("Not distinguishable", f"The best and the runner-up, {second}: {told}."))
    if f.better is not None:
        name, value = f.better
        out.append(
            (
                "Another scores higher on the test",
                f"{name} reaches {number(value)} there. It is not called the best: what is chosen by "
                "the test images can no longer be judged by them.",
            )
        )
    return out


def _leaks(f: Facts) -> list[tuple[str, str]]:
    out = []
    c = f.copies
    if c.across:
        out.append(
            (
                "Copies across the split",
                f"{plural(c.across, 'test image is', 'test images are')} byte for byte a training "
                "image: the scores are too good by about that share.",
            )
        )
    if c.disputed:
        out.append(
            (
                "Contradicting labels",
                f"{plural(c.disputed, 'file has', 'files have')} the very bytes of another file "
                "with another label: one of the two must be wrong.",
            )
        )
    if f.near:
        rest = (
            "" if f.near_rest is None else f" Without them its accuracy is {number(f.near_rest)}."
        )
        out.append(
            (
                "Look-alikes across the split",
                f"{plural(f.near, 'test image looks', 'test images look')} like a training image "
                f"(perceptual hashes at most {NEAR} of 64 bits apart). They may be the same scene "
                f"or merely simple pictures: see the examples below.{rest}",
            )
        )
    if not f.grouped:
        out.append(
            (
                "No groups",
                "Nothing says which images belong together (one patient, one scene, one video); "
                "if some do, name their groups in the settings, or the scores will be too good.",
            )
        )
    return out


def _use_of_parts(f: Facts) -> list[tuple[str, str]]:
    if f.part != "test":
        return []
    uses = []
    if f.picked_epoch:
        uses.append("the epoch of each network whose weights were kept")
    if f.choice.by == "validation":
        uses.append("the best of the classifiers")
    chosen = (
        f"The validation images chose {' and '.join(uses)}, so validation scores flatter a little. "
        if uses
        else ""
    )
    return [
        (
            "Test images used once",
            f"{chosen}The test images chose nothing: they were used for the scores here. Settings "
            "changed after reading this page make them less of a test.",
        )
    ]


def share(part: float, whole: float) -> str:
    """A percentage with sensible digits."""
    if not whole or not part:
        return "0 %"
    percent = 100 * part / whole
    if 0 < percent < 0.05:
        return "below 0.1 %"
    return f"{percent:.1f} %" if percent < 10 else f"{percent:.0f} %"


def signed(value: float) -> str:
    """A difference with its sign (a true minus), three digits."""
    if abs(value) < 0.0005:
        return "0.000"
    return f"{value:+.3f}".replace("-", "−")


def number(value: Any, digits: int = 3) -> str:
    """A score in words: never 1.000 for what is not quite 1, nor a number for nothing."""
    value = float(value)
    if not math.isfinite(value):
        return "–"
    text = f"{value:.{digits}f}"
    if text == f"{1:.{digits}f}" and value < 1:
        return f"> {1 - 10**-digits:.{digits}f}" if value < 1 - 1e-12 else text
    return text
