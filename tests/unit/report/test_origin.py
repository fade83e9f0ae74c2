"""The sections of settings and origin."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from darkroom.report import origin


@pytest.mark.parametrize(("own", "shown"), [({}, "CC BY 4.0"), ({"license": "ours"}, "ours")])
def test_the_licence_of_the_settings_stands_in_place_of_the_sources(
    own: dict[str, Any], shown: str
) -> None:
    results: Any = SimpleNamespace(
        source={"source": "folder", "license": "CC BY 4.0"}, cfg={"settings": {"dataset": own}}
    )
    assert origin.section(results, [])["source"] == {"source": "folder", "license": shown}
