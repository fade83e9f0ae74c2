"""The one kind of error that is the user's to mend, and words for it."""

from __future__ import annotations

from collections.abc import Iterable

SHOWN = 20  # names told where none is near


class UserError(Exception):
    """A mistake that a person can mend: one sentence of what, where and what to do.

    A stage that raises it ends with that sentence alone; any other exception is a
    defect of Darkroom and keeps its traceback.
    """


def nearest(name: object, known: Iterable[object]) -> str:
    """The end of a sentence on an unknown name: `; did you mean 'x'?`, or the names there are."""
    import difflib

    names = [str(k) for k in known]
    lower = {n.lower(): n for n in names}
    close = difflib.get_close_matches(str(name).lower(), lower, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {lower[close[0]]!r}?"
    if not names:
        return ""
    return f"; known: {', '.join(names[:SHOWN])}{', …' if len(names) > SHOWN else ''}"
