"""Settings changed by path."""

from __future__ import annotations

from typing import Any

import pytest

from darkroom.overrides import cell, override

SETTINGS: dict[str, Any] = {
    "epochs": 3,
    "optimizer": {"name": "adam", "learning_rate": 0.1},
    "layers": [{"conv": {"filters": 8}}, {"dropout": {"rate": 0.5}, "name": "last"}],
    "settings": {"C": 1},
}


def test_values_are_set_by_path_and_nothing_else_is_touched() -> None:
    before = repr(SETTINGS)
    new = [1, 2]
    changed = override(
        SETTINGS,
        {
            "epochs": 9,
            "optimizer.learning_rate": 0.2,
            "layers.0.conv.filters": new,
            "layers.last.dropout.rate": 0.1,
            "settings.gamma": "scale",
        },
    )
    assert changed == {
        "epochs": 9,
        "optimizer": {"name": "adam", "learning_rate": 0.2},
        "layers": [{"conv": {"filters": [1, 2]}}, {"dropout": {"rate": 0.1}, "name": "last"}],
        "settings": {"C": 1, "gamma": "scale"},
    }
    new.append(3)
    assert changed["layers"][0]["conv"]["filters"] == [1, 2]
    assert repr(SETTINGS) == before


def test_a_whole_item_of_a_list_may_be_replaced() -> None:
    changed = override(SETTINGS, {"layers.1": "flatten", "layers.0": {"conv": {"filters": 2}}})
    assert changed["layers"] == [{"conv": {"filters": 2}}, "flatten"]


def test_values_in_a_table() -> None:
    assert [cell(v) for v in (-0.5, True, None, ["a"], "b")] == [
        "-0.5",
        "true",
        "null",
        '["a"]',
        "b",
    ]
    assert cell("=cmd|' /C calc'!A0") == "'=cmd|' /C calc'!A0", "no formula of a spreadsheet"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("epoch", "epoch: no setting 'epoch'; did you mean 'epochs'?"),
        ("optimizer.rate.x", "optimizer.rate.x: no setting 'rate'"),
        ("epochs.x", "epochs.x: epochs has no keys"),
        ("layers.2", "layers.2: no item '2' in a list of 2"),
        ("layers.first.conv", "layers.first.conv: no item 'first'"),
        ("layers.0.conv.filter", "did you mean 'filters'?"),
        ("setting.C", "no setting 'setting'; did you mean 'settings'?"),
    ],
)
def test_a_path_that_leads_nowhere_is_told(path: str, said: str) -> None:
    with pytest.raises(ValueError) as error:
        override(SETTINGS, {path: 1})
    assert said in str(error.value)
