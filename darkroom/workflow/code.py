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
import json
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

from darkroom import ROOT
from darkroom.errors import UserError
from darkroom.workflow import remembered

# Words and bars on the terminal, how a file gets its name, which GPU a job takes: they cannot
# change a result.
PRESENTATION = {
    "darkroom",
    "darkroom.machine.gpus",
    "darkroom.machine.disk",
    "darkroom.errors",
    "darkroom.machine.drivers",
    "darkroom.machine.progress",
    "darkroom.machine.stage",
    "darkroom.machine.process",
}


@cache
def code(script: str, *others: str) -> str:
    """Digest of a script, of the darkroom modules that it reaches, and of other files.

    Parameters
    ----------
    script : name in `scripts/`, without `.py`.
    others : files and folders that the stage reads beside its inputs (templates), from the
        project's root.

    Returns
    -------
    16 hexadecimal digits. They depend on the Python version's syntax tree too.
    """
    digest = _digest(ROOT / "scripts" / f"{script}.py")
    for other in others:
        place = ROOT / other
        for file in sorted(place.iterdir()) if place.is_dir() else [place]:
            digest.update(f"\0{file.name}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def _digest(path: Path) -> hashlib._Hash:
    digest = hashlib.sha256(_facts(path).digest.encode())
    for module in reached(path):
        digest.update(f"\0{module}\0{_facts(_file(module)).digest}".encode())
    return digest


def reached(path: Path) -> list[str]:
    """Names of the darkroom modules and packages that a file reaches by its imports, sorted."""
    found: set[str] = set()
    todo = [path]
    while todo:
        path = todo.pop()
        facts = _facts(path)
        if facts.relative:
            where = f"{path.relative_to(ROOT)}, line {facts.relative}"
            raise UserError(f"{where}: imports must be absolute: the code digest follows no others")
        names = {name for name in facts.imports if _exists(name)}
        for module in names - PRESENTATION - found:
            found.add(module)
            todo.append(_file(module))
    return sorted(found)


@cache  # of a few hundred names, each of which most stages reach
def _exists(module: str) -> bool:
    return _file(module).exists()


@cache
def _file(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    package = path / "__init__.py"
    return package if package.exists() else path.with_suffix(".py")


# ---------------------------------------------------------------- what one file says


class Facts(NamedTuple):
    """What one file contributes.

    Attributes
    ----------
    digest : of its syntax tree.
    imports : names below `darkroom` that may be modules or packages.
    relative : line of its first relative import; 0: it has none.
    """

    digest: str
    imports: list[str]
    relative: int


@cache
def _facts(path: Path) -> Facts:
    source = path.read_bytes()
    key = hashlib.sha256(f"2\0{sys.version}\0".encode() + source).hexdigest()
    known = _remembered()
    if key not in known:
        tree = at_run_time(ast.parse(source))
        imports, relative = _imports(tree)
        known[key] = Facts(hashlib.sha256(_dump(tree).encode()).hexdigest(), imports, relative)
        _remember(known)
    return Facts(*known[key])


def at_run_time(tree: ast.Module) -> ast.Module:
    """A file's syntax tree without what stands under an outer `if TYPE_CHECKING`: no job runs that."""
    body: list[ast.stmt] = []
    for node in tree.body:
        typing = isinstance(node, ast.If) and isinstance(node.test, ast.Name)
        typing = typing and node.test.id == "TYPE_CHECKING"  # type: ignore[attr-defined]
        body += node.orelse if typing else [node]  # type: ignore[attr-defined]
    tree.body = body
    return tree


def _imports(tree: ast.Module) -> tuple[list[str], int]:
    names: set[str] = set()
    relative: list[int] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                relative.append(node.lineno)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    parts = [name.split(".") for name in names]
    found = {".".join(p[:n]) for p in parts if p[0] == "darkroom" for n in range(1, len(p) + 1)}
    return sorted(found), min(relative, default=0)


def _dump(tree: ast.Module) -> str:
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


# ---------------------------------------------------------------- from one run to the next
#
# Reading forty syntax trees takes most of a second, in each job of a cluster too. What they
# said is kept by the content of the file in Snakemake's folder, and read anew where it is lost.


def _memory() -> Path:
    return Path(".snakemake") / "darkroom-code.json"


@cache
def _remembered() -> dict[str, Facts]:
    try:
        found = json.loads(_memory().read_text(encoding="utf-8"))
        return {str(key): Facts(str(v[0]), list(v[1]), int(v[2])) for key, v in found.items()}
    except (OSError, ValueError, TypeError, AttributeError, LookupError):
        return {}


def _remember(facts: dict[str, Facts]) -> None:
    remembered.write(_memory(), facts)  # unwritten, the next run reads again
