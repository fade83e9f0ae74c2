"""How often the report's 95 % intervals hold the true value and its verdicts are false, in simulation.

Each line of the table draws test sets of one kind again and again from a model whose true scores
are known, scores them as the evaluation does, and counts. An interval that is not given (too few
groups, too few rows for a mean loss) does not count; `–` where none was. The model: a row has a
number for each class, the largest is predicted; the true class's is larger by a skill, which
groups and random starts vary. A skill is drawn anew each time, so that no table depends on how a
binomial count falls about one proportion. Folds learn nearest-centroid classifiers for real.

    python -m benchmarks.coverage            # half an hour
    python -m benchmarks.coverage --quick    # a few lines
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import log_softmax, ndtr

from darkroom import metrics
from darkroom.evaluate import doubt, tables
from darkroom.evaluate.comparisons import difference, verdicts
from darkroom.evaluate.run_rows import RunRows
from darkroom.evaluate.scores import Scores, pooled

NAMES = {  # of the figures, and their columns
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "precision_macro": "macro precision",
    "f1_macro": "macro F1",
    "f1_weighted": "weighted F1",
    "roc_auc": "ROC AUC",
    "log_loss": "log loss",
    "brier": "Brier",
    "calibration_error": "calibration error",
    "aurc": "AURC",
    "recall of the first": "recall, first class",
    "precision of the first": "precision, first class",
    "f1 of the first": "F1, first class",
    "roc_auc of the first": "ROC AUC, first class",
}
SURE = ("calibration_error", "aurc")
WANTED = (0.93, 0.98)
ROUND = 400  # test sets
SKILLS = np.linspace(0.8, 3.4, 14)
Truth = dict[str, float]
Tested = tuple[RunRows, doubt.Doubt]


@dataclass(frozen=True)
class Case:
    """One kind of test set.

    Attributes
    ----------
    name : in the table.
    counts : rows of each class.
    groups : None: each row alone; else their number, of unequal sizes.
    difficulty : by how much groups vary the skill (standard deviation).
    seeds : random starts.
    luck : by how much these vary the skill.
    mixed : groups hold rows of several classes.
    """

    name: str
    counts: tuple[int, ...]
    groups: int | None = None
    difficulty: float = 0.0
    seeds: int = 1
    luck: float = 0.0
    mixed: bool = False

    def draw(
        self, rng: np.random.Generator, rows: int
    ) -> tuple[list[Tested], list[int], list[int], Truth]:
        """Runs with their seeds and folds, and the true scores, from so many rows."""
        k, n = len(self.counts), sum(self.counts)
        skill = float(rng.choice(SKILLS))
        truth = np.repeat(np.arange(k), self.counts)
        group = np.arange(n)
        own = np.zeros(n)
        if self.groups is not None:
            if self.mixed:
                truth = rng.permutation(truth)
            size = rng.lognormal(0, 0.8, self.groups)
            # every group has a row; the rest fall by size, and rows of a class stay together
            count = 1 + rng.multinomial(n - self.groups, size / size.sum())
            group = np.repeat(np.arange(self.groups), count)
            own = rng.normal(0, self.difficulty, self.groups)[group]
        common, runs = rng.normal(size=(n, k)), []
        for _ in range(self.seeds):
            at = skill + own + (rng.normal(0, self.luck) if self.seeds > 1 else 0)
            z = np.sqrt(0.5) * (common + rng.normal(size=(n, k)))
            runs.append(tested(truth, z, at, group))
        spread = float(np.hypot(self.difficulty, self.luck if self.seeds > 1 else 0))
        return (
            runs,
            list(range(self.seeds)),
            [0] * self.seeds,
            true(skill, spread, self.counts, rows),
        )


def tested(truth: Any, z: Any, skill: Any, group: Any) -> Tested:
    z = z.copy()
    z[np.arange(len(z)), truth] += skill
    p = np.exp(log_softmax(1.5 * z, axis=1)).astype(np.float32)
    return both(truth, p, group)


def both(truth: Any, p: Any, group: Any) -> Tested:
    """What scores need of predictions, and what says how sure they are."""
    called = p.argmax(axis=1)
    return RunRows.of(truth, called, p, group), doubt.Doubt.of(truth, called, p, group, 0.5)


def true(skill: float, spread: float, counts: tuple[int, ...], rows: int) -> Truth:
    """The true scores of the model, from so many rows that their own error does not matter."""
    k = len(counts)
    truth, hit = of_a_class(skill, spread, k, rows)
    share = np.array(counts) / sum(counts)
    confusion = np.full((k, k), (1 - hit) / (k - 1))
    np.fill_diagonal(confusion, hit)
    overall, by_class = metrics.rates(confusion * share[:, None])
    return overall | {f"{m} of the first": float(v[0]) for m, v in by_class.items()} | truth


@cache
def of_a_class(skill: float, spread: float, k: int, rows: int) -> tuple[Truth, float]:
    """What is true whatever the rows of each of K classes, and the share of right rows."""
    rng = np.random.default_rng(1)
    z = rng.normal(size=(rows, k))
    z[:, 0] += skill + rng.normal(0, spread, rows) if spread else skill
    p = np.exp(log_softmax(1.5 * z, axis=1))
    # rows of the first class against rows of others, by the odds of the first class
    other = rng.permutation(rows)
    odds = np.log(p[:, 0] / (1 - p[:, 0]))
    rest = np.log(p[other, 1] / (1 - p[other, 1]))  # by symmetry: of another true class
    area = metrics.area(np.repeat([True, False], rows), np.concatenate([odds, rest]))
    truth = np.zeros(rows, np.int64)
    sure = both(truth, p.astype(np.float32), np.arange(rows))[1]
    return {
        "roc_auc": area,
        "roc_auc of the first": area,
        "log_loss": float(metrics.log_losses(truth, p).mean()),
        "brier": float(metrics.brier_scores(truth, p).mean()),
        "calibration_error": metrics.calibration_error(sure.confidence, sure.right),
        "aurc": doubt.risk(sure)[0],
    }, float((p.argmax(axis=1) == 0).mean())


@dataclass(frozen=True)
class Folds:
    """A cross-validation of nearest-centroid classifiers of two classes."""

    name: str
    rows: int
    folds: int = 5
    features: int = 8

    def draw(
        self, rng: np.random.Generator, rows: int
    ) -> tuple[list[Tested], list[int], list[int], Truth]:
        """As `Case.draw`."""
        distance = float(rng.choice(np.linspace(0.9, 2.4, 8)))
        x, y = self.data(rng, distance, self.rows)
        fold = np.empty(self.rows, np.int64)
        for c in (0, 1):
            fold[y == c] = rng.permutation(np.arange((y == c).sum()) % self.folds)
        runs = []
        for f in range(self.folds):
            w, b = self.learn(x[fold != f], y[fold != f])
            test = fold == f
            p = 1 / (1 + np.exp(-(x[test] @ w + b)))
            p = np.stack([1 - p, p], axis=1).astype(np.float32)
            runs.append(both(y[test], p, np.flatnonzero(test)))
        return runs, [0] * self.folds, list(range(self.folds)), self.true(distance)

    def data(self, rng: np.random.Generator, distance: float, n: int) -> tuple[Any, Any]:
        y = np.arange(n) % 2
        x = rng.normal(size=(n, self.features))
        x[:, 0] += distance * (y - 0.5)
        return x, y

    @staticmethod
    def learn(x: Any, y: Any) -> tuple[Any, float]:
        means = [x[y == c].mean(axis=0) for c in (0, 1)]
        w = means[1] - means[0]
        return w, float(-w @ (means[0] + means[1]) / 2)

    @cache  # noqa: B019  few distances, and the cases live as long as the process
    def true(self, distance: float) -> Truth:
        rng = np.random.default_rng(2)
        n = self.rows - self.rows // self.folds
        accuracy, areas = [], []
        for _ in range(400):
            w, b = self.learn(*self.data(rng, distance, n))
            size, half = np.linalg.norm(w), w[0] * distance / 2
            accuracy.append((ndtr((half + b) / size) + ndtr((half - b) / size)) / 2)
            areas.append(ndtr(2 * half / size / np.sqrt(2)))
        value = float(np.mean(accuracy))
        return {"accuracy": value, "balanced_accuracy": value, "roc_auc": float(np.mean(areas))}


def cases(quick: bool) -> list[Any]:
    """The lines of the table."""
    if quick:
        return [
            Case("60 images", (30, 30)),
            Case("195 + 5", (5, 195)),
            Case("20 patients", (75, 75), groups=20, difficulty=0.8),
            Case("200 images, 3 seeds", (100, 100), seeds=3, luck=0.3),
        ]
    alone = [
        Case(f"{n:,} images, 2 classes", (n // 2, n // 2)) for n in (20, 50, 200, 1000, 10_000)
    ]
    alone += [Case(f"{n:,} images, 10 classes", (n // 10,) * 10) for n in (100, 1000)]
    rare = [Case(f"a class of {m} beside {195 - 0} images", (m, 195)) for m in (3, 5, 10)]
    rare += [Case(f"a class of {m} of 4", (m, 60, 60, 60)) for m in (3, 5, 10)]
    grouped = [
        Case(f"{g} groups of {8 * g} images", (4 * g, 4 * g), groups=g, difficulty=0.8)
        for g in (5, 10, 20, 50, 200)
    ]
    grouped += [
        Case(f"{g} groups with both classes", (4 * g, 4 * g), groups=g, difficulty=0.8, mixed=True)
        for g in (5, 10, 20, 50, 200)
    ]
    grouped += [Case("50 groups that matter little", (200, 200), groups=50, difficulty=0.1)]
    seeds = [
        Case(f"{n:,} images, 3 seeds{name}", (n // 2, n // 2), seeds=3, luck=luck)
        for n in (20, 100, 1000, 10_000)
        for name, luck in ((" alike", 0.02), (" that differ", 0.2))
    ]
    seeds += [Case("20 groups, 3 seeds", (80, 80), groups=20, difficulty=0.8, seeds=3, luck=0.2)]
    folds = [Folds(f"5 folds of {n:,} images", n) for n in (50, 100, 300, 1000)]
    folds += [Folds("10 folds of 200 images", 200, folds=10)]
    return [*alone, *rare, *grouped, *seeds, *folds]


def coverage(case: Any, most: int, rows: int) -> tuple[int, dict[str, tuple[float, float]]]:
    """How many test sets were drawn; of each figure the share of intervals that hold the truth.

    Beside that the share of test sets that give one. Drawn are rounds of `ROUND` test sets, until
    every share is settled: within `WANTED` by its standard error, or outside by three of them.

    Parameters
    ----------
    most : test sets.
    rows : that tell the true scores.
    """
    rng = np.random.default_rng(0)
    held: dict[str, list[bool]] = {}
    for drawn in range(1, most + 1):
        runs, seeds, folds, truth = case.draw(rng, rows)
        with np.errstate(all="ignore"):
            found = pooled([rows for rows, _ in runs], seeds, folds)
            sure = doubt.measured([own for _, own in runs], seeds, folds)
        for name, value in truth.items():
            if name in SURE:
                low, high = sure[f"{name}_low"], sure[f"{name}_high"]
            else:
                low, high = ends(found, name)
            if np.isfinite(low):
                held.setdefault(name, []).append(low <= value <= high)
        if drawn % ROUND == 0 and all(settled(h) for m, h in held.items() if m in NAMES):
            break
    return drawn, {m: (float(np.mean(h)), len(h) / drawn) for m, h in held.items()}


def settled(held: list[bool]) -> bool:
    """Whether more test sets would hardly move a share over an end of `WANTED`."""
    share = float(np.mean(held))
    beyond = max(WANTED[0] - share, share - WANTED[1])  # negative within
    return not -1 < beyond / error(share, len(held)) < 3


def error(share: float, n: int) -> float:
    """The standard error of a share of so many; that of 0.99 where it is 0 or 1."""
    return float(np.sqrt(max(share * (1 - share), 0.01) / n))


def ends(found: Scores, name: str) -> tuple[float, float]:
    if name.endswith(" of the first"):
        _, low, high = found.by_class[name.removesuffix(" of the first")]
        return float(low[0]), float(high[0])
    return found.ends[name]


# ---------------------------------------------------------------- the choice, and verdicts


def choice(repeats: int) -> Iterator[tuple[str, str]]:
    """Twelve classifiers of labels that are noise, in five folds: nothing is better than 0.5."""
    rng = np.random.default_rng(0)
    kinds, rows, folds = 12, 100, 5
    within: list[float] = []
    over: list[float] = []
    above: list[bool] = []
    for _ in range(repeats):
        x, y = rng.normal(size=(rows, 40)), rng.permutation(np.arange(rows) % 2)
        fold = np.empty(rows, np.int64)
        for c in (0, 1):
            fold[y == c] = np.arange((y == c).sum()) % folds
        own_features = [rng.choice(40, 6, replace=False) for _ in range(kinds)]
        lines, tests = [], {}
        for f in range(folds):
            validation, test = fold == (f + 1) % folds, fold == f
            train = ~validation & ~test
            for j, columns in enumerate(own_features):
                w, b = Folds.learn(x[train][:, columns], y[train])
                score = x[:, columns] @ w + b
                p = np.stack([1 / (1 + np.exp(score)), 1 / (1 + np.exp(-score))], axis=1)
                counts = metrics.confusion(y[validation], score[validation] > 0, 2)
                lines.append(
                    {
                        "model": "m",
                        "classifier": str(j),
                        "fold": str(f),
                        "part": "validation",
                        "balanced_accuracy": metrics.rates(counts)[0]["balanced_accuracy"],
                        "log_loss": metrics.log_losses(y[validation], p[validation]).mean(),
                    }
                )
                tests[str(f), str(j)] = y[test], p[test].astype(np.float32), np.flatnonzero(test)
        table = pd.DataFrame(lines)
        runs = [
            RunRows.of(truth, p.argmax(axis=1), p, row)
            for truth, p, row in (
                tests[f, key[1]] for f, key in tables.chosen_by_fold(table).items()
            )
        ]
        with np.errstate(all="ignore"):
            found = pooled(runs, [0] * folds, range(folds))
        within.append(found.value["accuracy"])
        above.append(found.ends["accuracy"][0] > 0.5)
        best = str(table.groupby("classifier")["balanced_accuracy"].mean().idxmax())
        right = [
            (tests[str(f), best][1].argmax(axis=1) == tests[str(f), best][0]) for f in range(folds)
        ]
        over.append(float(np.mean(right)))
    error = np.std(within) / np.sqrt(repeats)
    yield (
        "chosen within each fold: mean accuracy (0.5 is true)",
        f"{np.mean(within):.3f} ± {error:.3f}",
    )
    yield "  intervals wholly above 0.5", f"{np.mean(above):.3f}"
    yield "chosen over all folds: mean accuracy of the marked row", f"{np.mean(over):.3f}"


def false_verdicts(repeats: int, quick: bool) -> Iterator[tuple[str, str]]:
    """Of recipes that are equal: how often at least one is called better or worse than the first."""
    rng = np.random.default_rng(0)
    for name, models, rows, groups, seeds, folds in (
        ("two equal recipes, one seed each", 2, 1000, 1000, 1, 1),
        ("two equal recipes, 3 seeds, 200 images", 2, 200, 200, 3, 1),
        ("two equal recipes, 3 seeds, 10,000 images", 2, 10_000, 10_000, 3, 1),
        ("eight equal recipes, 3 seeds, 1,000 images", 8, 1000, 1000, 3, 1),
        ("eight equal recipes, 3 seeds, 30 groups", 8, 240, 30, 3, 1),
        ("eight equal recipes that are hardly ever wrong", 8, 400, 400, 3, 1),
        ("eight equal recipes, 3 seeds, 5 folds", 8, 500, 500, 3, 5),
    ):
        if quick and (rows > 200 and seeds > 1):
            continue
        skill = 3.5 if "hardly" in name else 1.5
        false = 0
        for _ in range(repeats):
            about = pd.DataFrame(
                {
                    "class": np.arange(rows) % 2,
                    "group": rng.permutation(np.arange(rows) % groups),
                    "fold": np.arange(rows) // 2 % folds,
                }
            )
            common = rng.normal(size=rows) + rng.normal(0, 0.7, groups)[about["group"]] * (
                groups < rows
            )
            hits, by_seed = [], []
            for _ in range(models):
                own = (
                    rng.normal(size=(seeds, rows))
                    + rng.normal(0, 0.15, (seeds, folds))[:, about["fold"]]
                )
                hit = common + own + skill > 0
                hits.append(pd.Series(hit.mean(axis=0)))
                by_seed.append(
                    [np.mean([h[about["class"] == c].mean() for c in (0, 1)]) for h in hit]
                )
            found = [
                difference(hits[i], hits[0], about, (by_seed[i], by_seed[0]))
                for i in range(1, models)
            ]
            false += any(v in ("better", "worse") for v in verdicts(found))
        yield name, f"{false / repeats:.3f}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Coverage of the 95 % intervals, false verdicts.")
    parser.add_argument("--quick", action="store_true", help="a few lines, fewer repetitions")
    parser.add_argument("--repeats", type=int, default=1200, help="most test sets a line")
    parser.add_argument("--only", default="", help="lines of coverage whose name has this")
    options = parser.parse_args()
    print("| test sets | drawn | ± |" + "".join(f" {title} |" for title in NAMES.values()))
    print("|---|--:|--:|" + "--:|" * len(NAMES), flush=True)
    outside = []
    for case in cases(options.quick):
        if options.only not in case.name:
            continue
        drawn, found = coverage(case, options.repeats, 20_000 if options.quick else 300_000)
        cells = [case.name, f"{drawn:,}", f"{2 * error(0.95, drawn):.3f}"]
        for name, title in NAMES.items():
            share, given = found.get(name, (np.nan, 0.0))
            cells.append("–" if given < 0.5 else f"{share:.3f}" + ("" if given > 0.99 else "*"))
            if given >= 0.5 and not WANTED[0] <= round(share, 3) <= WANTED[1]:
                sure = 2 * error(share, int(drawn * given))
                outside.append(f"{case.name}, {title}: {share:.3f} ± {sure:.3f}")
        print("| " + " | ".join(cells) + " |", flush=True)
    print("\n".join([f"outside {WANTED[0]} to {WANTED[1]}: {len(outside)}", *outside]), flush=True)
    if not options.only:
        for name, value in choice(min(options.repeats, 40 if options.quick else 400)):
            print(f"{name.ljust(60)} {value}", flush=True)
        for name, value in false_verdicts(min(options.repeats, 1000), options.quick):
            print(f"{name.ljust(60)} {value}", flush=True)


if __name__ == "__main__":
    main()
