"""Recognising a layout, reading a table and making a split, at 60,000 files and ten times as many.

Each loops over the files in Python, so a look-up through all files would make it quadratic: ten
times the files would take a hundred times as long. The growth is the CPU seconds at the larger size
over ten times those at the smaller: 1 is linear. Peers on the same work: `pathlib`, pandas,
scikit-learn.

    python -m benchmarks.listing
"""

from __future__ import annotations

import argparse
import csv
import io
import time
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from darkroom.config.dataset import Layout, Split
from darkroom.index import layout
from darkroom.split import plan

FILES = 60_000
FOLDS = 5


def listing(n: int) -> list[str]:
    """Paths of ten classes in two given parts."""
    each = n // 20
    return [
        f"{s}/c{c}/{i:07d}.jpg" for s in ("train", "test") for c in range(10) for i in range(each)
    ]


def folders(paths: list[str]) -> int:
    cfg: Any = Layout().model_dump()
    return len(layout.recognise(paths, cfg, group=None, open_text=_nothing).label)


def folders_by_pathlib(paths: list[str]) -> int:
    return len([PurePosixPath(path).parent.name for path in sorted(paths)])


def table(paths: list[str]) -> int:
    cfg: Any = Layout(kind="table").model_dump()
    text = _written(paths)
    found = layout.recognise(
        [*paths, "all.csv"], cfg, group=None, open_text=lambda _: io.BytesIO(text)
    )
    return len(found.label)


def table_by_pandas(paths: list[str]) -> int:
    found = pd.read_csv(io.BytesIO(_written(paths)))
    return len(pd.DataFrame({"path": sorted(paths)}).merge(found, on="path", how="left"))


def split(paths: list[str]) -> int:
    cfg: Any = {
        "dataset": "d",
        "classes": None,
        "split": Split(folds=FOLDS).model_dump(mode="json"),
    }
    return len(plan.check(_rows(paths), cfg=cfg))


def split_by_scikit_learn(paths: list[str]) -> int:
    from sklearn.model_selection import GroupKFold

    rows = _rows(paths)
    return len(list(GroupKFold(FOLDS).split(rows, rows["label"], rows["group"])))


def _nothing(path: str) -> Any:
    raise FileNotFoundError(path)


def _written(paths: list[str]) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["path", "label"])
    rows.writerows([path, path.split("/")[1]] for path in paths)
    return text.getvalue().encode()


def _rows(paths: list[str]) -> pd.DataFrame:
    """A manifest in which every third image has a patient of its own."""
    n = len(paths)
    return pd.DataFrame(
        {
            "path": paths,
            "label": [path.split("/")[1] for path in paths],
            "group": [str(g) for g in np.random.default_rng(0).integers(0, n // 3, n)],
            "split": None,
        }
    )


def seconds(work: Callable[[list[str]], int], paths: list[str], runs: int) -> float:
    """Fewest CPU seconds of several runs."""
    taken = []
    for _ in range(runs):
        start = time.process_time()
        work(paths)
        taken.append(time.process_time() - start)
    return min(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="ignored")
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    fewer, more = listing(args.files), listing(10 * args.files)
    print(
        f"| CPU seconds | {len(fewer):,} files | {len(more):,} files | growth | peer | its growth |"
    )
    print("|---|--:|--:|--:|--:|--:|")
    for name, ours, peer in (
        ("class folders, beside `pathlib`", folders, folders_by_pathlib),
        ("a table of them, beside pandas", table, table_by_pandas),
        ("a split of 5 folds by groups, beside scikit-learn", split, split_by_scikit_learn),
    ):
        few, many = (seconds(ours, paths, args.runs) for paths in (fewer, more))
        few_, many_ = (seconds(peer, paths, args.runs) for paths in (fewer, more))
        print(
            f"| {name} | {few:.2f} | {many:.2f} | {many / few / 10:.2f} | {many_:.2f} |"
            f" {many_ / few_ / 10:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
