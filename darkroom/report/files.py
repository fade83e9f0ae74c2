"""The section of files: unusable, converted, copies."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from darkroom.report.results import Results
from darkroom.report.sheets import thumbnail
from darkroom.report.words import share

if TYPE_CHECKING:
    import pandas as pd

# Bounds on what the page carries: it must stay below 15 MB whatever the data.
MOST_PAIRS = 8
MOST_FILES = 500
MOST_COPIES = 200


def section(results: Results) -> dict[str, Any]:
    """How files were read, and which are copies."""
    copies = results.copies
    pairs: list[dict[str, Any]] = []
    near = copies.table[copies.table["kind"] == "near"]
    near = near.assign(leaks=near["row"].isin(copies.across))
    ordered = near.sort_values(["leaks", "likeness"], ascending=[False, True], kind="stable")
    # Of several copies of one image, one is enough.
    for _, pair in ordered.drop_duplicates("first").iterrows():
        if len(pairs) == MOST_PAIRS:
            break
        a, b = int(pair["row"]), int(pair["first"])
        left, right = results.image(a), results.image(b)
        if left is not None and right is not None:
            paths = str(results.paths.get(a, "")), str(results.paths.get(b, ""))
            pairs.append(
                {
                    "images": [
                        thumbnail(i, p, shown=72) for i, p in zip((left, right), paths, strict=True)
                    ],
                    "paths": paths,
                    "how": pair["how"],
                }
            )
    status = results.manifest["status"]
    unusable = results.unusable
    by_reason = Counter(unusable["reason"].tolist()).most_common(12)
    listed = copies.table.head(MOST_COPIES).astype(object)
    return {
        "all": len(results.manifest),
        "ok": int((status == "ok").sum()),
        "converted": int((status == "converted").sum()),
        "unusable": len(unusable),
        "unusable_share": share(len(unusable), len(results.manifest)),
        "listed": list(
            zip(unusable["path"].head(MOST_FILES), unusable["reason"].head(MOST_FILES), strict=True)
        ),
        "by_reason": by_reason,
        "kinds": conversions(results.manifest),
        "copies": len(copies.table),
        "disputed": copies.disputed,
        "kinds_of_copies": copies.table["kind"].value_counts().to_dict(),
        "across": len(copies.across),
        "copies_listed": [
            (path, of, how or kind, label if label != other else None, other)
            for path, of, how, kind, label, other in zip(
                *(listed[c].tolist() for c in ("path", "of", "how", "kind", "label", "of_label")),
                strict=True,
            )
        ],
        "pairs": pairs,
    }


def conversions(manifest: pd.DataFrame) -> list[tuple[str, int]]:
    """Conversions of unusual files and how many files each was made of, the most frequent first.

    A file may have had several. Reasons that differ in a number only (of frames, say) are one.
    """
    alike: dict[str, dict[str, int]] = {}
    for reason in manifest.loc[manifest["status"] == "converted", "reason"]:
        for piece in dict.fromkeys(re.split(r"\s*;\s*", str(reason))):
            if piece:
                kinds = alike.setdefault(re.sub(r"(?<![\w-])\d+(?![\w-])", "…", piece), {})
                kinds[piece] = kinds.get(piece, 0) + 1
    found = [
        (next(iter(kinds)) if len(kinds) == 1 else common, sum(kinds.values()))
        for common, kinds in alike.items()
    ]
    return sorted(found, key=lambda item: (-item[1], item[0]))
