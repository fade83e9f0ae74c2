"""One thing that a reader must know beside the score.

The first screen of the page shows the `MOST` weightiest caveats that are more than a `NOTE`; the
section "To keep in mind" shows all of them. To add one: write in the module of its section

    def caveats(results: Results) -> list[Caveat]:
        ...
        return [Caveat(Weight.FLATTERS, "Copies across the split",
                       "12 of 400 test images are copies of training images.", "copies")]

and name that function in `SOURCES` of `darkroom/report/caveats.py`. The test of the page checks
that each link leads to an element.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

MOST = 5


class Weight(IntEnum):
    """How much a caveat changes what the score is worth."""

    NOTE = 0
    """How it was made: in the list alone, not on the first screen."""
    LIMIT = 1
    """The score is right, but says less than it seems to."""
    FLATTERS = 2
    """On new pictures the score will probably be lower."""
    WRONG = 3
    """The score does not measure what it should: a leak, or a shortcut."""


class Caveat(NamedTuple):
    """One caveat.

    Attributes
    ----------
    weight : the heaviest stand first; those of one weight stand in the order of `SOURCES`.
    title : a few words, the link to the evidence.
    sentence : one sentence, which can be read without the title.
    evidence : `id` of the element of the page that shows the evidence.
    more : further sentences for the section "To keep in mind".
    """

    weight: Weight
    title: str
    sentence: str
    evidence: str
    more: str = ""
