"""The settings of each kind of classifier."""

import subprocess
import sys

import pytest

from darkroom.classify import kinds
from darkroom.classify.estimators import Recipe
from darkroom.errors import UserError
from tests.support.feature_case import KINDS


def test_nothing_slow_is_imported_at_start_up():
    code = (
        "import sys; from darkroom.classify import cost, kinds;"
        "cost.forecast('svm', 9, 9); kinds.check_settings('a', 'svm', {});"
        "print([m for m in ('numpy', 'sklearn', 'skops', 'cv2', 'pandas') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("kind", KINDS)
def test_known_settings_are_those_of_scikit_learn(kind):
    recipe = Recipe(kind, True, None, {}, 0, "here")
    real = set(recipe.estimator().get_params())
    assert set(kinds.SETTINGS[kind].split()) == real - set(kinds.OWN)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"c": 1}, "did you mean 'C'"),
        ({"gama": 1}, "did you mean 'gamma'"),
        ({"zzz": 1}, "known: C, "),
        ({"probability": True}, "cannot be set here"),
        ({"n_estimators": 1}, "no setting of svm"),
    ],
)
def test_wrong_names_are_refused(given, words):
    with pytest.raises(UserError, match=r"classifiers\.mine") as error:
        kinds.check_settings("mine", "svm", given)
    assert words in str(error.value)


def test_right_names_pass():
    kinds.check_settings("mine", "svm", {"gamma": 1})
