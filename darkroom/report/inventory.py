"""What a page says of the images and files themselves: counts, samples, copies, look-alikes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from darkroom.report import figures as draw
from darkroom.report import findings
from darkroom.report.findings import share
from darkroom.report.outcome import Told
from darkroom.report.pictures import Pictures, thumbnail

if TYPE_CHECKING:
    import pandas as pd

# Bounds on what the page carries: it must stay below 15 MB whatever the data.
MOST_PAIRS = 8
MOST_FILES = 500
MOST_COPIES = 200


@dataclass(frozen=True)
class Near:
    """Test images that look like a training image.

    `table` has one row a test image: `row`, `of` (training row), `distance`, `fold`.
    """

    table: pd.DataFrame
    against: str


def near(told: Told) -> Near:
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


def counts(told: Told) -> dict[str, Any]:
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


def sample_sheet(pictures: Pictures) -> dict[str, Any]:
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


def augmented_sheet(pictures: Pictures) -> dict[str, Any]:
    heads, lines = pictures.variants()
    return {
        "heads": heads,
        "rows": [
            (c, [thumbnail(i, f"{c}: {h}") for i, h in zip(line, heads, strict=True)])
            for c, line in lines
        ],
        "stored": 0 if pictures.told.augmented is None else len(pictures.told.augmented),
    }


def mistake_sheet(told: Told, pictures: Pictures) -> dict[str, Any]:
    found, total = pictures.mistakes()
    out = []
    for m in found:
        image = pictures.image(m.row)
        if image is not None:
            out.append((m, thumbnail(image, f"{m.path}: {m.truth}", shown=112)))
    images = 0 if told.choice is None else int(told.said(told.choice.key)["row"].nunique())
    return {"shown": out, "total": total, "images": images, "wanted": told.mistakes}


def files(told: Told, pictures: Pictures, near: Near) -> dict[str, Any]:
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
