"""Labels that look like a mistake: they are used as they are, and told with their counts."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from darkroom.index.listing import few, given_part, words

_SEPARATORS = re.compile(r"\s*[|;,/+&]\s*")
_AROUND = " \t'\"`\u2018\u2019\u201c\u201d"
_BRACKETS = _AROUND + "[](){}"
_EMPTY = frozenset(words("nan none null na n/a nil undefined missing - ? ."))
_HEADERS = frozenset(words("label labels class classes category target species diagnosis"))
FORM = "case, blanks, quotes, zeros, order, a plural or a word such as augmented"
"""What labels that may be meant to be the same differ in."""

_MOST = 5  # examples of each kind


def suspicious(labels: Iterable[str | None]) -> list[str]:
    """A sentence for each kind of suspicious label.

    Parameters
    ----------
    labels : of all images; None: without one.
    """
    counts = Counter(label for label in labels if label is not None)
    out = []
    if pairs := alike(counts):
        out.append(
            f"labels that differ only in {FORM} are classes of their own: "
            f"{few(pairs, _MOST)}; classes can merge them: {{new: [one, other]}}"
        )
    if several := _several(counts):
        total = sum(counts[name] for name in several)
        some = _counted(counts, several)
        out.append(
            f"{total:,} images have several labels in one, each combination a class of its own: {some}; "
            "choose or merge by classes"
        )
    if quoted := [n for n in counts if n != n.strip(_AROUND) and n[0] in _AROUND]:
        out.append(f"labels with quotes or blanks around them: {_counted(counts, quoted)}")
    if empty := [name for name in counts if name.casefold() in _EMPTY]:
        out.append(f"labels that may mean none: {_counted(counts, empty)}")
    if headers := [n for n in counts if n.casefold() in _HEADERS or n.startswith("#")]:
        out.append(f"labels that look like a header or a comment: {_counted(counts, headers)}")
    if parts := [name for name in counts if given_part(name)]:
        out.append(f"labels that are names of parts of a split: {_counted(counts, parts)}")
    return out


def alike(counts: Mapping[str, int]) -> list[str]:
    """Labels that differ only in form: `'Cat' (10) and 'cat' (5)`, one text for each group."""
    forms: dict[str, list[str]] = defaultdict(list)
    for name in counts:
        forms[_form(name)].append(name)
    return [
        " and ".join(f"{name!r} ({counts[name]:,})" for name in sorted(names))
        for names in forms.values()
        if len(names) > 1
    ]


def _form(name: str) -> str:
    """What labels that are meant to be the same have in common."""
    text = unicodedata.normalize("NFKC", name).casefold().strip(_AROUND)
    text = re.sub(r"[\s_-]+", " ", text)
    text = re.sub(r" (augmented|augmentation|aug|copy( \d+)?|resized|cropped|\(\d+\))$", "", text)
    text = re.sub(r"(?<=[^\W\d_]{3})(?<!s)s$", "", text)
    if re.fullmatch(r"\d+(\.0+)?", text):
        return str(int(text.partition(".")[0]))
    return "|".join(sorted(_pieces(text)))


def _several(counts: Mapping[str, int]) -> list[str]:
    """Labels that consist of several, at least one of which is a label or part of another too.

    Where blanks part them, each must be a label by itself.
    """
    pieces = {name: _pieces(name) for name in counts if len(name) > 2}
    used = Counter(piece for some in pieces.values() for piece in set(some) if piece)
    return [
        name
        for name, some in pieces.items()
        if (len(some) > 1 and all(some) and any(used[piece] > 1 for piece in some))
        or (len(words(name)) > 1 and all(word in counts for word in words(name)))
    ]


def _pieces(name: str) -> list[str]:
    """What separators part: `a|b`, and `['a', 'b']` of Python and JSON."""
    return [piece.strip(_BRACKETS) for piece in _SEPARATORS.split(name)]


def _counted(counts: Mapping[str, int], names: list[str]) -> str:
    return few([f"{name!r} ({counts[name]:,})" for name in sorted(names)], _MOST)
