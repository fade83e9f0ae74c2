"""A given split from lists of files, as many data sets for research have one.

- `train.txt` and `test.txt` (`train_list.txt`, `trainval.txt`, …): a file in each line, perhaps with
  more words after it: Food-101, DTD, ChestX-ray14, Oxford pets.
- `images.txt` and `train_test_split.txt`: a number and a file, and the number and 1 (train) or 0:
  CUB-200, NABirds.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import PurePosixPath

from darkroom.index.csv_file import OpenText, Table, text_of
from darkroom.index.finder import Finder
from darkroom.index.listing import Listing, Rows, joined, part_and_rest

_SUFFIXES = (".txt", ".lst", ".list")
_MOST = 200  # lists looked at
_ENOUGH = 0.9  # of a list's lines that name a file, and of the images that the lists name


def by_lists(listing: Listing, rows: Rows, open_text: OpenText) -> None:
    """Set the given split of the rows where lists of files tell it; say so, or why not.

    Parameters
    ----------
    listing : the files.
    rows : without a given split.
    open_text : opens a list by its path.
    """
    lists = [path for path in listing.companions if path.lower().endswith(_SUFFIXES)][:_MOST]
    if not lists:
        return
    finder = Finder(listing)
    refused = ""
    for names, parts in [*_parts(lists, finder, open_text), *_marked(lists, finder, open_text)]:
        places = [parts.get(path) for path in rows.path]
        known = sum(place is not None for place in places)
        wanted = sum(not trouble for trouble in rows.trouble)
        if "" in places:
            refused = f"{joined(names)} name files twice, in several parts"
        elif known < _ENOUGH * wanted:
            refused = f"{joined(names)} name {known:,} of the {wanted:,} images"
        else:
            rows.split = [*places]
            rows.sentences.append(f"splits from {joined(names)}")
            return
    if refused:
        rows.sentences.append(f"not used as a split: {refused}")


Found = list[tuple[list[str], dict[str, str]]]
"""The names of some lists, and the part of each file in them (empty: in several)."""


def _parts(lists: list[str], finder: Finder, open_text: OpenText) -> Found:
    """Of lists whose names say the part; first the one of the first name (`train1.txt` …)."""
    sets: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for path in sorted(lists):
        stem = PurePosixPath(path).stem
        part, rest = part_and_rest(stem)
        number = "".join(c for c in stem if c.isdigit())
        if part is not None:
            whole = "val" in stem.lower() and part == "train"
            key = path.rpartition("/")[0], f"{rest} {number}"
            sets[key]["trainval" if whole else part] = path
    found: Found = []
    for of in sets.values():
        if {"train", "validation"} <= of.keys():
            of.pop("trainval", None)
        if len(of) < 2:
            continue  # one part alone is no split
        parts: dict[str, str] = {}
        for name, path in of.items():
            part = "train" if name == "trainval" else name
            files = _files(path, part, finder, open_text)
            if files is None:
                break
            for file in files:
                parts[file] = part if parts.get(file, part) == part else ""
        else:
            found.append((list(of.values()), parts))
    return found


def _files(path: str, part: str, finder: Finder, open_text: OpenText) -> list[str] | None:
    """The files that a list names; None where it is no list of files."""
    lines = [line for line in text_of(open_text(path)).splitlines() if line.strip()]
    table = Table(path, [], [], part)
    found = []
    for line in lines:
        whole = finder.find(line, table, None)
        index = whole if isinstance(whole, int) else finder.find(line.split()[0], table, None)
        if isinstance(index, int):
            found.append(finder.files[index])
        elif not found and len(lines) > 20:
            return None
    return found if found and len(found) >= _ENOUGH * len(lines) else None


def _marked(lists: list[str], finder: Finder, open_text: OpenText) -> Found:
    """Of `train_test_split.txt` and the `images.txt` beside it."""
    found: Found = []
    for path in lists:
        folder, _, name = path.rpartition("/")
        images = f"{folder}/images.txt".lstrip("/")
        if name != "train_test_split.txt" or images not in lists:
            continue
        numbers, marks = (dict(_pairs(text_of(open_text(p)))) for p in (images, path))
        table = Table(images, [], [], None)
        parts = {}
        for number, file in numbers.items():
            index = finder.find(file, table, None)
            if isinstance(index, int) and marks.get(number) in ("0", "1"):
                parts[finder.files[index]] = "train" if marks[number] == "1" else "test"
        found.append(([path], parts))
    return found


def _pairs(text: str) -> list[tuple[str, str]]:
    """The first word of each line, and the rest."""
    lines = (line.split(None, 1) for line in text.splitlines())
    return [(words[0], words[1].strip()) for words in lines if len(words) == 2]
