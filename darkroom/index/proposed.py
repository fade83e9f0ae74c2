"""Groups that file names suggest: subjects, scenes, videos, or originals with altered copies.

A name such as `patient07_2`, `00012229_003` or `clip3_frame0041` is an id and a running number. The
readings are tried on all names; one is proposed only where it makes many groups of several images,
none of them large, and more than there are classes. So `cat.0001`, `dog_12`, `img_0001` and `0001`
suggest nothing: their ids are words, constant, or one for each image.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

AUTO = "auto"
"""The setting `group` that takes what is proposed."""

COPIES = (  # 7_flip, 7_aug2, 7_rot90; and Roboflow's 7_jpg.rf.0123456789abcdef
    r"^(.+?)(?:[-_. ]+(?:aug|[hv]?flip|rot|mirror|crop|blur|noise)[^/]*|\.rf\.[0-9a-f]+)?\.[^./]+$"
)
VIEWS = r"(?i)(?:^|/)([^/]*\d)[-_. ]?(?:left|right|[lr]|od|os|cc|mlo)\.[^./]+$"  # 10_left, 10_right
READINGS = (
    COPIES,
    VIEWS,
    r"(?:^|/)([^/\d]*\d+)[-_. ][^/]*\d[^/]*$",  # up to the first number: patient07_left_2
    r"(?:^|/)([^/]*\d[^/]*)[-_. ][A-Za-z]*\d+[A-Za-z]?\.[^./]+$",  # all but the last: NORMAL2-IM-0115-0001
)
LEAST_GROUPS, PER_CLASS = 20, 3  # fewer are names of classes, cameras or batches
TOGETHER = 0.5  # share of the images that must be in a group of several
LARGEST = 0.1  # share of the images that a group may have
SPARSE = 100  # numbers of a group may span so many for each image: a time of day spans more


@dataclass(frozen=True)
class Proposal:
    """What names suggest.

    Attributes
    ----------
    expression : for the setting `group`.
    groups : how many of several images. images : in these.
    examples : names of three images of one group, and the group.
    """

    expression: str
    groups: int
    images: int
    examples: tuple[list[str], str]

    @property
    def what(self) -> str:
        """What the groups may be."""
        return "originals" if self.expression is COPIES else "subjects, scenes or videos"


def propose(paths: Sequence[str], classes: int) -> Proposal | None:
    """The groups that the names of all images suggest; None where they suggest none.

    Parameters
    ----------
    paths : of the images. classes : how many labels there are.
    """
    paths = list(dict.fromkeys(paths))
    for reading in READINGS:
        expression = re.compile(reading)
        groups: dict[str, list[str]] = defaultdict(list)
        for path in paths:
            if found := expression.search(path):
                groups[found[1]].append(path)
        several = {name: own for name, own in groups.items() if len(own) > 1}
        images = sum(map(len, several.values()))
        if (
            len(several) >= max(LEAST_GROUPS, PER_CLASS * classes)
            and images >= TOGETHER * len(paths)
            and max(map(len, several.values())) <= LARGEST * len(paths)
            and (reading is COPIES or _running(several))
        ):
            name = max(several, key=lambda n: (min(len(several[n]), 3), -len(n)))
            shown = [path.rpartition("/")[2] for path in sorted(several[name])[:3]]
            return Proposal(reading, len(several), images, (shown, name))
    return None


def sentence(found: Proposal) -> str:
    """What is said of a proposal, with the line that turns it on."""
    shown, name = found.examples
    return (
        f"file names look like {found.groups:,} {found.what} of several images each "
        f"({found.images:,} images; {', '.join(shown)} would be group {name!r}), which the split does not "
        f"keep together; if they are, set group: auto, or group: '{found.expression}'"
    )


def _running(groups: dict[str, list[str]]) -> bool:
    """Whether the last numbers of most groups count images, so that they span little."""
    dense = 0
    for own in groups.values():
        numbers = [int(re.findall(r"\d+", path.rpartition("/")[2])[-1]) for path in own]
        dense += max(numbers) - min(numbers) <= SPARSE * len(own)
    return dense >= 0.8 * len(groups)
