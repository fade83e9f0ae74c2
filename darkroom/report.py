"""The report of one data set: its figures, and one page that needs nothing else.

The page is written from the files of the earlier stages alone. Every score in it is
read from the tables of the evaluation; what is derived here are choices of what to
show, and the caveats of `darkroom.findings`.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from darkroom import figures as draw
from darkroom import findings, machine, store
from darkroom.errors import UserError
from darkroom.figures import FIGURES
from darkroom.findings import number, plural, share
from darkroom.predictions import PREFIX
from darkroom.provenance import ROOT
from darkroom.splits import Splits, read_splits

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

TEMPLATE = ROOT / "report" / "template.html"
METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1_macro": "macro F1",
    "roc_auc": "ROC AUC",
    "log_loss": "log loss",
}

# Bounds on what the page carries: it must stay below 15 MB whatever the data.
MOST_SAMPLES = 360
MOST_COLUMNS = 24
MOST_MISTAKES = 120
MOST_AUGMENTED = (6, 12)  # rows, variants
MOST_PAIRS = 8
MOST_FILES = 500
MOST_COPIES = 200
SIDE = 112  # pixels of a thumbnail on the page
SHEET_SIDE = 80  # and on a sheet


def write_report(
    *,
    source: str,
    manifest: str,
    unusable: str,
    splits: str,
    metrics: str,
    summary: str,
    classes: str,
    predictions: str,
    images: str,
    output: str,
    figures: Sequence[str],
    benchmarks: str,
    cfg: Mapping[str, Any],
    histories: Sequence[str] = (),
    augmented: str | Sequence[str] | None = None,
    template: str = str(TEMPLATE),
) -> None:
    """Draw the figures and write the page.

    Parameters
    ----------
    source, manifest, unusable, splits, metrics, summary, classes, predictions, images :
        paths as in docs/formats.md; `images` in the data set's own view.
    histories : every `history.csv`, at `{fold}/{model}-seed{seed}/history.csv`.
    augmented : the variants in the same view; None or empty where none are stored.
    output : the page. figures : paths whose file names are those of `figures.FIGURES`.
    benchmarks : folder of Snakemake's benchmark files; whichever exist are read.
    cfg : `dataset` (its name), `report` (`samples`, `mistakes`), `settings` (shown as they are;
        of `settings["models"]` the keys `keep` and `monitor` tell the epoch kept).

    Raises
    ------
    UserError
        A file is missing or not what it should be.
    ValueError
        `figures` lacks one of `FIGURES`.
    """
    places = {Path(path).name: str(path) for path in figures}
    if missing := [name for name in FIGURES if name not in places]:
        raise ValueError(f"no place is given for {', '.join(missing)}")
    told = Told.read(
        source=source,
        manifest=manifest,
        unusable=unusable,
        split=splits,
        metrics=metrics,
        summary=summary,
        classes=classes,
        predictions=predictions,
        histories=[histories] if isinstance(histories, str) else list(histories),
        images=images,
        augmented=str(augmented) if augmented and isinstance(augmented, str) else None,
        cfg=cfg,
    )
    pictures = Pictures(told)
    _draw(told, pictures, places)
    html = _page(told, pictures, places, benchmarks, template)
    place = Path(output)
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".{place.name}.part")
    part.write_bytes(html.encode("utf-8", "replace"))
    part.replace(place)
    log.info("report: %s (%.1f MB)", output, len(html) / 1e6)


# ---------------------------------------------------------------- what the files say


Key = tuple[str, str]


@dataclass
class Told:
    """Everything that is read, and what follows from it."""

    dataset: str
    samples: int
    mistakes: int
    settings: dict[str, Any]
    source: dict[str, Any]
    manifest: pd.DataFrame
    unusable: pd.DataFrame
    split: Splits
    metrics: pd.DataFrame
    summary: pd.DataFrame
    by_class: pd.DataFrame
    predictions: pd.DataFrame
    notes: list[str]
    curves: list[draw.Curve]
    images: store.Images
    augmented: store.Images | None
    choice: findings.Choice | None
    part: str

    @classmethod
    def read(
        cls,
        *,
        source: str,
        manifest: str,
        unusable: str,
        split: str,
        metrics: str,
        summary: str,
        classes: str,
        predictions: str,
        histories: Sequence[str],
        images: str,
        augmented: str | None,
        cfg: Mapping[str, Any],
    ) -> Told:
        import pyarrow.parquet as pq

        whole = _table(summary, ("model", "classifier", "part"))
        runs = _table(metrics, ("features", "model", "seed", "classifier", "fold", "part"))
        said, notes = _predictions(predictions)
        origin = runs.drop_duplicates("features").set_index("features")["model"]
        said["model"] = said["features"].map(origin)
        settings = dict(cfg.get("settings") or {})
        read = read_splits(split)
        choice = findings.choose(whole)
        return cls(
            dataset=str(cfg["dataset"]),
            samples=int(cfg["report"]["samples"]),
            mistakes=int(cfg["report"]["mistakes"]),
            settings=settings,
            source=json.loads(Path(source).read_text(encoding="utf-8")),
            manifest=pq.read_table(manifest).to_pandas(),
            unusable=_table(unusable, ("path", "reason"), text_only=True),
            split=read,
            metrics=runs,
            summary=whole,
            by_class=_table(classes, ("features", "classifier", "fold", "part", "class")),
            predictions=said,
            notes=list(dict.fromkeys([*read.notes, *notes])),
            curves=[_curve(path, settings) for path in histories],
            images=store.open_images(images),
            augmented=None if augmented is None else store.open_images(augmented),
            choice=choice,
            part="test" if (whole["part"] == "test").any() else "validation",
        )

    @staticmethod
    def name(key: Key) -> str:
        model, classifier = key
        return f"{model} (network)" if classifier == "head" else f"{classifier} on {model}"

    def score(self, key: Key, part: str) -> pd.Series | None:
        """The row of `summary.csv`, or None."""
        s = self.summary
        rows = s[(s["model"] == key[0]) & (s["classifier"] == key[1]) & (s["part"] == part)]
        return rows.iloc[0] if len(rows) else None

    def said(self, key: Key) -> pd.DataFrame:
        """Predictions of a model and classifier on the reported part: all seeds and folds."""
        p = self.predictions
        return p[(p["model"] == key[0]) & (p["classifier"] == key[1]) & (p["part"] == self.part)]

    def right(self, key: Key) -> pd.Series:
        """Share of runs that were right, by row."""
        said = self.said(key)
        hits: pd.Series = (said["class"] == said["predicted"]).groupby(said["row"]).mean()
        return hits

    def confusion(self, key: Key) -> NDArray[np.float64]:
        """(K, K) counts of [truth, predicted], summed over folds, the mean over seeds."""
        said = self.said(key)
        k = len(self.split.classes)
        at = said["class"].to_numpy(np.int64) * k + said["predicted"].to_numpy(np.int64)
        seeds = max(said["features"].nunique(), 1)
        return np.bincount(at, minlength=k * k).reshape(k, k) / seeds

    def panel_keys(self) -> list[Key]:
        """The chosen one, then the best of each other classifier: at most four."""
        if self.choice is None:
            return []
        seen: dict[str, Key] = {}
        for key in self.choice.ranking:
            seen.setdefault(key[1], key)
        return list(seen.values())[:4]


def _table(path: str, names: Sequence[str], text_only: bool = False) -> pd.DataFrame:
    """A CSV for people: names stay text (a class may be called NA or 01), the rest are numbers."""
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except pd.errors.EmptyDataError:
        table = pd.DataFrame(columns=list(names))
    if missing := [name for name in names if name not in table]:
        raise UserError(f"{path} has no column {missing[0]!r}: delete it and run again")
    if not text_only:
        for column in table.columns.difference(list(names)):
            table[column] = pd.to_numeric(table[column], errors="coerce")
    return table


def _predictions(path: str) -> tuple[pd.DataFrame, list[str]]:
    """The data set's predictions without a column per class, and the notes told with them.

    `confidence` is the probability of the predicted class, `of_truth` that of the true one.
    Read in pieces: a thousand classes of many rows would not fit in memory at once.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    metadata = file.metadata.metadata or {}
    meta = json.loads(metadata.get(b"darkroom", b"{}"))
    wide = [n for n in file.schema_arrow.names if n.startswith(PREFIX)]
    narrow = ["fold", "features", "classifier", "row", "part", "class", "predicted"]
    frames = []
    for batch in file.iter_batches(max(1024, 4_000_000 // max(len(wide), 1))):
        table = pa.Table.from_batches([batch])
        frame = table.select(narrow).to_pandas()
        p = np.stack([table[n].to_numpy() for n in wide], axis=1)
        at = np.arange(len(frame))
        frame["confidence"] = p[at, frame["predicted"].to_numpy(np.int64)]
        frame["of_truth"] = p[at, frame["class"].to_numpy(np.int64)]
        for name in ("fold", "features", "classifier", "part"):
            frame[name] = frame[name].astype(object)
        frames.append(frame)
    if frames:
        return pd.concat(frames, ignore_index=True), list(meta.get("notes", []))
    empty = {n: pd.Series(dtype="int64" if n in narrow[3:] else object) for n in narrow}
    empty |= {"part": pd.Series(dtype=object)}
    empty |= {n: pd.Series(dtype=float) for n in ("confidence", "of_truth")}
    return pd.DataFrame(empty), list(meta.get("notes", []))


def _curve(path: str, settings: Mapping[str, Any]) -> draw.Curve:
    """A history with its run's name, and the epoch kept as the settings say."""
    import pandas as pd

    place = Path(path)
    model, _, seed = place.parent.name.rpartition("-seed")
    history = pd.read_csv(path)
    models = settings.get("models")
    spec = models.get(model, {}) if isinstance(models, Mapping) else {}
    kept: int | None = None
    monitor = f"val_{spec.get('monitor', 'loss')}"
    if len(history) and spec.get("keep", "best") == "last":
        kept = int(history["epoch"].iloc[-1])
    elif monitor in history and history[monitor].notna().any():
        values = history[monitor].to_numpy(float)
        at = np.nanargmax(values) if monitor == "val_accuracy" else np.nanargmin(values)
        kept = int(history["epoch"].to_numpy()[at])
    return draw.Curve(model, seed, place.parent.parent.name, history, kept)


# ---------------------------------------------------------------- pictures


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


# ---------------------------------------------------------------- figures


def _draw(told: Told, pictures: Pictures, places: Mapping[str, str]) -> None:
    for name in FIGURES:
        with draw.drawing(name):
            draw.save(_figure(name, told, pictures), places[name])


def _figure(name: str, told: Told, pictures: Pictures) -> Figure:
    if name == "learning_curves.svg":
        return draw.learning_curves(told.curves)
    if name == "class_counts.svg":
        table = findings.counts(told.split.table, told.split.classes, told.split.folds)
        return draw.class_counts(table)
    if name == "scores.svg":
        return _scores(told)
    keys = told.panel_keys()
    if name == "confusion.svg":
        panels = {told.name(k): told.confusion(k) for k in keys}
        return draw.confusions(panels, told.split.classes)
    if name == "calibration.svg":
        bins = {}
        for key in keys:
            said = told.said(key)
            hit = (said["class"] == said["predicted"]).to_numpy()
            bins[told.name(key)] = draw.reliability(said["confidence"].to_numpy(), hit)
        return draw.calibration(bins)
    if name == "samples.png":
        return _samples(pictures)
    if name == "augmented.png":
        heads, lines = pictures.variants()
        if not lines:
            return draw.in_words("No variants are stored for this data set.")
        rows = [(c, [draw.fit(i, SHEET_SIDE) for i in line]) for c, line in lines]
        return draw.sheet(draw.Sheet(rows, heads=heads), side=SHEET_SIDE)
    return _mistakes(told, pictures)


def _scores(told: Told) -> Figure:
    import pandas as pd

    lines = []
    runs: dict[Key, list[float]] = {}
    for key in told.choice.ranking if told.choice else []:
        score = told.score(key, told.part)
        if score is None:
            continue
        m = told.metrics
        own = m[(m["model"] == key[0]) & (m["classifier"] == key[1]) & (m["part"] == told.part)]
        runs[key] = own["accuracy"].dropna().tolist()
        lines.append(
            {
                "key": key,
                "name": told.name(key),
                "part": told.part,
                "chosen": told.choice is not None
                and key == told.choice.key
                and told.choice.by != "first",
                **{k: score[k] for k in ("accuracy", "accuracy_low", "accuracy_high")},
            }
        )
    if not lines:
        return draw.in_words("Nothing was evaluated, so there are no scores.")
    base = findings.baseline(told.split.table, told.split.folds, told.part)
    return draw.scores(pd.DataFrame(lines), runs, base)


def _samples(pictures: Pictures) -> Figure:
    shown, _ = pictures.samples()
    rows = []
    for name, chosen in shown:
        found = [pictures.image(row) for row in chosen]
        fitted = [draw.fit(i, SHEET_SIDE) for i in found if i is not None]
        if fitted:
            rows.append((name, fitted))
    if not rows:
        return draw.in_words("No image of the chosen classes can be shown.")
    return draw.sheet(draw.Sheet(rows), side=SHEET_SIDE)


def _mistakes(told: Told, pictures: Pictures) -> Figure:
    found, _ = pictures.mistakes()
    images, words = [], []
    for m in found:
        image = pictures.image(m.row)
        if image is not None:
            images.append(draw.fit(image, SHEET_SIDE))
            words.append(
                f"is {draw.plain(m.truth, 15)}\nsaid {draw.plain(m.predicted, 13)}\n"
                f"at {number(m.confidence, 2)}"
            )
    if not images:
        if not told.mistakes:
            return draw.in_words("The settings ask for no mistakes to be shown.")
        return draw.in_words(
            "Nothing was predicted." if told.choice is None else "No image was mistaken."
        )
    at = range(0, len(images), 8)
    content = draw.Sheet(
        [("", images[i : i + 8]) for i in at], captions=[words[i : i + 8] for i in at]
    )
    return draw.sheet(content, side=SHEET_SIDE)


# ---------------------------------------------------------------- the page


def _page(
    told: Told,
    pictures: Pictures,
    places: Mapping[str, str],
    benchmarks: str,
    template: str,
) -> str:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup, escape

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["num"] = number
    environment.filters["count"] = lambda n: f"{n:,}"
    environment.filters["plain"] = draw.plain
    environment.filters["breaks"] = lambda t: Markup(escape(t).replace("_", Markup("_<wbr>")))
    environment.filters["duration"] = duration
    environment.filters["megabytes"] = megabytes

    text = Path(template).read_text(encoding="utf-8")
    script = text.split("<script>", 1)[1].split("</script>", 1)[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    titles = {
        "learning_curves": "Loss and accuracy by epoch",
        "class_counts": "Images by class and part",
        "scores": "Accuracy with intervals",
        "confusion": "Confusion matrices",
        "calibration": "Reliability diagrams",
    }
    svg = {n: Markup(draw.inline(places[f"{n}.svg"], t)) for n, t in titles.items()}
    near = _near(told)
    context = {
        "script_digest": f"sha256-{digest}",
        "dataset": told.dataset,
        "part": told.part,
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "svg": svg,
        "summary": _summary(told),
        "caveats": _caveats(told, near),
        "results": _results(told),
        "metrics": METRICS,
        "detail": _detail(told),
        "networks": _networks(told),
        "counts": _counts(told),
        "samples": _sample_sheet(pictures),
        "augmented": _augmented_sheet(pictures),
        "mistakes": _mistake_sheet(told, pictures),
        "files": _files(told, pictures, near),
        "notes": told.notes,
        "settings": _yaml(told.settings),
        "source": told.source,
        "commit": machine.commit(),
        "versions": machine.versions(),
        "hardware": machine.hardware(),
        "costs": machine.costs(benchmarks),
    }
    return environment.from_string(text).render(context)


def duration(seconds: float) -> str:
    """Seconds in words, with the digits that matter."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def megabytes(size: float | None) -> str:
    """Bytes in decimal units."""
    if size is None or not math.isfinite(size):
        return "–"
    for unit, one in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= one:
            return f"{size / one:.1f} {unit}"
    return f"{size:.0f} bytes"


def _folds_in_words(told: Told) -> str:
    n = len(told.split.folds)
    return f"{n}-fold cross-validation" if n > 1 else "one split"


def _part_sizes(told: Told) -> dict[str, int]:
    fold = told.split.folds[0]
    sizes = told.split.table[fold].value_counts()
    return {p: int(sizes.get(p, 0)) for p in ("train", "validation", "test", "unused")}


def _summary(told: Told) -> dict[str, Any]:
    """What the first paragraph says."""
    sizes = _part_sizes(told)
    models = list(dict.fromkeys(c.model for c in told.curves))
    seeds = {m: len({c.seed for c in told.curves if c.model == m}) for m in models}
    out: dict[str, Any] = {
        "files": len(told.manifest),
        "usable": len(told.split.table),
        "classes": len(told.split.classes),
        "folds": len(told.split.folds),
        "sizes": sizes,
        "models": [
            {"name": m, "seeds": seeds[m], "times": plural(seeds[m], "seed", "seeds")}
            for m in models
        ],
        "classifiers": [c for c in dict.fromkeys(told.summary["classifier"]) if c != "head"],
        "best": None,
        "baseline": findings.baseline(told.split.table, told.split.folds, told.part),
    }
    if told.choice is not None:
        score = told.score(told.choice.key, told.part)
        if score is not None:
            out["best"] = {
                "name": told.name(told.choice.key),
                "by": told.choice.by,
                "score": score,
                "runs": int(score["runs"]),
                "n": int(told.said(told.choice.key)["row"].nunique()),
            }
    return out


@dataclass(frozen=True)
class Near:
    """Test images that look like a training image.

    `table` has one row a test image: `row`, `of` (training row), `distance`, `fold`.
    """

    table: pd.DataFrame
    against: str


def _near(told: Told) -> Near:
    import pandas as pd

    table = told.split.table
    hashed = told.manifest.set_index("row")["phash"].reindex(table["row"])
    values, held = findings.hashes(hashed.reset_index(drop=True))
    rows = table["row"].to_numpy()[held]
    out = []
    for fold in told.split.folds:
        place = table[fold].to_numpy(dtype=object)[held]
        test, train = place == told.part, place == "train"
        distance, match = findings.near_duplicates(values[test], values[train])
        near = match >= 0
        out.append(
            pd.DataFrame(
                {
                    "row": rows[test][near],
                    "of": rows[train][match[near]],
                    "distance": distance[near],
                    "fold": fold,
                }
            )
        )
    return Near(pd.concat(out, ignore_index=True), told.part)


def _caveats(told: Told, near: Near) -> list[tuple[str, str]]:
    if told.choice is None:
        return [("Nothing was evaluated", "There are no predictions, so there are no scores.")]
    score = told.score(told.choice.key, told.part)
    if score is None:
        return []
    choice = told.choice
    names = {key: told.name(key) for key in choice.ranking}
    versus = None
    group = told.split.table.set_index("row")["group"]
    if len(choice.ranking) > 1 and choice.by != "first":
        first, second = (told.right(key) for key in choice.ranking[:2])
        versus = findings.difference(first, second, group)
    accuracy = float(score["accuracy"])
    others = {
        key: float(row["accuracy"])
        for key in choice.ranking[1:]
        if (row := told.score(key, told.part)) is not None
    }
    top = max(others, key=lambda k: others[k], default=None)
    better = None
    if told.part == "test" and top is not None and others[top] > accuracy + 5e-4:
        better = (names[top], others[top])
    alike = set(near.table["row"].tolist())
    right = told.right(choice.key)
    rest = right[~right.index.isin(alike)]
    seeds = min(
        (
            len({c.seed for c in told.curves if c.model == m})
            for m in {c.model for c in told.curves}
        ),
        default=0,
    )
    return findings.caveats(
        findings.Facts(
            part=told.part,
            n=len(right),
            low=float(score["accuracy_low"]),
            high=float(score["accuracy_high"]),
            baseline=findings.baseline(told.split.table, told.split.folds, told.part),
            counts=findings.counts(told.split.table, told.split.classes, told.split.folds),
            choice=choice,
            names=names,
            versus=versus,
            better=better,
            seeds=seeds,
            networks=bool(told.curves),
            picked_epoch=any(_picked(c, told.settings) for c in told.curves),
            files=len(told.manifest),
            unusable=int((told.manifest["status"] == "unusable").sum()),
            copies=findings.copies(told.manifest, told.split.table, told.split.folds),
            near=len(alike),
            near_rest=float(rest.mean()) if alike and len(rest) else None,
            grouped=bool(told.manifest["group"].notna().any()),
            folds=len(told.split.folds),
        )
    )


def _picked(curve: draw.Curve, settings: Mapping[str, Any]) -> bool:
    """Did the validation rows choose this network's epoch?"""
    models = settings.get("models")
    spec = models.get(curve.model, {}) if isinstance(models, Mapping) else {}
    seen = "val_loss" in curve.history and bool(curve.history["val_loss"].notna().any())
    return seen and (spec.get("keep", "best") == "best" or bool(spec.get("early_stopping")))


def _results(told: Told) -> list[dict[str, Any]]:
    """A row for each model and classifier, the chosen one first."""
    out = []
    for key in told.choice.ranking if told.choice else []:
        score = told.score(key, told.part)
        if score is None:
            continue
        cells = []
        for metric in METRICS:
            spread = float(score.get(f"{metric}_sd", math.nan))
            cells.append(
                {
                    "value": float(score[metric]),
                    "sd": None if not math.isfinite(spread) or score["runs"] < 2 else spread,
                    "low": float(score[f"{metric}_low"]),
                    "high": float(score[f"{metric}_high"]),
                }
            )
        judged = told.score(key, "validation")
        out.append(
            {
                "model": key[0],
                "classifier": key[1],
                "runs": int(score["runs"]),
                "cells": cells,
                "validation": math.nan if judged is None else float(judged["balanced_accuracy"]),
                "chosen": told.choice is not None
                and key == told.choice.key
                and told.choice.by != "first",
            }
        )
    return out


def _detail(told: Told) -> dict[str, Any] | None:
    """The chosen one, class by class."""
    if told.choice is None or told.score(told.choice.key, told.part) is None:
        return None
    model, classifier = told.choice.key
    names = told.split.classes
    own = set(told.metrics.loc[told.metrics["model"] == model, "features"])
    t = told.by_class
    t = t[t["features"].isin(own) & (t["classifier"] == classifier) & (t["part"] == told.part)]
    confusion = told.confusion(told.choice.key)
    rows = []
    for k, name in enumerate(names):
        mine = t[t["class"] == name]
        off = confusion[k].copy()
        off[k] = 0
        taken = int(off.argmax()) if off.sum() > 0 else None
        folds = max(mine["fold"].nunique(), 1)
        line: dict[str, Any] = {
            "name": name,
            "n": float(mine["n"].mean() * folds) if len(mine) else 0.0,
            "taken": None if taken is None else names[taken],
            "taken_share": None if taken is None else float(off[taken] / confusion[k].sum()),
        }
        line["cells"] = [
            {s or "value": float(mine[f"{m}{s}"].mean()) for s in ("", "_low", "_high")}
            for m in ("precision", "recall", "f1", "roc_auc")
        ]
        rows.append(line)
    return {
        "name": told.name(told.choice.key),
        "rows": rows,
        "runs": int(t[["features", "fold"]].drop_duplicates().shape[0]),
        "matrix": len(names) <= draw.MOST_CELLS,
        "panels": [told.name(k) for k in told.panel_keys()] if len(names) <= 12 else [],
    }


def _networks(told: Told) -> list[dict[str, Any]]:
    """Each network's runs: epochs, the epoch kept, seconds."""
    out = []
    for model in dict.fromkeys(c.model for c in told.curves):
        runs = [c for c in told.curves if c.model == model and len(c.history)]
        if not runs:
            continue
        seconds = [float(c.history["seconds"].sum()) for c in runs if "seconds" in c.history]
        kept = [c.kept for c in runs if c.kept is not None]
        out.append(
            {
                "name": model,
                "runs": len(runs),
                "epochs": _range([len(c.history) for c in runs]),
                "kept": _range(kept) if kept else "–",
                "seconds": float(np.mean(seconds)) if seconds else math.nan,
            }
        )
    return out


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} to {high}"


def _counts(told: Told) -> dict[str, Any]:
    """Images by class and part, and stored variants."""
    table = findings.counts(told.split.table, told.split.classes, told.split.folds)
    variants = np.zeros(len(told.split.classes), int)
    if told.augmented is not None and len(told.augmented):
        _, label = told.split.lookup(told.augmented.row, told.split.folds[0])
        variants = np.bincount(label[label >= 0], minlength=len(told.split.classes))
    stay = ["train", "validation", "test"] + (["unused"] if table["unused"].any() else [])
    label_of = told.manifest.loc[told.manifest["status"] != "unusable", "row"]
    return {
        "parts": stay,
        "rows": [
            (
                name,
                [draw._count(v) for v in table.loc[:, stay].iloc[i]],
                draw._count(float(table.iloc[i].sum())),
                f"{variants[i]:,}",
            )
            for i, name in enumerate(table.index)
        ],
        "variants": bool(variants.any()),
        "folds": len(told.split.folds),
        "unchosen": int(len(label_of) - len(told.split.table)),
        "many": len(table) > draw.MOST_BARS,
    }


def _sample_sheet(pictures: Pictures) -> dict[str, Any]:
    shown, k = pictures.samples()
    rows = []
    for name, chosen in shown:
        found = [(row, pictures.image(row)) for row in chosen]
        rows.append(
            (
                name,
                [thumbnail(i, str(pictures.paths.get(r, ""))) for r, i in found if i is not None],
            )
        )
    view = pictures.told.images.view
    h, w, c = pictures.told.images.images.shape[1:]
    return {"rows": rows, "shown": len(rows), "classes": k, "size": (h, w, c), "view": view}


def _augmented_sheet(pictures: Pictures) -> dict[str, Any]:
    heads, lines = pictures.variants()
    return {
        "heads": heads,
        "rows": [
            (c, [thumbnail(i, f"{c}: {h}") for i, h in zip(line, heads, strict=True)])
            for c, line in lines
        ],
        "stored": 0 if pictures.told.augmented is None else len(pictures.told.augmented),
    }


def _mistake_sheet(told: Told, pictures: Pictures) -> dict[str, Any]:
    found, total = pictures.mistakes()
    out = []
    for m in found:
        image = pictures.image(m.row)
        if image is not None:
            out.append((m, thumbnail(image, f"{m.path}: {m.truth}", shown=112)))
    images = 0 if told.choice is None else int(told.said(told.choice.key)["row"].nunique())
    return {"shown": out, "total": total, "images": images, "wanted": told.mistakes}


def _files(told: Told, pictures: Pictures, near: Near) -> dict[str, Any]:
    copies = findings.copies(told.manifest, told.split.table, told.split.folds)
    pairs: list[dict[str, Any]] = []
    ordered = near.table.sort_values(["distance", "row"], kind="stable").drop_duplicates("row")
    # Of several that look like one training image, one is enough.
    for _, pair in ordered.drop_duplicates("of").iterrows():
        if len(pairs) == MOST_PAIRS:
            break
        a, b = int(pair["row"]), int(pair["of"])
        left, right = pictures.image(a), pictures.image(b)
        if left is not None and right is not None:
            paths = str(pictures.paths.get(a, "")), str(pictures.paths.get(b, ""))
            pairs.append(
                {
                    "images": [
                        thumbnail(i, p, shown=72) for i, p in zip((left, right), paths, strict=True)
                    ],
                    "paths": paths,
                    "distance": int(pair["distance"]),
                }
            )
    status = told.manifest["status"]
    usable = told.unusable
    by_reason = Counter(usable["reason"].tolist()).most_common(12)
    listed = copies.table.head(MOST_COPIES).astype(object)
    return {
        "all": len(told.manifest),
        "ok": int((status == "ok").sum()),
        "converted": int((status == "converted").sum()),
        "unusable": len(usable),
        "unusable_share": share(len(usable), len(told.manifest)),
        "listed": list(
            zip(usable["path"].head(MOST_FILES), usable["reason"].head(MOST_FILES), strict=True)
        ),
        "by_reason": by_reason,
        "kinds": findings.reasons(told.manifest),
        "copies": len(copies.table),
        "disputed": copies.disputed,
        "across": copies.across,
        "copies_listed": [
            (path, of, label if label != other else None, other)
            for path, of, label, other in zip(
                *(listed[c].tolist() for c in ("path", "of", "label", "of_label")), strict=True
            )
        ],
        "near": near.table["row"].nunique(),
        "near_of": int(sum((told.split.table[f] == told.part).sum() for f in told.split.folds)),
        "limit": findings.NEAR,
        "pairs": pairs,
    }


def _yaml(settings: Mapping[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(
        json.loads(json.dumps(settings)),
        sort_keys=False,
        allow_unicode=True,
        width=88,
        default_flow_style=None,
    ).strip()
