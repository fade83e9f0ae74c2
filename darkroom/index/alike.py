"""Near copies among small grey images: candidates by their lowest frequencies, verified on pixels.

A near copy shows the same picture saved anew, resized, brighter or darker, mirrored, turned by 90°,
or cropped by some per cent. Every image is compared with every other by 80 numbers, in all eight
orientations; the nearest pairs are aligned (scale and shift) and their fine structure is correlated.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

SIDE = 32  # of a thumbnail, in pixels
LEAST_DETAIL = 1.0
"""Standard deviation of an image's fine structure, in gray levels, below which nothing verifies it."""

PER_IMAGE = 4  # candidates for each image, on average
MOST = 8  # candidates of one image that are verified
ROWS, COLUMNS = 128, 1024  # of a tile of similarities: it stays in a core's cache
WHOLE, FINE, UNUSUAL = 0.92, 0.85, 0.15
"""A copy's correlation is at least `WHOLE`, that of its fine structure at least `FINE`, and the
latter's distance from 1 at most `UNUSUAL` of what is usual between either image and its neighbours."""

NEIGHBOURS = (16, 25)  # by rank: near, but hardly copies
SAMPLE = 400  # images, for what is usual, and at a time
LARGEST_SCALE, LARGEST_SHIFT = 0.14, 1.0  # shift in pixels of 16


@dataclass(frozen=True)
class Pairs:
    """Pairs of near copies.

    Attributes
    ----------
    first, second : (P,) int64, places in the thumbnails, first < second.
    turn : (P,) int64, orientation of the second that equals the first, see `turned`.
    likeness : (P,) float32, correlation of their fine structure.
    cropped : (P,) bool, whether one shows a part of the other.
    """

    first: Ints
    second: Ints
    turn: Ints
    likeness: Floats
    cropped: NDArray[np.bool_]


def near_copies(
    thumbnails: NDArray[np.uint8], threads: int = 1, first_of: int | None = None
) -> Pairs:
    """Find pairs of near copies.

    Parameters
    ----------
    thumbnails : (N, 32, 32) uint8. Images without fine structure are never near copies.
    threads : of the comparison.
    first_of : only pairs with one of the first so many images; None: all.
    """
    places = np.flatnonzero(detail(thumbnails) >= LEAST_DETAIL)
    if len(places) < 2:
        return Pairs(places[:0], places[:0], places[:0], np.zeros(0, np.float32), places[:0] > 0)
    own = thumbnails[places]
    with threadpool_limits(1):  # threads of the library's own would wait for each other
        described = _describe(own)
        limit = _limit(described)
        asked = len(places) if first_of is None else int(np.searchsorted(places, first_of))
        first, second, turn = _candidates(described, limit, threads, asked)
        whole, fine, cropped = _verify(own, first, second, turn, threads)
        same = np.flatnonzero((whole >= WHOLE) & (fine >= FINE))
        pair = np.stack([first[same], second[same]])
        some, at = np.unique(pair, return_inverse=True)
        usual = _usual(own, described, some, threads)[at].reshape(pair.shape).min(axis=0)
        same = same[fine[same] >= 1 - UNUSUAL * usual]
    return Pairs(places[first[same]], places[second[same]], turn[same], fine[same], cropped[same])


def turned(images: NDArray[np.generic], turn: int) -> NDArray[np.generic]:
    """(N, S, S) images in one of eight orientations: bits 4, 2, 1: transpose, flip rows, flip columns."""
    out = images.transpose(0, 2, 1) if turn & 4 else images
    out = out[:, ::-1] if turn & 2 else out
    return out[:, :, ::-1] if turn & 1 else out


def detail(thumbnails: NDArray[np.uint8], block: int = 1 << 14) -> Floats:
    """(N,) standard deviation of each image's fine structure, in gray levels."""
    parts = [
        _fine(thumbnails[a : a + block].astype(np.float32)).std(axis=(1, 2))
        for a in range(0, len(thumbnails), block)
    ]
    return np.concatenate([*parts, np.zeros(0, np.float32)])


# ---------------------------------------------------------------- candidates


class _Described(NamedTuple):
    """Low frequencies of N images, of unit length, by whether they are even or odd (rows, columns)."""

    both_even: Floats
    columns_odd: Floats
    rows_odd: Floats
    both_odd: Floats

    def part(self, places: Any) -> _Described:
        """The images at some places."""
        return _Described(*(p[places] for p in self))

    def transposed(self) -> _Described:
        """The same of the transposed images."""
        shapes = ((5, 5), (5, 4), (4, 5), (4, 4))
        a, b, c, d = (
            np.ascontiguousarray(p.reshape(-1, *s).transpose(0, 2, 1).reshape(len(p), -1))
            for p, s in zip(self, shapes, strict=True)
        )
        return _Described(a, c, b, d)


def _describe(thumbnails: NDArray[np.uint8]) -> _Described:
    """Low frequencies of the discrete cosine transform: 81, of which the constant one is 0.

    Multiplying each by its frequency makes them about equally large in photographs (Field 1987,
    J. Opt. Soc. Am. A 4, 2379). What all images share in every orientation is subtracted.
    """
    k, x = np.arange(9)[:, None], np.arange(SIDE)[None]
    basis = np.cos(np.pi * k * (2 * x + 1) / (2 * SIDE)).astype(np.float32)
    basis[0] /= np.sqrt(2)
    low = np.concatenate(
        [
            basis @ thumbnails[a : a + 8192].astype(np.float32) @ basis.T
            for a in range(0, len(thumbnails), 8192)
        ]
    )
    low *= np.hypot(k, k.T).astype(np.float32)
    low = _unit(low)
    shared = low[:, ::2, ::2].mean(axis=0)
    low[:, ::2, ::2] -= (shared + shared.T) / 2
    low = _unit(low)
    parts = (low[:, a::2, b::2].reshape(len(low), -1) for a in (0, 1) for b in (0, 1))
    return _Described(*map(np.ascontiguousarray, parts))


def _unit(images: Floats) -> Floats:
    length = np.sqrt((images * images).sum(axis=(1, 2), keepdims=True))
    return np.asarray(images / np.maximum(length, 1e-6), np.float32)


def _similarity(a: _Described, b: _Described) -> Floats:
    """(N, M) cosine of each pair in the best of the four flips of `b`.

    A flip turns the sign of odd frequencies, so four products give all four.
    """
    even, columns, rows, odd = (x @ y.T for x, y in zip(a, b, strict=True))
    out = np.abs(columns + rows)
    out += even
    out += odd
    np.subtract(columns, rows, out=columns)
    np.abs(columns, out=columns)
    columns += even
    columns -= odd
    np.maximum(out, columns, out=out)
    return out


def _turns(a: _Described, b: _Described) -> Ints:
    """(P,) the orientation of each image of `b` that is most like that of `a`, see `turned`."""
    alike = []
    for d in (b, b.transposed()):
        even, columns, rows, odd = ((x * y).sum(axis=1) for x, y in zip(a, d, strict=True))
        for flip_rows in (1, -1):
            alike += [even + s * columns + flip_rows * rows + s * flip_rows * odd for s in (1, -1)]
    best: Ints = np.argmax(alike, axis=0).astype(np.int64)
    return best


def _limit(described: _Described) -> float:
    """From which similarity a pair is a candidate."""
    n = len(described[0])
    sample, others = _samples(n)
    alike = _either_way(described, sample, others)
    return float(np.quantile(alike, 1 - min(1.0, 2 * PER_IMAGE / n)))


def _samples(n: int) -> tuple[Ints, Ints]:
    """Some images of N, and more of them that these are compared with."""
    order = np.random.default_rng(0).permutation(n)
    return np.sort(order[:SAMPLE]), np.sort(order[: 8 * SAMPLE])


def _either_way(described: _Described, own: Ints, others: Ints) -> Floats:
    """(M, R) similarity of images with others in the best orientation; -1 with itself."""
    a, b = described.part(own), described.part(others)
    alike = np.maximum(_similarity(a, b), _similarity(a, b.transposed()))
    alike[own[:, None] == others[None]] = -1
    return alike


def _usual(thumbnails: NDArray[np.uint8], described: _Described, own: Ints, threads: int) -> Floats:
    """How far images are from neighbours that are hardly copies of them.

    It is 1 less the correlation of fine structure with the most alike of these neighbours. Without it,
    pictures that are all alike (digits, X-rays), or some of them (trousers among clothes), would
    count as copies.

    Parameters
    ----------
    own : (M,) places of the images.
    """
    n = len(thumbnails)
    if n < 3:
        return np.ones(len(own), np.float32)
    _, others = _samples(n)
    # The ranks are among all images: of a part of these, fewer are as near. The nearest two of a
    # part may be copies all the same.
    first, last = (
        max(r * len(others) // n, least) for r, least in zip(NEIGHBOURS, (2, 6), strict=True)
    )
    last = min(last, max(len(others) // 4, 2))
    first = min(first, last - 1)

    def part(start: int) -> Floats:
        some = own[start : start + SAMPLE]
        order = np.argsort(-_either_way(described, some, others), axis=1)[:, first:last]
        one, other = np.repeat(some, last - first), others[order.ravel()]
        turn = _turns(described.part(one), described.part(other))
        _, fine, _ = _verify(thumbnails, one, other, turn, 1)
        return np.asarray(1 - fine.reshape(len(some), -1).max(axis=1), np.float32)

    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(part, range(0, len(own), SAMPLE)))
    return np.concatenate([*parts, np.zeros(0, np.float32)])


def _candidates(
    described: _Described, limit: float, threads: int, asked: int
) -> tuple[Ints, Ints, Ints]:
    """Pairs at least as similar as `limit`, at most some of an image: first, second, turn.

    The first of a pair is one of the first `asked` images.
    """
    n = len(described[0])
    ways = (described, described.transposed())

    def compare(start: int) -> tuple[Ints, Ints]:
        own = described.part(slice(start, min(start + ROWS, asked)))
        found = []
        for left in range(start, n, COLUMNS):
            there = slice(left, left + COLUMNS)
            alike = np.maximum(*(_similarity(own, way.part(there)) for way in ways))
            at = np.flatnonzero(alike > limit)
            i, j = np.divmod(at, alike.shape[1])
            upper = i + start < j + left
            found.append((i[upper] + start, j[upper] + left, alike.ravel()[at[upper]]))
        i, j, alike = (np.concatenate(part) for part in zip(*found, strict=True))
        order = np.lexsort((-alike, i))
        i, j = i[order], j[order]
        _, begin, count = np.unique(i, return_index=True, return_counts=True)
        few = np.arange(len(i)) - np.repeat(begin, count) < MOST
        return i[few], j[few]

    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(compare, range(0, asked, ROWS)))
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64)
    first, second = (np.concatenate(part) for part in zip(*parts, strict=True))
    turn = _turns(described.part(first), described.part(second))
    return first, second, turn


# ---------------------------------------------------------------- verification


def _verify(
    thumbnails: NDArray[np.uint8], first: Ints, second: Ints, turn: Ints, threads: int
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Correlation of each aligned pair, that of its fine structure, and whether one is cropped."""
    block = 2048

    def part(start: int) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        here = slice(start, start + block)
        a = thumbnails[first[here]].astype(np.float32)
        b = thumbnails[second[here]].astype(np.float32)
        for o in range(1, 8):
            b[turn[here] == o] = turned(b[turn[here] == o], o)
        placed = _alignment(_half(a), _half(b))
        # Where one image is cropped, the other is read through the window that it shows.
        warped = _warp(a, placed * np.array([1, 2, 1, 2], np.float32))
        cropped = np.abs(placed[:, [0, 2]] - 1).max(axis=1) > 0.02
        return _correlation(warped, b), _correlation(_fine(warped), _fine(b)), cropped

    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(part, range(0, len(first), block)))
    none = np.zeros(0, np.float32)
    whole, fine, cropped = zip(*parts, strict=True) if parts else ((none,), (none,), (none > 0,))
    return np.concatenate(whole), np.concatenate(fine), np.concatenate(cropped)


def _half(images: Floats) -> Floats:
    n, side, _ = images.shape
    return np.asarray(images.reshape(n, side // 2, 2, side // 2, 2).mean(axis=(2, 4)), np.float32)


def _standard(images: Floats) -> Floats:
    images = images - images.mean(axis=(1, 2), keepdims=True)
    length = np.sqrt((images * images).mean(axis=(1, 2), keepdims=True))
    return np.asarray(images / np.maximum(length, 1e-3), np.float32)


def _alignment(images: Floats, goal: Floats, steps: int = 4) -> Floats:
    """(N, 4) scale and shift of columns, then of rows, that lay each image on its goal.

    Gauss-Newton steps on the squared difference of standardised images (Lucas and Kanade 1981,
    IJCAI, "An iterative image registration technique").
    """
    n, side, _ = images.shape
    placed = np.tile(np.array([1, 0, 1, 0], np.float32), (n, 1))
    from_centre = np.arange(side, dtype=np.float32) - (side - 1) / 2
    wanted = _standard(goal)
    inner = (slice(None), slice(1, -1), slice(1, -1))
    for _ in range(steps):
        now = _standard(_warp(images, placed))
        across = (now[:, 1:-1, 2:] - now[:, 1:-1, :-2]) / 2
        down = (now[:, 2:, 1:-1] - now[:, :-2, 1:-1]) / 2
        x, y = from_centre[None, None, 1:-1], from_centre[None, 1:-1, None]
        slopes = np.stack([across * x, across, down * y, down]).reshape(4, n, -1).transpose(1, 0, 2)
        missing = (wanted - now)[inner].reshape(n, -1, 1)
        square = slopes @ slopes.transpose(0, 2, 1)
        square += np.eye(4, dtype=np.float32) * (
            1e-3 * np.trace(square, axis1=1, axis2=2)[:, None, None] + 1e-3
        )
        placed += np.linalg.solve(square, slopes @ missing)[:, :, 0]
        placed[:, [0, 2]] = np.clip(placed[:, [0, 2]], 1 - LARGEST_SCALE, 1 + LARGEST_SCALE)
        placed[:, [1, 3]] = np.clip(placed[:, [1, 3]], -LARGEST_SHIFT, LARGEST_SHIFT)
    return placed


def _warp(images: Floats, placed: Floats) -> Floats:
    """Scale and shift images about their centre, by linear interpolation."""
    grid = np.arange(images.shape[1], dtype=np.float32)
    centre = (len(grid) - 1) / 2

    def reading(scale: Floats, shift: Floats) -> Floats:
        at = (grid - centre)[None] * scale[:, None] + centre + shift[:, None]
        at = np.clip(at, 0, len(grid) - 1)
        return np.asarray(np.maximum(0, 1 - np.abs(at[:, :, None] - grid)), np.float32)

    columns, rows = reading(placed[:, 0], placed[:, 1]), reading(placed[:, 2], placed[:, 3])
    return np.asarray(rows @ images @ columns.transpose(0, 2, 1), np.float32)


def _smoothing(width: float) -> Floats:
    """(32, 32) matrix that smooths by a Gaussian; each row sums to 1."""
    x = np.arange(SIDE)
    weight = np.exp(-0.5 * ((x[:, None] - x[None]) / width) ** 2)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True), np.float32)


NARROW, BROAD = _smoothing(0.7), _smoothing(2.0)


def _fine(images: Floats) -> Floats:
    """What lies between 0.7 and 2 pixels: below it, saving anew leaves its marks."""
    return np.asarray(NARROW @ images @ NARROW.T - BROAD @ images @ BROAD.T, np.float32)


def _correlation(a: Floats, b: Floats) -> Floats:
    inner = (slice(None), slice(2, -2), slice(2, -2))
    return np.asarray((_standard(a[inner]) * _standard(b[inner])).mean(axis=(1, 2)), np.float32)
