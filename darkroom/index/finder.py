"""Files of a listing, found by the ways in which people write them in a table."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable
from functools import cached_property

from darkroom.index.csv_file import Table
from darkroom.index.folder_names import MASKS
from darkroom.index.listing import IMAGES, Listing, given_part


class Finder:
    """Looks up files of the listing by the paths or names in a table."""

    def __init__(self, listing: Listing) -> None:
        self.files = listing.images + listing.unknown
        self.root = listing.root
        self.exact = {path: i for i, path in enumerate(self.files)}

    def find(self, value: str, table: Table, label: str | None) -> int | list[int] | None:
        """Index of a value's file; a list of indices where it is ambiguous; None: missing."""
        value = clean(value)
        if not value:
            return None
        folder = table.name.rpartition("/")[0]
        for base in (folder + "/" if folder else "", self.root, ""):
            if (i := self.exact.get(base + value)) is not None:
                return i
        name = value.rpartition("/")[2]
        stem, _, suffix = name.rpartition(".")
        candidates = (
            self._by_name.get(name)
            or self._by_stem.get(name)
            or self._by_folded.get(fold(name))
            or (suffix.lower() in IMAGES and self._by_folded.get(fold(stem)))  # converted since
        )
        if not candidates:
            return None
        return self._best(candidates, value, folder, table, label)

    def _best(
        self, candidates: list[int], value: str, folder: str, table: Table, label: str | None
    ) -> int | list[int] | None:
        wanted = fold(value.rpartition("/")[0]).split("/")[::-1]

        def common(i: int) -> int:
            have = fold(self.files[i].rpartition("/")[0]).split("/")[::-1]
            n = 0
            while n < min(len(wanted), len(have)) and wanted[n] and wanted[n] == have[n]:
                n += 1
            return n

        if wanted != [""] and not table.loose:  # train/1.jpg is never test/1.jpg
            candidates = [i for i in candidates if common(i) or "/" not in self.files[i]]
            if not candidates:
                return None
        if len(candidates) > 1:
            tests: list[Callable[[int], int]] = [common]
            if table.part:
                tests.append(
                    lambda i: table.part in {given_part(p) for p in self.files[i].split("/")[:-1]}
                )
            if label:
                tests.append(lambda i: fold(label) in fold(self.files[i]).split("/")[:-1])
            if folder:
                tests.append(lambda i: self.files[i].startswith(folder + "/"))
            tests.append(lambda i: MASKS.isdisjoint(fold(self.files[i]).split("/")[:-1]))
            for test in tests:
                best = max(map(test, candidates))
                candidates = [i for i in candidates if test(i) == best]
        return candidates[0] if len(candidates) == 1 else candidates

    @cached_property
    def folders(self) -> set[str]:
        """Names of all folders, `without_zeros`."""
        folders = {path.rpartition("/")[0] for path in self.files} - {""}
        return {without_zeros(name) for folder in folders for name in folder.split("/")}

    @cached_property
    def _by_name(self) -> dict[str, list[int]]:
        names: dict[str, list[int]] = defaultdict(list)
        for i, path in enumerate(self.files):
            names[path.rpartition("/")[2]].append(i)
        return names

    @cached_property
    def _by_stem(self) -> dict[str, list[int]]:
        stems: dict[str, list[int]] = defaultdict(list)
        for name, found in self._by_name.items():
            stems[name.rpartition(".")[0] or name] += found
        return stems

    @cached_property
    def _by_folded(self) -> dict[str, list[int]]:
        folded: dict[str, list[int]] = defaultdict(list)
        for names in (self._by_name, self._by_stem):
            for name, found in names.items():
                folded[fold(name)] += found
        # A name without a suffix is its own stem.
        return {name: list(dict.fromkeys(found)) for name, found in folded.items()}


def clean(value: str) -> str:
    """A path with single slashes, and none at its ends."""
    value = value.strip().replace("\\", "/")
    while value.startswith("./"):
        value = value[2:]
    return re.sub(r"/{2,}", "/", value).strip("/")


def without_zeros(name: str) -> str:
    """A number as programs of tables leave it: `00012` is 12."""
    return name.lstrip("0") if name.strip("0") else name[:1]


def fold(text: str) -> str:
    """Text without differences of case and Unicode form."""
    return unicodedata.normalize("NFC", text).casefold()
