"""The tables of scores: Parquet for programs, CSV for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from darkroom import metrics
from darkroom.errors import UserError
from darkroom.evaluate import doubt
from darkroom.evaluate.judged import Judged
from darkroom.evaluate.ranking import CHOSEN, Key, choose
from darkroom.evaluate.run_rows import RunRows
from darkroom.evaluate.scores import Scores, pooled
from darkroom.evaluate.thresholds import two_class_rates
from darkroom.features.predictions import PARTS, About, Run
from darkroom.machine import disk, parquet_file
from darkroom.names import cell

if TYPE_CHECKING:
    import pandas as pd

KEYS = Run._fields
# Rates of the second of two classes: which metric of which class they are.
TWO_CLASSES = {
    "sensitivity": ("recall", 1),
    "specificity": ("recall", 0),
    "precision": ("precision", 1),
    "npv": ("precision", 0),
}


def _rate_columns(prefix: str = "") -> list[str]:
    return [
        f"{part}_{prefix}{rate}{end}"
        for part in PARTS
        for rate in TWO_CLASSES
        for end in ("", "_low", "_high")
    ]


RATES, POINT_RATES = _rate_columns(), _rate_columns("operating_")


def write_table(path: str, table: pd.DataFrame) -> None:
    """Write a table as Parquet, and beside it as CSV with six digits after the point.

    A threshold keeps all its digits: it decides.
    """
    with disk.whole(path) as part:
        table.to_parquet(part, index=False)
    texts = table.select_dtypes(["object", "string"]).columns
    table = table.assign(**{name: table[name].map(_cell) for name in texts})
    with disk.whole(Path(path).with_suffix(".csv")) as part:
        if "threshold" in table:
            table.round(dict.fromkeys(RATES + POINT_RATES, 6)).to_csv(part, index=False)
        else:
            table.to_csv(part, index=False, float_format="%.6f")


def _cell(value: Any) -> Any:
    return cell(value) if isinstance(value, str) else value


def read_table(path: str | Path, columns: Iterable[str] = KEYS) -> pd.DataFrame:
    """Read a table of scores.

    Raises
    ------
    UserError
        It is not there, or lacks one of some columns.
    """

    try:
        table = parquet_file.frame(path)
    except (OSError, ValueError) as error:  # of pyarrow: not there, no Parquet
        raise UserError(f"{path} cannot be read ({error}): run the workflow to make it") from None
    if missing := [name for name in columns if name not in table]:
        raise UserError(f"{path} has no column {missing[0]!r}: delete it and run again")
    return table


class Part(NamedTuple):
    """What a run predicted of a part, and how good it is.

    `operating` has what it predicts at the operating point, and the scores of that; None where
    there is none.
    """

    run: Run
    part: str
    judged: Judged
    operating: tuple[RunRows, Scores] | None


def by_run(tested: Sequence[Part]) -> pd.DataFrame:
    """`metrics`: a row a run and part."""
    import pandas as pd

    lines = []
    for one in tested:
        scores = one.judged.scores
        sizes = {"n": scores.n, "groups": scores.groups}
        lines.append({**one.run._asdict(), "part": one.part, **sizes, **_figures(scores)})
        lines[-1] |= one.judged.decisions
    return pd.DataFrame(lines).astype({"seed": "Int64"})


def _figures(scores: Scores, spread: Mapping[str, float] | None = None) -> dict[str, float]:
    """Each metric with its interval, and between them its deviation over runs."""
    line = {}
    for m, value in scores.value.items():
        line[m] = value
        if spread is not None:
            line[f"{m}_sd"] = spread[m]
        line |= dict(zip((f"{m}_low", f"{m}_high"), scores.ends[m], strict=True))
    return line


def chosen_by_fold(runs: pd.DataFrame) -> dict[str, Key]:
    """Of each fold the model and classifier that its own validation rows rank first.

    Parameters
    ----------
    runs : `metrics`.

    Returns
    -------
    Nothing where there is one fold, or nothing to choose from or by.
    """
    import pandas as pd

    judged = ["balanced_accuracy", "log_loss"]
    found = {}
    for fold, own in runs.groupby("fold", sort=False):
        means = own.groupby(["model", "classifier", "part"], sort=False)[judged].mean()
        choice = choose(pd.DataFrame(means).reset_index())
        if choice is None or choice.by != "validation":
            return {}
        found[str(fold)] = choice.key
    return found if len(found) > 1 else {}


def over_runs(
    tested: Sequence[Part], names: Sequence[str], chosen: Mapping[str, Key]
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """`summary`, `class_metrics` and `abstention`: over the seeds and folds of each model and classifier.

    Models are in the order first met, then their classifiers.

    Parameters
    ----------
    names : of the classes.
    chosen : of each fold the best by its validation rows; these together are `ranking.CHOSEN`.
    """
    import pandas as pd

    models = {model: i for i, model in enumerate(dict.fromkeys(one.run.model for one in tested))}
    alike: dict[tuple[str, str, str], list[Part]] = {}
    for one in tested:
        key = one.run.model, one.run.classifier
        alike.setdefault((*key, one.part), []).append(one)
        if chosen.get(one.run.fold) == key:
            alike.setdefault((*CHOSEN, one.part), []).append(one)
    lines, tables, kept = [], [], []
    for model, classifier, part in sorted(alike, key=lambda key: models.get(key[0], len(models))):
        same = alike[model, classifier, part]
        names_of = {"model": model, "classifier": classifier, "part": part}
        values = [one.judged.scores.value for one in same]
        spread = {m: _deviation([value[m] for value in values]) for m in metrics.OVERALL}
        folds = [one.run.fold for one in same]
        seeds = [one.run.seed if one.run.seed is not None else 0 for one in same]
        together = pooled([one.judged.rows for one in same], seeds, folds)
        sure = [one.judged.doubt for one in same]
        images = sum({one.run.fold: len(one.judged.rows.truth) for one in same}.values())
        sizes = {"runs": len(same), "images": images, "groups": together.groups}
        lines.append({**names_of, **sizes, **_figures(together, spread)})
        lines[-1] |= doubt.measured(sure, seeds, folds)
        kept += [names_of | point for point in doubt.most_confident(sure, seeds, folds)]
        starts = len(same) / len(set(folds))
        columns: dict[str, Any] = {**names_of, "class": names, "n": together.support / starts}
        for m, (value, low, high) in together.by_class.items():
            columns |= {m: value, f"{m}_low": low, f"{m}_high": high}
        tables.append(pd.DataFrame(columns))
    return pd.DataFrame(lines), pd.concat(tables, ignore_index=True), pd.DataFrame(kept)


def _deviation(values: Sequence[float]) -> float:
    known = np.array([v for v in values if not np.isnan(v)])
    return float(known.std(ddof=1)) if len(known) > 1 else float("nan")


def threshold_line(
    parts: Sequence[Part],
    about: About,
    threshold: tuple[float, float | str],
    point: tuple[float, Mapping[str, float]] | None,
) -> dict[str, Any]:
    """A row of `thresholds`: what a run's threshold is, and the rates that follow.

    Parameters
    ----------
    threshold : and what was asked for.
    point : the threshold of the operating point, and what was asked for; None: none was.
    """
    value, asked = threshold
    line: dict[str, Any] = {
        **about["run"]._asdict(),
        "positive": about["classes"][-1],
        "threshold": value,
        "how": asked if isinstance(asked, str) else "given",
    }
    if point is not None:
        wanted = ", ".join(f"{rate} {least:g}" for rate, least in point[1].items())
        line |= {"operating_point": wanted, "operating_threshold": point[0]}
    if len(about["classes"]) == 2:
        for one in parts:
            line |= _two_class_rates(f"{one.part}_", one.judged.rows, one.judged.scores)
            if one.operating is not None:
                line |= _two_class_rates(f"{one.part}_operating_", *one.operating)
    return line


def _two_class_rates(prefix: str, rows: RunRows, scores: Scores) -> dict[str, float]:
    line: dict[str, float] = {}
    found = two_class_rates(rows.truth, rows.predicted)
    for rate, (metric, c) in TWO_CLASSES.items():
        _, low, high = scores.by_class[metric]
        name = f"{prefix}{rate}"
        line |= {name: found[rate], f"{name}_low": low[c], f"{name}_high": high[c]}
    return line


def thresholds(lines: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """`thresholds`: a row a run; none with more than two classes."""
    import pandas as pd

    columns, rates = [*KEYS, "positive", "threshold", "how", *RATES], ["threshold", *RATES]
    if any("operating_point" in line for line in lines):
        columns += ["operating_point", "operating_threshold", *POINT_RATES]
        rates += ["operating_threshold", *POINT_RATES]
    types = {"seed": "Int64"} | dict.fromkeys(rates, "float64")
    return pd.DataFrame(lines, columns=columns).astype(types)
