"""Bounds of scores; how often they hold the truth is measured in benchmarks/coverage.py."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from darkroom.evaluate import intervals
from darkroom.evaluate.run_rows import RunRows
from darkroom.evaluate.scores import Scores, pooled
from tests.unit.test_metrics import fake


def alone(truth: np.ndarray, predicted: np.ndarray, p: np.ndarray) -> Scores:
    return pooled([RunRows.of(truth, predicted, p, np.arange(len(truth)))])


def of_hits(right: int, wrong: int, group: np.ndarray | None = None) -> tuple[float, float]:
    """Bounds of the accuracy of so many rows of one class, of two."""
    truth = np.zeros(right + wrong, np.int64)
    predicted = np.r_[truth[:right], truth[:wrong] + 1]
    p = np.full((len(truth), 2), 0.5, np.float32)
    group = np.arange(len(truth)) if group is None else group
    return pooled([RunRows.of(truth, predicted, p, group)]).ends["accuracy"]


def test_a_rate_has_the_bounds_of_jeffreys() -> None:
    for right, wrong in ((15, 5), (19, 1), (1, 19)):
        expected = stats.beta(right + 0.5, wrong + 0.5).ppf([0.025, 0.975])
        assert of_hits(right, wrong) == pytest.approx(tuple(expected), abs=1e-9)
    assert of_hits(20, 0) == pytest.approx((0.025 ** (1 / 20), 1))
    assert of_hits(0, 20) == pytest.approx((0, 1 - 0.025 ** (1 / 20)))


def test_a_part_of_a_mean_has_the_bounds_of_mid_p() -> None:
    found = intervals.part_of_mean(np.array([0.75, 1.0]), np.array([20.0, 20.0]), np.inf)
    for low, hits in zip(found.low, (15, 20), strict=True):
        as_many = stats.binom.pmf(hits, 20, low) / 2
        assert stats.binom.sf(hits, 20, low) + as_many == pytest.approx(0.025)
    as_many = stats.binom.pmf(15, 20, found.high[0]) / 2
    assert stats.binom.cdf(14, 20, found.high[0]) + as_many == pytest.approx(0.025)
    assert found.high[1] == 1


def precision_of_first(m: int, rest: int, hits: int, alarms: int) -> np.ndarray:
    """Precision of the first of two classes and its bounds, of so many rows."""
    truth = np.repeat([0, 1], [m, rest])
    predicted = 1 - np.r_[np.arange(m) < hits, np.arange(rest) < alarms].astype(np.int64)
    p = np.full((m + rest, 2), 0.5, np.float32)
    return np.array([v[0] for v in alone(truth, predicted, p).by_class["precision"]])


def test_precision_follows_from_recall_and_false_alarms() -> None:
    """How many rows the rare class has is no luck: all are found, so only the alarms vary it."""
    value, low, high = precision_of_first(1000, 9000, 1000, 500)
    sd = (1000 / 1500**2) * np.sqrt(500 * (1 - 500 / 9000))
    assert value == pytest.approx(2 / 3)
    assert (high - low) / 2 == pytest.approx(1.96 * sd, rel=0.02)


def test_precision_of_few_hits_knows_that_these_may_be_luck() -> None:
    _, low, _ = precision_of_first(3, 195, 3, 3)
    _, sure, _ = precision_of_first(300, 19500, 300, 300)
    assert low < 0.3 < 0.45 < sure


def test_the_mean_f1_of_few_rows_has_no_bounds() -> None:
    for rows, given in ((190, False), (210, True)):
        truth, called, p = fake(rows, 10)
        assert np.isfinite(alone(truth, called, p).ends["f1_macro"]).all() == given


def test_one_more_right_answer_never_lowers_the_bounds() -> None:
    ends = np.array([of_hits(right, 20 - right) for right in range(21)])
    assert (np.diff(ends, axis=0) > 0).all(axis=1)[1:-1].all()


def test_rows_of_a_group_count_as_one_where_they_go_together() -> None:
    """Ten groups of ten rows, all right or all wrong: no more is known than of ten rows."""
    group = np.repeat(np.arange(10), 10)
    low, high = of_hits(80, 20, group)
    one_each = of_hits(8, 2)
    assert high - low > one_each[1] - one_each[0]
    shuffled = of_hits(80, 20, np.random.default_rng(0).permutation(group))
    assert shuffled[1] - shuffled[0] < 0.7 * (high - low)


def test_groups_that_are_too_few_or_nearly_one_have_no_bounds() -> None:
    assert np.isnan(of_hits(30, 10, np.repeat(np.arange(4), 10))).all()
    assert np.isnan(of_hits(90, 10, np.r_[np.zeros(91, np.int64), np.arange(1, 10)])).all()


def test_a_rare_class_makes_balanced_accuracy_uncertain() -> None:
    truth = np.repeat([0, 1], [195, 5])
    predicted = truth.copy()
    predicted[[0, 1, 198, 199]] ^= 1
    p = np.full((200, 2), 0.5, np.float32)
    found = alone(truth, predicted, p)
    low, high = found.ends["balanced_accuracy"]
    rare = intervals.part_of_mean(np.array([0.6]), np.array([5.0]), np.inf)
    assert high - low == pytest.approx((rare.high - rare.low).item() / 2, rel=0.05)
    assert found.ends["accuracy"][1] - found.ends["accuracy"][0] < 0.07


def test_an_area_of_one_has_a_lower_bound() -> None:
    p = np.linspace(0.01, 0.99, 50).astype(np.float32)
    truth = np.repeat([0, 1], 25)
    low, high = alone(truth, truth, np.stack([1 - p, p], axis=1)).ends["roc_auc"]
    assert high == 1 and 0.85 < low < 0.96


def test_an_area_of_one_knows_less_where_scores_of_a_group_are_alike() -> None:
    """No image is misplaced, so only the scores tell that those of a patient are alike."""
    truth, group = np.repeat([0, 1], 60), np.repeat(np.arange(24), 5)
    p = (np.linspace(0.01, 0.99, 120)).astype(np.float32)
    apart = np.r_[np.arange(60) % 12, 12 + np.arange(60) % 12]  # neighbours are of other groups
    lows = [
        pooled([RunRows.of(truth, truth, np.stack([1 - p, p], axis=1), g)]).ends["roc_auc"][0]
        for g in (group, apart, np.arange(120))
    ]
    assert lows[0] < lows[1] - 0.02
    assert lows[1] == pytest.approx(lows[2], abs=0.01)


def test_starts_that_order_images_otherwise_know_an_area_of_one_better() -> None:
    truth, rows = np.repeat([0, 1], 20), np.arange(40)

    def low(orders: list[np.ndarray]) -> float:
        tested = []
        for order in orders:
            p = (0.02 + 0.45 * order / 20).astype(np.float32)
            p = np.r_[p, 0.5 + p]
            tested.append(RunRows.of(truth, truth, np.stack([1 - p, p], axis=1), rows))
        return pooled(tested, range(len(orders))).ends["roc_auc"][0]

    same, random = np.arange(20), np.random.default_rng(0)
    one = low([same])
    assert low([same] * 3) == pytest.approx(one)
    assert low([random.permutation(20) for _ in range(3)]) > one + 0.02


def test_an_area_that_a_rare_class_decides_is_known_by_its_few_rows() -> None:
    """Of ten rows all but one are in order; that their variance is small may be luck."""
    truth = np.repeat([0, 1], [190, 10])
    p = np.r_[np.linspace(0, 0.6, 190), np.full(9, 0.7), 0.55].astype(np.float32)
    found = alone(truth, truth, np.stack([1 - p, p], axis=1))
    (low, high), area = found.ends["roc_auc"], found.value["roc_auc"]
    measured = 1.96 * np.std(np.r_[np.ones(9), 174 / 190], ddof=1) / 10**0.5  # DeLong's
    assert area - low > 1.5 * measured
    assert high < 1


def test_the_variance_of_an_area_is_that_of_delong() -> None:
    """Of many rows the bounds are those of the normal distribution."""
    truth, called, p = fake(3000, 2, skill=0.8)
    a = p[truth == 1, 1][:, None] > p[truth == 0, 1][None]
    variance = a.mean(axis=1).var(ddof=1) / 1500 + a.mean(axis=0).var(ddof=1) / 1500
    low, high = alone(truth, called, p).ends["roc_auc"]
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.02)


def test_random_starts_that_differ_widen_the_bounds() -> None:
    truth = np.arange(4000) % 2
    p, rows = np.full((4000, 2), 0.5, np.float32), np.arange(4000)

    def runs(shares: tuple[float, ...]) -> tuple[float, float]:
        tested = []
        for share in shares:
            wrong = rows % 1000 >= 1000 * share
            tested.append(RunRows.of(truth, truth ^ wrong, p, rows))
        return pooled(tested, range(len(shares))).ends["accuracy"]

    alike, apart = runs((0.9, 0.9, 0.9)), runs((0.85, 0.9, 0.95))
    assert alike == pytest.approx(runs((0.9,)), abs=1e-3)
    # three starts: two degrees of freedom, Student's 4.30 in place of 1.96
    assert apart[1] - apart[0] == pytest.approx(2 * 4.30 * 0.05 / np.sqrt(3), rel=0.15)


def test_folds_that_differ_widen_the_bounds() -> None:
    truth, p = np.zeros(400, np.int64), np.full((400, 2), 0.5, np.float32)

    def folds(shares: tuple[float, ...]) -> tuple[float, float]:
        tested = [
            RunRows.of(
                truth, (np.arange(400) >= 400 * s).astype(np.int64), p, 400 * i + np.arange(400)
            )
            for i, s in enumerate(shares)
        ]
        return pooled(tested, [0] * 5, range(5)).ends["accuracy"]

    alike, apart = folds((0.8,) * 5), folds((0.6, 0.7, 0.8, 0.9, 1.0))
    expected = stats.beta(1600.5, 400.5).ppf([0.025, 0.975])
    assert alike == pytest.approx(tuple(expected), abs=1e-3)
    assert apart[1] - apart[0] > 4 * (alike[1] - alike[0])


def test_a_loss_of_few_rows_has_no_bounds() -> None:
    truth, called, p = fake(90, 3)
    assert np.isnan(alone(truth, called, p).ends["log_loss"]).all()
    truth, called, p = fake(900, 3)
    found = alone(truth, called, p)
    low, high = found.ends["log_loss"]
    loss = -np.log(p[np.arange(900), truth])
    assert high - low == pytest.approx(2 * 1.96 * loss.std() / 30, rel=0.05)
    assert low < found.value["log_loss"] < high


def test_a_loss_that_few_rows_make_has_wider_bounds() -> None:
    """Losses of one mean and variance: half of the rows 0 and half 2, or one row in 101 far off."""
    truth = np.arange(404) % 2

    def ratio(loss: np.ndarray) -> float:
        run = RunRows.of(truth, truth, np.full((404, 2), 0.5, np.float32), np.arange(404))
        run.losses["log_loss"] = loss
        low, high = pooled([run]).ends["log_loss"]
        return float(np.log(high / low))

    few = 1 + np.r_[np.full(400, -0.1), np.full(4, 10.0)]
    assert few.mean() == pytest.approx(1) and few.std() == pytest.approx(1, abs=0.01)
    assert ratio(2.0 * truth) == pytest.approx(2 * 1.96 / 404**0.5, rel=0.02)
    # the kurtosis is 99, so the variance is known by 8 degrees of freedom
    assert ratio(few) == pytest.approx(2 * stats.t.ppf(0.975, 808 / 98) / 404**0.5, rel=0.03)


def test_bounds_with_no_other_variance_stay() -> None:
    bounds = intervals.rate(np.array([0.9]), np.array([50.0]), np.array([np.inf]))
    assert intervals.widened(np.array([0.9]), bounds, np.ones(1), [])[0] == pytest.approx(
        bounds.low
    )


def test_a_difference_of_two_samples_has_newcombes_bounds() -> None:
    def wilson(hits: int, n: int) -> tuple[float, float, float]:
        found = stats.binomtest(hits, n).proportion_ci(method="wilson")
        return hits / n, found.low, found.high

    # Newcombe 1998, Statistics in Medicine 17:873, table II: 56/70 less 48/80, method 10
    assert intervals.apart(wilson(56, 70), wilson(48, 80)) == pytest.approx(
        (0.2, 0.0524, 0.3339), abs=5e-5
    )
