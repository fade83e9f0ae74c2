"""The tables of scores: Parquet for programs, CSV for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from darkroom import metrics
from darkroom.errors import UserError
from darkroom.evaluate.scores import Scores, bounds
from darkroom.evaluate.thresholds import two_class_rates
from darkroom.features.predictions import PARTS, About, Run
from darkroom.machine import disk

if TYPE_CHECKING:
    import pandas as pd

KEYS = Run._fields
RATES = [f"{part}_{rate}" for part in PARTS for rate in ("sensitivity", "specificity", "precision")]


def write_table(path: str, table: pd.DataFrame) -> None:
    """Write a table as Parquet, and beside it as CSV with six digits after the point.

    A threshold keeps all its digits: it decides.
    """
    with disk.whole(path) as part:
        table.to_parquet(part, index=False)
    with disk.whole(Path(path).with_suffix(".csv")) as part:
        if "threshold" in table:
            table.round(dict.fromkeys(RATES, 6)).to_csv(part, index=False)
        else:
            table.to_csv(part, index=False, float_format="%.6f")


def read_table(path: str | Path, columns: Iterable[str] = KEYS) -> pd.DataFrame:
    """Read a table of scores.

    Raises
    ------
    UserError
        It is not there, or lacks one of some columns.
    """
    import pandas as pd

    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # of pyarrow: not there, no Parquet
        raise UserError(f"{path} cannot be read ({error}): run the workflow to make it") from None
    if missing := [name for name in columns if name not in table]:
        raise UserError(f"{path} has no column {missing[0]!r}: delete it and run again")
    return table


def by_run(scores: Sequence[Scores]) -> pd.DataFrame:
    """`metrics`: a row a run and part."""
    import pandas as pd

    lines = []
    for one in scores:
        line: dict[str, Any] = {**one.run._asdict(), "part": one.part, "n": one.n}
        for m, value in one.value.items():
            low, high = bounds(m, value, one.samples[m], len(one.groups))
            line |= {m: value, f"{m}_low": low, f"{m}_high": high}
        lines.append(line)
    return pd.DataFrame(lines).astype({"seed": "Int64"})


def summary(scores: Sequence[Scores]) -> pd.DataFrame:
    """Means over seeds and folds; models in the order first met, then their classifiers."""
    import pandas as pd

    models = {model: i for i, model in enumerate(dict.fromkeys(one.run.model for one in scores))}
    alike: dict[tuple[str, str, str], list[Scores]] = {}
    for one in scores:
        alike.setdefault((one.run.model, one.run.classifier, one.part), []).append(one)
    lines = []
    for model, classifier, part in sorted(alike, key=lambda key: models[key[0]]):
        same = alike[model, classifier, part]
        line: dict[str, Any] = {
            "model": model,
            "classifier": classifier,
            "part": part,
            "runs": len(same),
        }
        tested = len(np.unique(np.concatenate([one.groups for one in same])))
        for m in metrics.OVERALL:
            values = np.array([one.value[m] for one in same])
            known = values[~np.isnan(values)]
            mean = float(known.mean()) if len(known) else np.nan
            together = np.stack([one.samples[m] for one in same])
            low, high = bounds(m, mean, metrics.mean(together), tested)
            line[m] = mean
            line[f"{m}_sd"] = float(known.std(ddof=1)) if len(known) > 1 else np.nan
            line |= {f"{m}_low": low, f"{m}_high": high}
        lines.append(line)
    return pd.DataFrame(lines)


def by_class(scores: Sequence[Scores], names: Sequence[str]) -> pd.DataFrame:
    """`class_metrics`: a row a run, part and class."""
    import pandas as pd

    tables = []
    for one in scores:
        columns: dict[str, Any] = {
            **one.run._asdict(),
            "part": one.part,
            "class": names,
            "n": one.support,
        }
        for m, (value, low, high) in one.by_class.items():
            columns |= {m: value, f"{m}_low": low, f"{m}_high": high}
        tables.append(pd.DataFrame(columns).astype({"seed": "Int64"}))
    return pd.concat(tables, ignore_index=True)


def threshold_line(
    table: pd.DataFrame, about: About, threshold: float, asked: float | str
) -> dict[str, Any]:
    """A row of `thresholds`: what a run's threshold is, and the rates that follow."""
    line: dict[str, Any] = {
        **about["run"]._asdict(),
        "positive": about["classes"][-1],
        "threshold": threshold,
        "how": asked if isinstance(asked, str) else "given",
    }
    if len(about["classes"]) == 2:
        for part in PARTS:
            rows = table[table["part"] == part]
            rates = two_class_rates(rows["class"], rows["predicted"])
            line |= {f"{part}_{rate}": value for rate, value in rates.items()}
    return line


def thresholds(lines: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """`thresholds`: a row a run; none with more than two classes."""
    import pandas as pd

    columns = [*KEYS, "positive", "threshold", "how", *RATES]
    types = {"seed": "Int64"} | dict.fromkeys(["threshold", *RATES], "float64")
    return pd.DataFrame(lines, columns=columns).astype(types)
