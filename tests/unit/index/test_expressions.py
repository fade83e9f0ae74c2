"""Regular expressions on the paths."""

from __future__ import annotations

import time

import pytest

from darkroom.errors import UserError
from darkroom.index import expressions
from tests.support.listings import many, read

ENDLESS = r"^((a+)+)b"


@pytest.mark.parametrize("setting", ["group", "label", "split"])
def test_an_expression_without_end_is_refused(
    setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expressions, "SECONDS", 0.2)
    paths = [f"{'a' * 60}{i}.jpg" for i in range(3)]
    settings = (
        {setting: ENDLESS} if setting != "split" else {"split": ENDLESS, "label": r"(\d)\.jpg"}
    )
    if setting == "group":
        settings["label"] = r"(\d)\.jpg"
    start = time.monotonic()
    with pytest.raises(UserError, match=rf"{setting}: the expression .* took more than 0 s"):
        read(paths, **settings)
    assert time.monotonic() - start < 10


def test_an_ordinary_expression_leaves_no_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expressions, "SECONDS", 0.05)
    assert set(read(many("cat", "dog"), group=r"^(\w)").group) == {"c", "d"}
    time.sleep(0.1)
