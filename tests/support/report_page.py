"""The report's page, written from a made-up folder and read as a browser would read it."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from unittest import mock

from darkroom.report import drawing
from darkroom.report.report import DRAW, write_report
from darkroom.report.results import Results, load
from tests.support.report_folder import Folder

VOID = {"meta", "img", "br", "wbr", "hr", "link", "input"}


class Page(HTMLParser):
    """What a browser would make of the page: elements, their text, what they point to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.crossed: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.crossed.append(tag)

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def count(self, tag: str) -> int:
        return sum(1 for name, _ in self.tags if name == tag)


def loaded(folder: Folder) -> Results:
    """What the sections of the page are made from."""
    given = folder.arguments()
    names = inspect.signature(load).parameters
    return load(
        **(
            {"searches": [], "robustness": None}
            | {name: given[name] for name in names if name in given}
        )
    )


@contextmanager
def drawing_only(names: Collection[str] = ()) -> Iterator[None]:
    """Within, a report draws these figures and leaves the others empty: they take most of its time."""
    save = drawing.save

    def saved(figure: Any, path: str) -> None:
        if Path(path).name in names:
            save(figure, path)
        else:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text('<svg viewBox="0 0 1 1"></svg>')

    empty = {name: lambda _: None for name in DRAW if name not in names}
    with mock.patch.object(drawing, "save", saved), mock.patch.dict(DRAW, empty):
        yield


def write(folder: Folder, drawn: Collection[str] = (), **changes: Any) -> Page:
    """Write the report of a folder.

    Parameters
    ----------
    drawn : files of the figures to draw; `FIGURES`: all.
    changes : of the arguments of `write_report`.
    """
    arguments = folder.arguments(**changes)
    with drawing_only(drawn):
        write_report(**arguments)
    path = Path(arguments["output"])
    assert path.stat().st_size < 15e6
    for figure in map(Path, arguments["figures"]):
        assert figure.stat().st_size > 200 or figure.name not in drawn
    return Page(path.read_text(encoding="utf-8"))
