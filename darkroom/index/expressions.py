"""Label, given split and group by regular expressions on the path, within a limit of time.

Python's expressions can take for ever on a short name (`((a+)+)b`), so all matching of a data set
has a limit.
"""

from __future__ import annotations

import contextlib
import re
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from types import FrameType

from darkroom.errors import UserError
from darkroom.index.listing import Listing, Rows, few, given_part

PLACES = (
    r"(?:^|/)[\d\W_]+([^\W\d_]{2,})[^/]*$",  # 001_cat
    r"[-_. ]([^\W\d_]{2,})\.[^./]+$",  # 2024-01_7_cat
    r"(?:^|/)([^\W\d_]{2,})[^/]*$",  # cat_001_left
    r"[-_. ]([^\W\d_]{2,})\d*[-_. ][^/]*$",  # KA.AN1.39
)
"""Where a label may stand in a file's name, as group 1."""
MOST_SUGGESTED = 50  # labels
SECONDS = 10.0  # for an expression on all paths; and a second more for each 10,000 of them


def by_pattern(listing: Listing, pattern: str) -> Rows:
    """Rows by a regular expression on the path, whose group 1 is the label."""
    expression = re.compile(pattern)
    rows = Rows("pattern")
    with _limit("layout.label", pattern, len(listing.images) + len(listing.unknown)):
        for path in listing.images:
            rows.add(path, _group_1(expression, path))
        for path in listing.unknown:
            label = _group_1(expression, path)
            if label is None:
                rows.ignored += 1
            else:
                rows.add(path, label)
    labels = rows.labels
    if not labels:
        raise UserError(f"layout.label: the expression {pattern!r} matches no path{listing.seen()}")
    rows.sentences.append(
        f"{len(labels)} labels by the expression {pattern!r} ({few(labels)}; {len(rows.path):,} files)"
    )
    return rows


def suggestion(paths: list[str]) -> str:
    """For error messages: an expression by which the names may give labels, and the labels; or nothing."""
    for pattern in PLACES:
        found = Counter(_group_1(re.compile(pattern), path) for path in paths)
        if None not in found and 2 <= len(found) <= min(MOST_SUGGESTED, len(paths) / 3):
            labels = few([f"{label} ({n:,})" for label, n in sorted(found.items())])
            return f"; if names contain it, as {labels}, set layout.label: '{pattern}'"
    return ""


def splits_by_pattern(paths: list[str], pattern: str) -> list[str | None]:
    """The given part of each path by a regular expression, whose group 1 is a name of a part."""
    expression = re.compile(pattern)
    known: dict[str | None, str | None] = {None: None}
    out = []
    with _limit("layout.split", pattern, len(paths)):
        words = [_group_1(expression, path) for path in paths]
    for path, word in zip(paths, words, strict=True):
        if word is not None and word not in known:
            known[word] = given_part(word)
            if known[word] is None:
                raise UserError(
                    f"layout.split: the expression {pattern!r} matches {word!r} in {path!r}, which is no "
                    "name of train, validation or test"
                )
        out.append(known[word])
    if not any(out):
        raise UserError(
            f"layout.split: the expression {pattern!r} matches no path, for example {paths[0]!r}"
        )
    return out


def groups_by_pattern(paths: list[str], pattern: str) -> list[str | None]:
    """The group of each path by a regular expression, whose group 1 is its name."""
    expression = re.compile(pattern)
    with _limit("group", pattern, len(paths)):
        groups = [_group_1(expression, path) for path in paths]
    if not any(groups):
        raise UserError(
            f"group: the expression {pattern!r} matches no path, for example {paths[0]!r}"
        )
    return groups


def _group_1(expression: re.Pattern[str], path: str) -> str | None:
    found = expression.search(path)
    return found[1] or None if found else None


@contextlib.contextmanager
def _limit(setting: str, pattern: str, paths: int) -> Iterator[None]:
    """Refuse an expression that takes too long. Only a main thread can be interrupted."""
    seconds = SECONDS + paths / 10_000

    def stop(number: int, frame: FrameType | None) -> None:
        raise UserError(
            f"{setting}: the expression {pattern!r} took more than {seconds:.0f} s on {paths:,} paths: "
            "repetitions within repetitions, such as (a+)+, can take for ever; write it without"
        )

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
