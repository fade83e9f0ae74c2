"""Tables that LaTeX reads whatever the classes are called, and figures whose fonts journals take."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from darkroom.report import paper
from tests.support.report_folder import Folder, Plan

NASTY = "50% of_{$x^2$} & #1 ~ \\input <b> naïve"


def rows_of(table: str) -> list[int]:
    """How many cells each row of a table has."""
    lines = [
        line for line in table.splitlines() if line.endswith((r" \\", r" \\*")) and "&" in line
    ]
    return [len(re.findall(r"(?<!\\)&", line)) + 1 for line in lines]


def test_no_mark_of_a_name_is_a_command() -> None:
    said = paper.escaped(NASTY)
    assert said == (
        r"50\% of\_\{\$x\textasciicircum{}2\$\} \& \#1 \textasciitilde{} "
        r"\textbackslash{}input \textless{}b\textgreater{} naïve"
    )
    assert paper.escaped("a\nb\x00c") == "a b\N{REPLACEMENT CHARACTER}c"


def test_a_long_table_breaks_over_pages() -> None:
    rows = [[f"c{k}", "1"] for k in range(paper.MOST + 1)]
    assert r"\begin{longtable}{lr}" in paper.table("a", "A", ["x", "y"], rows)
    assert r"\begin{tabular}{lr}" in paper.table("a", "A", ["x", "y"], rows[1:])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Folder(tmp_path_factory.mktemp("paper"), Plan(classes=("cat", NASTY), seeds=(0, 1)))
    given = folder.arguments()
    for name in ("augmented", "output", "benchmarks", "stages", "figures"):
        del given[name]
    out = folder.results / "paper"
    paper.write_paper(
        **given,
        tables=str(out / "tables.tex"),
        methods=str(out / "methods.tex"),
        figures=[str(out / "scores.pdf"), str(out / "tuning.pdf")],
    )
    return out


def test_each_table_has_as_many_cells_in_every_row(written: Path) -> None:
    tables = (written / "tables.tex").read_text().split(r"\begin{table}")[1:]
    assert [set(rows_of(table)) for table in tables] == [{4}, {5}, {6}]
    assert [len(rows_of(table)) for table in tables] == [
        3,
        7,
        5,
    ]  # a row of heads each; intervals stand below
    for table in tables:
        assert table.index(r"\toprule") < table.index(r"\midrule") < table.index(r"\bottomrule")
    assert paper.escaped(NASTY) in tables[0] and paper.escaped(NASTY) in tables[2]
    assert "svm on cnn" in tables[1] and re.search(r"scriptsize 0\.\d{3}--", tables[1])
    assert "images of" not in tables[0] and "Darkroom" in (written / "methods.tex").read_text()


def test_figures_hold_their_fonts_as_truetype(written: Path) -> None:
    for name in ("scores", "tuning"):
        data = (written / f"{name}.pdf").read_bytes()
        assert data.startswith(b"%PDF") and b"/FontFile2" in data
        assert b"/Type3" not in data and b"/CreationDate" not in data


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="There is no LaTeX here.")
def test_latex_reads_them(written: Path) -> None:
    text = (
        r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{booktabs,longtable}"
        r"\begin{document}\input{methods}\input{tables}\end{document}"
    )
    (written / "all.tex").write_text(text)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    assert subprocess.run(command, cwd=written, capture_output=True).returncode == 0
