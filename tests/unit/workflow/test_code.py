"""The digest of the code that a stage runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.errors import UserError
from darkroom.workflow import code


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "darkroom/parts/inner").mkdir(parents=True)
    (tmp_path / "darkroom/machine").mkdir()
    (tmp_path / "scripts/fit.py").write_text(
        "from darkroom import near\nfrom darkroom.machine.stage import stage\nnear.go()\n"
    )
    write = {
        "__init__": "",
        "machine/stage": "def stage(): pass\n",
        "near": '"""Doc."""\nfrom darkroom.far import reach\n\n\ndef go():\n    """Go."""\n    return reach(1, 2)\n',
        "far": "def reach(a, b):\n    # a comment\n    return a - b\n",
        "lazy": "X = 1\n",
        "apart": "Y = 1\n",
        "parts/__init__": '"""Parts."""\n',
        "parts/inner/__init__": '"""Inner."""\n',
        "parts/inner/deep": "Z = 1\n",
    }
    for name, text in write.items():
        (tmp_path / f"darkroom/{name}.py").write_text(text)
    (tmp_path / ".snakemake").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(code, "ROOT", tmp_path)
    monkeypatch.setattr(code, "PRESENTATION", {"darkroom", "darkroom.machine.stage"})
    yield tmp_path
    forget()


def forget() -> None:
    for cached in (code.code, code._facts, code._remembered, code._exists, code._file):
        cached.cache_clear()


def digest() -> str:
    forget()
    return code.code("fit")


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
        ("darkroom/machine/stage.py", "pass", "return 1"),
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


def test_what_only_a_type_checker_imports_is_not_reached(tree: Path) -> None:
    lines = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import darkroom.lazy\n"
    edit(tree / "darkroom/far.py", "def reach", lines + "def reach")
    before = digest()
    edit(tree / "darkroom/far.py", "darkroom.lazy", "darkroom.apart")
    edit(tree / "darkroom/apart.py", "Y = 1", "Y = 2")
    assert digest() == before
    edit(
        tree / "darkroom/far.py",
        "darkroom.apart",
        "darkroom.apart\nelse:\n    import darkroom.lazy",
    )
    before = digest()
    edit(tree / "darkroom/lazy.py", "X = 1", "X = 2")
    assert digest() != before


@pytest.mark.parametrize(
    "line",
    [
        "import darkroom.parts.inner.deep",
        "from darkroom.parts.inner import deep",
        "from darkroom.parts.inner.deep import Z",
    ],
)
def test_packages_on_the_way_to_a_module_are_reached(tree: Path, line: str) -> None:
    edit(tree / "darkroom/far.py", "    return", f"    {line}\n    return")
    before = digest()
    for name in ("parts/__init__", "parts/inner/__init__", "parts/inner/deep"):
        path = tree / f"darkroom/{name}.py"
        text = path.read_text()
        path.write_text(f'"""Another docstring."""\n{text.replace(chr(34) * 3, "# ")}')
        assert digest() == before, name
        path.write_text(text + "W = 2\n")
        assert digest() != before, name
        path.write_text(text)


def test_a_folder_that_git_left_behind_hides_no_module(tree: Path) -> None:
    before = digest()
    (tree / "darkroom/far/__pycache__").mkdir(parents=True)
    assert digest() == before
    assert "darkroom.far" in code.reached(tree / "scripts/fit.py")


@pytest.mark.parametrize("line", ["from .lazy import X", "from . import lazy"])
def test_a_relative_import_is_refused(tree: Path, line: str) -> None:
    """A module that is reached so would be missing from the digest."""
    edit(tree / "darkroom/far.py", "    return", f"    {line}\n    return")
    for _ in range(2):  # as read, and as remembered
        with pytest.raises(UserError, match=r"darkroom/far\.py, line 3: .* absolute"):
            digest()


def test_what_is_remembered_is_what_would_be_read(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digest()
    assert (tree / ".snakemake/darkroom-code.json").exists()
    with monkeypatch.context() as patched:
        patched.setattr(code.ast, "parse", lambda _: pytest.fail("read again"))
        assert digest() == before
    for spoiled in ("", "[]", '{"a": 1}', '{"a": [1, 2]}', '{"a": ["b", []]}', "{"):
        (tree / ".snakemake/darkroom-code.json").write_text(spoiled)
        assert digest() == before


def test_a_folder_that_cannot_be_written_is_no_matter(tree: Path) -> None:
    (tree / ".snakemake").rmdir()
    assert digest() == digest()


def test_modules_that_import_each_other_end(tree: Path) -> None:
    edit(tree / "darkroom/far.py", "def", "import darkroom.near\ndef")
    assert digest()


def missing(names: set[str]) -> set[str]:
    """Those of some modules that are not in the project."""
    return {name for name in names if not code._file(name).exists()}


def scripts() -> list[Path]:
    found = sorted((code.ROOT / "scripts").glob("*.py"))
    assert len(found) >= 11
    return found


def test_modules_of_presentation_exist() -> None:
    """A module that moved and kept its old name here would rerun every stage."""
    assert missing(code.PRESENTATION) == set()


def test_no_stage_reaches_the_settings() -> None:
    """Settings come as parameters: a new option must not rerun what does not read it."""
    apart = {
        "darkroom.config",
        "darkroom.workflow.start",
        "darkroom.workflow.checks",
        "darkroom.workflow.generated",
    }
    assert missing(apart) == set()
    for script in scripts():
        reached = code.reached(script)
        assert reached, script
        for module in reached:
            assert not any(f"{module}.".startswith(f"{name}.") for name in apart), (script, module)


def test_scripts_are_one_call() -> None:
    for script in scripts():
        assert len(script.read_text().splitlines()) <= 25, script
