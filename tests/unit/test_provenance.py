"""The digest of the code that a stage runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom import provenance


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "darkroom").mkdir()
    (tmp_path / "scripts/fit.py").write_text(
        "from darkroom import near\nfrom darkroom.stage import stage\nnear.go()\n"
    )
    write = {
        "__init__": "",
        "stage": "def stage(): pass\n",
        "near": '"""Doc."""\nfrom darkroom.far import reach\n\n\ndef go():\n    """Go."""\n    return reach(1, 2)\n',
        "far": "def reach(a, b):\n    # a comment\n    return a - b\n",
        "lazy": "X = 1\n",
        "apart": "Y = 1\n",
    }
    for name, text in write.items():
        (tmp_path / f"darkroom/{name}.py").write_text(text)
    (tmp_path / ".snakemake").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    yield tmp_path
    for cached in (provenance.code, provenance._facts, provenance._remembered):
        cached.cache_clear()


def digest() -> str:
    for cached in (provenance.code, provenance._facts, provenance._remembered):
        cached.cache_clear()
    return provenance.code("fit")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("darkroom/far.py", "a - b", "b - a"),
        ("darkroom/near.py", "reach(1, 2)", "reach(2, 1)"),
        ("scripts/fit.py", "near.go()", "near.go() or near.go()"),
    ],
)
def test_an_edit_of_what_runs_is_seen(tree: Path, file: str, old: str, new: str) -> None:
    before = digest()
    edit(tree / file, old, new)
    assert digest() != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("darkroom/far.py", "# a comment", "# another comment"),
        ("darkroom/near.py", '"""Go."""', '"""Go far."""'),
        ("darkroom/near.py", '"""Doc."""', '"""A longer story."""'),
        ("darkroom/far.py", "return a - b", "return (a  -  b)"),
        ("darkroom/apart.py", "Y = 1", "Y = 2"),
        ("darkroom/stage.py", "pass", "return 1"),
    ],
)
def test_what_cannot_change_a_result_is_not_seen(tree: Path, file: str, old: str, new: str) -> None:
    before = digest()
    edit(tree / file, old, new)
    assert digest() == before


def test_an_import_inside_a_function_is_reached(tree: Path) -> None:
    edit(tree / "darkroom/far.py", "    return", "    import darkroom.lazy\n    return")
    before = digest()
    edit(tree / "darkroom/lazy.py", "X = 1", "X = 2")
    assert digest() != before


def test_what_is_remembered_is_what_would_be_read(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digest()
    assert (tree / ".snakemake/darkroom-code.json").exists()
    with monkeypatch.context() as patched:
        patched.setattr(provenance.ast, "parse", lambda _: pytest.fail("read again"))
        assert digest() == before
    for spoiled in ("", "[]", '{"a": 1}', '{"a": [1, 2]}', "{"):
        (tree / ".snakemake/darkroom-code.json").write_text(spoiled)
        assert digest() == before


def test_a_folder_that_cannot_be_written_is_no_matter(tree: Path) -> None:
    (tree / ".snakemake").rmdir()
    assert digest() == digest()


def test_modules_that_import_each_other_end(tree: Path) -> None:
    edit(tree / "darkroom/far.py", "def", "import darkroom.near\ndef")
    assert digest()


def test_no_stage_reaches_the_settings() -> None:
    """Settings come as parameters: a new option must not rerun what does not read it."""
    scripts = list((provenance.ROOT / "scripts").glob("*.py"))
    assert len(scripts) >= 11
    for script in scripts:
        reached = provenance.reached(script)
        assert "darkroom.config" not in reached, script
        assert not set(reached) & {"darkroom.preflight", "darkroom.generated"}, script


def test_scripts_are_one_call() -> None:
    for script in (provenance.ROOT / "scripts").glob("*.py"):
        assert len(script.read_text().splitlines()) <= 25, script
