"""Settings as they reach scikit-learn."""

import pytest

from darkroom.classify import model_file
from darkroom.errors import UserError


def test_settings_reach_the_estimator(case):
    fitted = model_file.load(
        case.fit("svm", settings={"C": 3, "kernel": "poly", "degree": 2}, scale=False).model
    )
    assert list(fitted.pipeline.named_steps) == ["classifier"]
    svm = fitted.pipeline[-1]
    assert (svm.C, svm.kernel, svm.degree) == (3, "poly", 2)


def test_scaling_is_for_all_but_the_forest(case):
    steps = {
        kind: list(model_file.load(case.fit(kind, max_rows=100).model).pipeline.named_steps)
        for kind in ("knn", "random_forest")
    }
    assert steps == {"knn": ["scale", "classifier"], "random_forest": ["classifier"]}


def test_pca_by_count_and_by_variance(case):
    count = case.fit("logistic_regression", pca=12)
    assert "PCA: 12 components of 64" in count.notes
    some = model_file.load(case.fit("logistic_regression", pca=0.5).model)
    assert 2 < some.pipeline.named_steps["pca"].n_components_ < 12
    with pytest.raises(UserError, match="pca is 65, but there are only 64 features"):
        case.fit("knn", pca=65)


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        ("svm", {"C": -1}, "'C' parameter of SVC"),
        ("svm", {"kernel": "rbff"}, "'kernel' parameter"),
        ("logistic_regression", {"solver": "liblinear"}, "liblinear"),
        ("knn", {"n_neighbors": 5000}, "n_neighbors"),
    ],
)
def test_wrong_values_are_one_sentence(case, kind, settings, words):
    with pytest.raises(UserError, match=r"^classifiers\.mine: scikit-learn") as error:
        case.fit(kind, settings=settings)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_class_weights_by_name(case):
    weights = dict.fromkeys(case.classes, 1.0) | {"3": 1e-6}
    light = case.fit("logistic_regression", settings={"class_weight": weights})
    three = light.table["class"] == 3
    assert (light.table["most_probable"][three] == 3).mean() < 0.2
    with pytest.raises(UserError, match=r"class_weight names 'three'"):
        case.fit("logistic_regression", settings={"class_weight": {"three": 2}})


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_an_unfinished_fit_is_noted(case):
    assert "max_iter = 2" in case.fit("logistic_regression", settings={"max_iter": 2}).notes
    assert "max_iter = 2" in case.fit("svm", settings={"max_iter": 2}).notes
    assert "max_iter" not in case.fit("linear_svm").notes
