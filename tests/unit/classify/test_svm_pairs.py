"""An SVM fitted pair by pair and evaluated by matrix products has the numbers of SVC."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from darkroom.classify import svm_pairs


def clusters(classes: int, rows: int = 900, apart: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping clusters, of unequal sizes."""
    random = np.random.default_rng(classes)
    share = np.arange(1, classes + 1) / np.arange(1, classes + 1).sum()
    y = random.choice(classes, rows, p=share)
    x = apart * random.normal(size=(classes, 20))[y] + random.normal(size=(rows, 20))
    return x.astype(np.float32), y


def svc(**settings: Any) -> Any:
    from sklearn.svm import SVC

    return SVC(random_state=0, **settings)


@pytest.fixture
def pairwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svm_pairs, "PAIRWISE_ROWS", 1)


SETTINGS: list[dict[str, Any]] = [
    {},
    {"kernel": "linear", "C": 0.1},
    {"kernel": "poly", "degree": 2, "coef0": 1, "gamma": "auto"},
    {"kernel": "sigmoid", "gamma": 0.01, "class_weight": "balanced"},
    {"class_weight": {0: 5, 3: 0.5}, "tol": 1e-2, "shrinking": False},
]


@pytest.mark.usefixtures("pairwise")
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("threads", [1, 3])
def test_pairs_make_what_svc_fits(settings: dict[str, Any], threads: int) -> None:
    x, y = clusters(5)
    some = np.flatnonzero(np.arange(len(x)) % 3)
    found = svm_pairs.fit(svc(**settings), x, y, [None, some], threads=threads)
    for subset, mine in zip([slice(None), some], found, strict=True):
        own = svc(**settings).fit(x[subset], y[subset])
        assert vars(mine).keys() == vars(own).keys()
        for name, value in vars(own).items():
            assert np.array_equal(vars(mine)[name], value), name
            assert type(vars(mine)[name]) is type(value), name
        assert np.array_equal(mine.decision_function(x), own.decision_function(x))


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("classes", [2, 5])
def test_matrix_products_give_the_decision_values_of_svc(
    settings: dict[str, Any], classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(svm_pairs, "BLOCK", 5000)  # several blocks
    x, y = clusters(5)
    y = y % classes
    if isinstance(settings.get("class_weight"), dict):
        settings = {**settings, "class_weight": {0: 5}}
    own = svc(**settings).fit(x[:600], y[:600])
    assert np.allclose(
        svm_pairs.decision_function(own, x), own.decision_function(x), rtol=0, atol=1e-10
    )


@pytest.mark.usefixtures("pairwise")
def test_a_pair_that_ran_out_of_iterations_marks_the_svm() -> None:
    x, y = clusters(4)
    with pytest.warns(match="terminated early"):
        found = svm_pairs.fit(svc(max_iter=3), x, y, [None])[0]
    assert found.fit_status_ == 1
    assert found.n_iter_.max() == 3
