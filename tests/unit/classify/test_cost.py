"""Time of a fit before it starts."""

import pytest

from darkroom.classify import cost
from tests.support.feature_case import KINDS


@pytest.mark.parametrize(
    ("kind", "rows", "words"),
    [
        ("linear_svm", 5_000_000, "to a sample of 3,906,250"),
        ("random_forest", 5_000_000, "to a sample of 3,906,250"),
        ("knn", 1_000, None),
    ],
)
def test_forecast_warns_of_a_sample(kind, rows, words):
    message = cost.forecast(kind, rows, 128, memory_mb=2000).message
    assert (words in message) if words else message is None


def test_forecast_grows_and_offers_what_to_use():
    small, large = (cost.forecast("svm", n, 250) for n in (2_000, 1_000_000))
    assert small.message is None
    assert small.seconds < 10
    assert large.seconds > 1000 * small.seconds
    assert "linear_svm" in large.message
    assert "days" in large.message or "hours" in large.message
    offered = int(large.message.split("max_rows: ")[1].split(" ")[0])
    fine = cost.forecast("svm", 1_000_000, 250, max_rows=offered)
    assert fine.message is None
    assert 300 < fine.seconds <= 600  # seconds


def test_work_is_in_proportion():
    forest = cost.work("random_forest", {})
    assert cost.work("svm", {}) > forest > 5 * cost.work("knn", {})
    assert cost.work("svm", {}, max_rows=10_000) < forest / 3
    assert cost.work("linear_svm", {}) > 2 * cost.work("logistic_regression", {})
    assert cost.work("random_forest", {"n_estimators": 30}) == pytest.approx(forest / 10)
    assert cost.work("random_forest", {"n_estimators": "many"}) == forest  # scikit-learn refuses it


@pytest.mark.parametrize("kind", KINDS[1:])
def test_forecast_warns_of_kernel_svms_only(kind):
    assert cost.forecast(kind, 10**7, 1000) == cost.Forecast(None, None)
