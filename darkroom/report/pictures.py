"""Which images a report shows, and how they stand in a page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from darkroom.report import figures as draw
from darkroom.report.outcome import Told

# Bounds on what the page carries: it must stay below 15 MB whatever the data.
MOST_SAMPLES = 360
MOST_COLUMNS = 24
MOST_MISTAKES = 120
MOST_AUGMENTED = (6, 12)  # rows, variants
SIDE = 112  # pixels of a thumbnail on the page


@dataclass(frozen=True)
class Mistake:
    """A wrongly classified image; `wrong` of `runs` runs were wrong about it."""

    row: int
    path: str
    truth: str
    predicted: str
    confidence: float
    of_truth: float
    wrong: int
    runs: int


class Pictures:
    """Which images are shown. The same choice serves the page and the sheets."""

    def __init__(self, told: Told) -> None:
        self.told = told
        plain = np.flatnonzero(told.images.variant == 0)
        self._row = told.images.row[plain]
        self._at = plain
        self.paths = told.manifest.set_index("row")["path"]

    def position(self, row: int) -> int | None:
        """Where an image stands in the file, or None."""
        at = int(np.searchsorted(self._row, row))
        known = at < len(self._row) and self._row[at] == row
        return int(self._at[at]) if known else None

    def image(self, row: int) -> NDArray[np.uint8] | None:
        at = self.position(row)
        return None if at is None else np.asarray(self.told.images.images[at])

    def samples(self) -> tuple[list[tuple[str, list[int]]], int]:
        """(class, rows spread evenly over it) for as many classes as fit, spread evenly too.

        Returns
        -------
        The classes shown with their rows, and how many classes there are.
        """
        told = self.told
        columns = min(told.samples, MOST_COLUMNS)
        most = max(1, MOST_SAMPLES // columns)
        k = len(told.split.classes)
        table = told.split.table
        held = table[np.isin(table["row"].to_numpy(), self._row)]
        label = held["class"].to_numpy()
        rows = held["row"].to_numpy()
        out = []
        for c in _spread(k, most):
            own = rows[label == c]
            chosen = [int(own[i]) for i in _spread(len(own), columns)]
            out.append((told.split.classes[c], chosen))
        return out, k

    def mistakes(self) -> tuple[list[Mistake], int]:
        """The most confident mistakes of the chosen classifier, and how many images it mistook."""
        told = self.told
        if told.choice is None:
            return [], 0
        said = told.said(told.choice.key)
        wrong = said[said["class"] != said["predicted"]]
        most = min(told.mistakes, MOST_MISTAKES)
        runs = said.groupby("row").size()
        times = wrong.groupby("row").size()
        worst = wrong.sort_values(["confidence", "row"], ascending=[False, True], kind="stable")
        worst = worst.drop_duplicates("row").head(most)
        names = told.split.classes
        return [
            Mistake(
                int(m["row"]),
                str(self.paths.get(m["row"], "")),
                names[int(m["class"])],
                names[int(m["predicted"])],
                float(m["confidence"]),
                float(m["of_truth"]),
                int(times[m["row"]]),
                int(runs[m["row"]]),
            )
            for _, m in worst.iterrows()
        ], len(times)

    def variants(self) -> tuple[list[str], list[tuple[str, list[NDArray[np.uint8]]]]]:
        """Column heads, and for a few images of different classes the image and its variants."""
        told = self.told
        if told.augmented is None or not len(told.augmented):
            return [], []
        stored = told.augmented
        numbers = np.unique(stored.variant)[: MOST_AUGMENTED[1]]
        heads = ["original", *(stored.variants[int(v)] for v in numbers)]
        parents = np.unique(stored.row)
        _, label = told.split.lookup(parents, told.split.folds[0])
        have = np.unique(label[label >= 0])
        # One of each class first; of a second round where there are few classes.
        order: list[int] = []
        wanted = min(MOST_AUGMENTED[0], len(parents))
        turn = 0
        while len(order) < wanted and turn < wanted:
            for c in have[_spread(len(have), wanted)]:
                own = parents[label == c]
                if turn < len(own) and len(order) < wanted:
                    order.append(int(own[(len(own) // 3 + turn) % len(own)]))
            turn += 1
        out = []
        for row in order:
            original = self.image(row)
            if original is None:
                continue
            line = [original]
            for v in numbers:
                at = np.flatnonzero((stored.row == row) & (stored.variant == v))
                blank = np.full_like(original, 255)
                line.append(np.asarray(stored.images[at[0]]) if len(at) else blank)
            _, c = told.split.lookup([row], told.split.folds[0])
            out.append((told.split.classes[int(c[0])], line))
        return heads, out


def _spread(n: int, most: int) -> list[int]:
    """At most `most` of n positions, evenly apart, ascending."""
    if n <= most:
        return list(range(n))
    return sorted({round(i * (n - 1) / max(most - 1, 1)) for i in range(most)})


def thumbnail(image: NDArray[np.uint8], alt: str, side: int = SIDE, shown: int = 84) -> str:
    """An <img> with the picture inside it.

    Small pictures are stored as they are (PNG) and enlarged by the browser with hard edges;
    larger ones are shrunk to `side` pixels (JPEG).

    Parameters
    ----------
    image : (H, W, C) uint8. alt : what it shows. shown : longest side on the page.
    """
    from markupsafe import Markup
    from PIL import Image

    h, w = image.shape[:2]
    small = max(h, w) <= 48
    pixels = np.asarray(image) if small else draw.fit(image, side)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    buffer = io.BytesIO()
    if small:
        Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    else:
        Image.fromarray(pixels).save(buffer, "JPEG", quality=82)
    data = base64.b64encode(buffer.getvalue()).decode()
    kind = "png" if small else "jpeg"
    scale = shown / max(h, w)
    return Markup(
        '<img src="data:image/{};base64,{}" alt="{}" width="{}" height="{}"{}>'
    ).format(
        kind, data, draw.plain(alt, 200), max(1, round(w * scale)), max(1, round(h * scale)),
        Markup(' class="pixels"') if small else "",
    )  # fmt: skip
