"""What a stage's result depends on besides its data: its code.

Snakemake compares a script's modification time and never looks at the modules that
it imports. `code` digests what a script really runs: its own syntax tree and that of
every darkroom module it reaches, without docstrings, comments and layout, so that a
comment or a fresh checkout reruns nothing and an edited function reruns what uses it.
Standard library only: it is called while the Snakefile is read.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Words and bars on the terminal: they cannot change a result.
PRESENTATION = {
    "darkroom",
    "darkroom.errors",
    "darkroom.progress",
    "darkroom.stage",
    "darkroom.survival",
}


@cache
def code(script: str, *others: str) -> str:
    """Digest of a script, of the darkroom modules that it reaches, and of other files.

    Parameters
    ----------
    script : name in `scripts/`, without `.py`.
    others : files that the stage reads beside its inputs (a template), from the project's root.

    Returns
    -------
    16 hexadecimal digits. They depend on the Python version's syntax tree too.
    """
    path = ROOT / "scripts" / f"{script}.py"
    digest = hashlib.sha256(_dump(path).encode())
    for module in reached(path):
        digest.update(f"\0{module}\0{_dump(_file(module))}".encode())
    for other in others:
        digest.update((ROOT / other).read_bytes())
    return digest.hexdigest()[:16]


def reached(path: Path) -> list[str]:
    """Names of the darkroom modules that a file reaches by its imports, sorted."""
    found: set[str] = set()
    todo = [path]
    while todo:
        for module in _imports(todo.pop()) - PRESENTATION - found:
            found.add(module)
            todo.append(_file(module))
    return sorted(found)


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {n for n in names if n.split(".")[0] == "darkroom" and _file(n).exists()}


def _file(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _dump(path: Path) -> str:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
            and isinstance(body[0].value.value, str)
        ):
            node.body = body[1:] or [ast.Pass()]
    return ast.dump(tree)
