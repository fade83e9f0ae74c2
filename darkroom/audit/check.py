"""The shape of a check: what it looks at, from which value on it warns, and in which words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from darkroom.audit.sample import Sample

if TYPE_CHECKING:
    import pandas as pd

GIVEN_AWAY = 0.9
"""Balanced accuracy of one class against the rest, from which one property gives it away."""

LEAST_SKILL = 0.2
"""Skill below which no check warns, however weak the model is: chance is 0, no error 1."""

CHANCE = 0.001
"""Probability of a result by chance, from which on no check warns."""


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes
    ----------
    name : as in `audit.parquet`.
    title : what it looks at, as the subject of a sentence.
    description : what a classifier sees of an image here, and why it should not suffice.
    near : share of the model's skill from which it warns.
    find : what is seen of each row of a sample, a column each; columns of one name are one property.
        None: the check does not apply to these images.
    alone : whether a single property that gives a class away is a warning too.
    """

    name: str
    title: str
    description: str
    near: float
    find: Callable[[Sample], pd.DataFrame | None]
    alone: bool = False

    def near_model(self, found: Found, model: float) -> bool:
        """Whether this tells the classes nearly as well as the model.

        Parameters
        ----------
        found : what the check found.
        model : the balanced accuracy of the model on the same part.
        """
        skill = skill_of(found.balanced_accuracy, found.chance)
        least = max(LEAST_SKILL, self.near * skill_of(model, found.chance))
        return found.p <= CHANCE and skill >= least

    def gives_away(self, found: Found) -> bool:
        """Whether one property tells one class from the others."""
        return self.alone and found.alone >= GIVEN_AWAY and found.alone_p <= CHANCE

    def summary(self, found: Found, model: float) -> str:
        """One sentence, with the property and the classes; empty where there is nothing to warn of."""
        if self.gives_away(found):
            others = found.others or "the others"
            return (
                f"{found.alone_property.capitalize()} alone tells {found.alone_class} from {others}: "
                f"{100 * found.alone:.0f} of 100."
            )
        if self.near_model(found, model):
            best = "" if found.others else f"; it tells {found.told} best"
            return (
                f"{self.title} alone reaches a balanced accuracy of {found.balanced_accuracy:.2f} "
                f"where the model reaches {model:.2f}, most of it by {found.by}{best}."
            )
        return ""


def skill_of(balanced_accuracy: float, chance: float) -> float:
    """Balanced accuracy on a scale on which chance is 0 and no error is 1."""
    return (balanced_accuracy - chance) / (1 - chance)


@dataclass(frozen=True)
class Found:
    """What a check found: a line of `audit.parquet`.

    Attributes
    ----------
    check : its name.
    part : the part that was judged on.
    images : of it, counted once a fold.
    balanced_accuracy, low, high : of a forest, with a 95 % interval.
    chance : one over the number of classes.
    null : balanced accuracy that one of 20 permutations of the labels exceeds.
    p : probability of so much by chance.
    by : the property that the forest used most.
    told : the class that it tells best.
    others : the other class, where there are two; else empty.
    alone : the best balanced accuracy of one class against the rest by a single property.
    alone_property, alone_class : of it.
    alone_p : probability of so much by chance, corrected for all properties and classes.
    """

    check: str
    part: str
    images: int
    balanced_accuracy: float
    low: float
    high: float
    chance: float
    null: float
    p: float
    by: str
    told: str
    others: str = ""
    alone: float = 0.0
    alone_property: str = ""
    alone_class: str = ""
    alone_p: float = 1.0
