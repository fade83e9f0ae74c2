"""How the tests are shared out to the processes of `make test`."""

from __future__ import annotations

import pytest

# Fixtures that take long to make: the tests that use one of them run in one process.
LONG = ("finished", "recorded", "transferred", "tuned", "trained_chain", "trained", "ways")


def pytest_itemcollected(item: pytest.Item) -> None:
    names = [name for name in LONG if name in getattr(item, "fixturenames", ())]
    if names:  # one group: two marks would make a third one of them
        parameter = item.callspec.params.get(names[0], "") if hasattr(item, "callspec") else ""
        item.add_marker(pytest.mark.xdist_group(f"{names[0]}{parameter}"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole runs of Snakemake come first, so that no process is left with one at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/workflow/"))
