"""The error for mistakes that the user can correct, and the text of its hints."""

from __future__ import annotations

from collections.abc import Iterable

SHOWN = 20  # names listed where none is similar


class UserError(Exception):
    """A mistake that the user can correct: one sentence says what, where and what to do.

    A stage that raises it ends with that sentence alone; any other exception is a
    defect of Darkroom and keeps its traceback.
    """


def nearest(name: object, known: Iterable[object]) -> str:
    """The end of a sentence on an unknown name: `; did you mean 'x'?`, or the known names."""
    import difflib

    names = [str(k) for k in known]
    lower = {n.lower(): n for n in names}
    close = difflib.get_close_matches(str(name).lower(), lower, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {lower[close[0]]!r}?"
    if not names:
        return ""
    return f"; known: {', '.join(names[:SHOWN])}{', …' if len(names) > SHOWN else ''}"
