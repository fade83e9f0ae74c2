"""Files of a listing sorted by name, and the rows made from them.

`Listing` sorts files into images, companions (text, tables, code, archives, arrays) and files
of unknown type; hidden files, `__MACOSX` and the like are ignored. `given_part` recognises
common names of train, validation and test. `darkroom.index.tables` and `darkroom.index.layout`
fill `Rows`.
"""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TypedDict

from darkroom.errors import UserError, nearest
from darkroom.sources.folders import is_junk


def words(text: str) -> list[str]:
    """Split a long list of names."""
    return text.split()


IMAGES = frozenset(
    words(
        """
        jpg jpeg jpe jfif jif mpo png apng gif bmp dib tif tiff webp ppm pgm pbm pnm pfm ico jp2 j2k
        jpf jpx j2c avif avifs tga heic heif jxl svg psd dcm dicom raw nef cr2 cr3 arw dng orf rw2
        """
    )
)
"""Suffixes of image files, whether Darkroom can decode them or not."""

PARTS = {
    "train": ("train", "training", "trn", "traning", "trainval"),
    "validation": (
        "val", "valid", "validation", "validate", "valication", "dev", "development", "eval",
        "evaluation", "publictest",
    ),
    "test": ("test", "testing", "tests", "tst", "holdout", "heldout", "privatetest"),
}  # fmt: skip
"""The parts of a given split, in order, and their names."""

_COMPANIONS = frozenset(
    words(
        """
        txt md rst csv tsv json jsonl ndjson xml yaml yml toml ini cfg conf html htm css js pdf doc docx
        xls xlsx ods ppt pptx odt rtf tex bib log names data py pyc ipynb r rmd m sh bat zip tar gz tgz bz2 xz
        zst 7z rar nii mha mhd nrrd mgz mat npy npz h5 hdf5 pkl pickle pt pth onnx pb tfrecord tfrecords parquet feather arrow
        db sqlite sql sha1 sha256 md5 sum url lnk webloc idx lst part crdownload
        aae xmp thm
        """
    )
)
_UNREAD = (".mat", ".json", ".xml", ".xlsx", ".xls", ".ods", ".npy", ".parquet", ".pkl")
_VOLUMES = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".mgz")
_ARCHIVES = frozenset(words("zip tar gz tgz bz2 xz zst 7z rar"))
_ARRAYS = frozenset(
    words("mat npy npz h5 hdf5 pkl pickle pt tfrecord tfrecords parquet feather arrow")
)
_COMPANION_NAMES = frozenset(
    words(
        """
        readme license licence copying authors changelog citation notice makefile contributing
        """
    )
)
_PART_OF = {word: part for part, names in PARTS.items() for word in names}
_NOISE = frozenset(
    words(
        """
        set sets data dataset images image imgs img pics pictures photos samples files folder split
        jpg jpeg png csv labels label list
        """
    )
)
_GLUED = re.compile(
    rf"^({'|'.join(sorted(_PART_OF, key=len, reverse=True))})"
    r"(set|sets|data|dataset|images|imgs|labels|folder)?\d*$"
)


class Layout(TypedDict):
    """The settings `layout`; config.yaml explains each."""

    kind: str
    class_level: str
    root: str | None
    ignore: list[str]
    table: str | list[str] | None
    path_column: str | None
    label_column: str | list[str] | None
    split_column: str | None
    group_column: str | None
    label: str | None
    split: str | None


# ---------------------------------------------------------------- files


class Listing:
    """Files of a listing below the chosen root, sorted by suffix and name.

    Parameters
    ----------
    paths : files, relative to the source's root, with `/`.
    below : folder to read; None: the whole listing.
    ignore : glob patterns of paths to leave out.
    """

    def __init__(
        self, paths: Iterable[str], below: str | None = None, ignore: Sequence[str] = ()
    ) -> None:
        root = str(PurePosixPath((below or "").replace("\\", "/"))).strip("/")
        self.root = "" if root in ("", ".") else root + "/"
        self.images: list[str] = []
        self.unknown: list[str] = []
        self.companions: list[str] = []
        self.outside = self.globbed = 0
        everything = list(paths)
        globs = [_Glob(p) for p in ignore]
        hidden: dict[str, bool] = {}
        for path in everything:
            if not path.startswith(self.root):
                self.outside += 1
                continue
            folder, _, name = path.rpartition("/")
            junk = hidden.get(folder)
            if junk is None:
                junk = hidden[folder] = "/." in f"/{folder}" or is_junk(f"{folder}/")
            if junk or name.startswith(".") or is_junk(name):
                continue
            matched = [
                g.matches(path, folder, name) for g in globs
            ]  # each glob counts its own hits
            if any(matched):
                self.globbed += 1
                continue
            stem, dot, suffix = name.rpartition(".")
            suffix = suffix.lower() if dot and stem else ""
            if suffix in IMAGES:
                self.images.append(path)
            elif suffix in _COMPANIONS or (stem if dot else name).lower() in _COMPANION_NAMES:
                self.companions.append(path)
            else:
                self.unknown.append(path)
        if self.root and len(everything) == self.outside:
            folders = dict.fromkeys(p.rpartition("/")[0] for p in everything)
            raise UserError(
                f"layout.root is {below!r}: no such folder in the source"
                + nearest(root, filter(None, folders))
            )
        self.unmatched = [g.pattern for g in globs if not g.hits]
        if not self.images:  # files without suffixes: their content decides
            self.images, self.unknown = self.unknown, []

    def seen(self) -> str:
        """Counts and examples of the files, for error messages."""
        show = self.images or self.unknown or self.companions
        depths = Counter(p.count("/") for p in show)
        where = ", ".join(f"{n:,} at depth {d}" for d, n in sorted(depths.items())[:6])
        some = ", ".join(repr(p) for p in show[:: max(1, len(show) // 4)][:4])
        counts = f"{len(self.images):,} image files"
        if others := len(self.unknown) + len(self.companions):
            counts += f", {others:,} other files"
        below = f" below {self.root}" if self.root else ""
        return f"{below} (seen: {counts}{'; ' + where if where else ''}{'; such as ' + some if some else ''})"

    def unread_files(self) -> str:
        """For error messages: what to do with files that are no images."""
        names = [path.lower() for path in (*self.companions, *self.unknown, *self.images)]
        if any(name.endswith(_VOLUMES) for name in names):
            return "; volumes are not read: write their slices as PNG or TIFF, or a picture of each"
        suffixes = {path.lower().rpartition(".")[2] for path in self.companions}
        if suffixes & _ARCHIVES:
            return "; unpack the archives in it, or give one of them as source"
        if suffixes & (_ARRAYS | {"csv", "tsv"}):
            return (
                "; images are read as files (JPEG, PNG, TIFF, …), and from IDX, CIFAR's, .npz and .parquet files"
                " of images and labels: write these as one of them"
            )
        return ""

    def unread(self) -> str:
        """For error messages: a file that may have the labels in a form that is not read."""
        for path in sorted(self.companions, key=lambda p: (p.count("/"), p)):
            name = path.lower().rpartition("/")[2]
            if name.endswith(_UNREAD):
                return f"; {path} may have the labels, but is not read: write them into a CSV of path and label"
            if name.endswith(".txt") and any(word in name for word in ("label", "train", "class")):
                return f"; if {path} has lines of path and label, set layout.table: {path}"
        return ""


class _Glob:
    """One pattern of `ignore`. It matches the whole path; without `/`, any name in the path."""

    def __init__(self, pattern: str) -> None:
        self.pattern, self.hits = pattern, 0
        self._names = "/" not in pattern.strip("/")
        self._match = re.compile(fnmatch.translate(pattern.strip("/"))).match
        # A folder's pattern covers its content; '*/masks/*' also covers masks/ at the top.
        self._below = re.compile(fnmatch.translate(pattern.strip("/") + "/*")).match
        tail = pattern.removeprefix("*/")
        self._top = re.compile(fnmatch.translate(tail)).match if tail != pattern else None
        self._folders: dict[str, bool] = {}

    def matches(self, path: str, folder: str, name: str) -> bool:
        if self._names:
            found = self._folders.get(folder)
            if found is None:
                found = any(self._match(p) for p in folder.split("/") if p)
                self._folders[folder] = found
            found = found or bool(self._match(name))
        else:
            found = bool(self._match(path) or self._below(path) or (self._top and self._top(path)))
        self.hits += found
        return found


# ---------------------------------------------------------------- given parts


def given_part(name: str) -> str | None:
    """`train`, `validation` or `test` from a name such as `Training_Set` or `val2017`; else None."""
    part, rest = part_and_rest(name)
    return part if not rest else None


def part_and_rest(name: str) -> tuple[str | None, str]:
    """Given part in a folder's or table's name, and the other significant words of the name."""
    pieces: list[str] = []
    for word in re.split(r"[\W_]+", name):
        whole = _GLUED.match(word.lower()) or not word
        apart = [word] if whole else re.split(r"(?<=[a-z])(?=[A-Z])", word)  # trainA
        pieces += [w.lower() for w in apart if w]
    if pieces[:2] in (["hold", "out"], ["held", "out"]):
        pieces[:2] = ["holdout"]
    parts, rest = set[str](), []
    for word in pieces:
        if found := _GLUED.match(word):
            parts.add(_PART_OF[found[1]])
        elif word.rstrip("0123456789") not in _NOISE and word.strip("0123456789"):
            rest.append(word)
    if parts == {"train", "validation"}:  # train_val: everything that is not test
        parts = {"train"}
    return (parts.pop() if len(parts) == 1 else None), "_".join(rest)


# ---------------------------------------------------------------- rows


@dataclass
class Rows:
    """Rows under construction.

    Attributes
    ----------
    sentences, warnings : describe them for the log.
    ignored : count of files that are no rows.
    doubt : why this reading must not be taken by itself, and what to set; else empty.
    weak : the names that gave the labels may mean something else.
    choose : the setting that chooses this reading.
    """

    kind: str
    path: list[str] = field(default_factory=list)
    label: list[str | None] = field(default_factory=list)
    split: list[str | None] = field(default_factory=list)
    group: list[str | None] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    ignored: int = 0
    warnings: list[str] = field(default_factory=list)
    doubt: str = ""
    weak: bool = False
    choose: str = ""

    def add(
        self,
        path: str,
        label: str | None,
        split: str | None = None,
        group: str | None = None,
        trouble: str = "",
    ) -> None:
        """Append a row."""
        self.path.append(path)
        self.label.append(label)
        self.split.append(split)
        self.group.append(group)
        self.trouble.append(trouble)

    @property
    def labels(self) -> list[str]:
        """All labels, sorted."""
        return sorted({label for label in self.label if label is not None})


# ---------------------------------------------------------------- words for messages


def left_out(folders: list[tuple[str, int]], why: str) -> list[str]:
    """One sentence that lists folders and their image counts; empty for no folders."""
    if not folders:
        return []
    total = sum(n for _, n in folders)
    names = few([f"{path or '.'}/" for path, _ in folders], 3)
    return [f"left out: {names} ({total:,} images, {why})"]


def joined(names: list[str]) -> str:
    """Names joined by commas, the last by `and`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def few(values: list[str], most: int = 5) -> str:
    """The first values, and the number of the rest."""
    more = f", … {len(values) - most} more" if len(values) > most else ""
    return ", ".join(values[:most]) + more
