"""What one run found out, for the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from darkroom.workflow import remembered


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".snakemake").mkdir()
    return tmp_path


def test_a_fact_is_known_by_all_that_it_was_found_from() -> None:
    key = remembered.key("rows", [1, 2], {"a": 1})
    assert remembered.recall(key) is None
    remembered.keep(key, [3, "four"])
    assert remembered.recall(key) == [3, "four"]
    assert remembered.key("rows", [1, 2], {"a": 2}) != key


def test_the_oldest_of_many_facts_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MOST", 3)
    for i in range(remembered.MOST + 1):
        remembered.keep(str(i), i)
    assert remembered.recall("0") is None and remembered.recall("1") == 1


def test_a_damaged_or_missing_memory_is_found_out_again(folder: Path) -> None:
    remembered.keep("a", 1)
    place = folder / ".snakemake/darkroom-facts.json"
    for text in ("", "[1]", '{"a": '):
        place.write_text(text)
        assert remembered.recall("a") is None
    place.unlink()
    (folder / ".snakemake").rmdir()
    remembered.keep("a", 1)  # nowhere to keep it
    assert remembered.recall("a") is None
