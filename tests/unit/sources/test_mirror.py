"""A mirror on a server."""

from __future__ import annotations

import pytest

from darkroom.errors import UserError
from darkroom.sources import mirror
from tests.support.kaggle_server import Server


def test_what_it_has_and_what_it_has_not() -> None:
    with Server({"/kept/a b.zip": b"x"}) as kept:
        place = f"{kept.url}/kept/"
        mirror.check(place)
        found = mirror.served(place, ["none.zip", "a b.zip"])
        assert found == (f"{kept.url}/kept/a%20b.zip", "a b.zip")
        assert mirror.served(place, ["none.zip"]) is None
        assert mirror.find(place, ["a b.zip"]) is None
    with pytest.raises(UserError, match="which does not answer: correct it, start that server"):
        mirror.check(place)
    assert mirror.served(None, ["a"]) is None


def test_a_folder_that_is_not_there() -> None:
    with pytest.raises(UserError, match="there is no such folder"):
        mirror.check("/nowhere/at/all")
