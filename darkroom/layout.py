"""Where label, given split and group of each image come from.

`recognise` works on a bare listing of relative paths and opens nothing but a CSV, so it
can be asked before anything is unpacked or decoded. The layouts it knows:

- class folders, at any depth below wrapper folders: `Data/cat/1.jpg`, `cat/kittens/1.jpg`;
- the same below given splits (`train/cat/1.jpg`, `seg_test/seg_test/cat/1.jpg`,
  `training_set/training_set/cats/1.jpg`), or the other way round (`cat/train/1.jpg`);
- one flat folder, or one per split, whose file names begin with the label (`cat.0.jpg`);
- a CSV with a path column and a label column, or one column of 0 and 1 per label; optionally
  split and group; or a pair such as train.csv and test.csv;
- regular expressions on the path (`kind: pattern`).

Rules where a listing leaves room, all told in `Recognised.sentence`:

- hidden files, `__MACOSX` and the like never count; nor do companions (text, tables, code,
  archives, arrays) and files of unknown kind outside the class folders;
- a file with an image's suffix always counts; inside a class folder a file of unknown or no
  suffix counts too (its content decides);
- a whole folder without any label (a competition's test set, `masks/` beside `images/`) is
  left out; a single file without one, among labelled files, is a row without a label;
- a CSV wins over class folders where it names at least half of the images, unless both say
  the same, in which case the folders' names are used;
- a given split needs two of train, validation and test; one alone is an ordinary folder.
"""

from __future__ import annotations

import csv
import fnmatch
import io
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, Any

from darkroom.errors import UserError, nearest

OpenText = Callable[[str], "str | bytes | IO[str] | IO[bytes]"]


def _words(text: str) -> list[str]:
    return text.split()


IMAGES = frozenset(
    _words(
        """
        jpg jpeg jpe jfif jif mpo png apng gif bmp dib tif tiff webp ppm pgm pbm pnm pfm ico jp2 j2k
        jpf jpx j2c avif avifs tga heic heif jxl svg psd dcm dicom raw nef cr2 cr3 arw dng orf rw2
        """
    )
)
"""Suffixes of files that claim to be images, readable here or not."""

_COMPANIONS = frozenset(
    _words(
        """
        txt md rst csv tsv json jsonl ndjson xml yaml yml toml ini cfg conf html htm css js pdf doc docx
        xls xlsx ods ppt pptx odt rtf tex bib log names data py pyc ipynb r rmd m sh bat zip tar gz tgz bz2 xz
        zst 7z rar mat npy npz h5 hdf5 pkl pickle pt pth onnx pb tfrecord tfrecords parquet feather arrow
        db sqlite sql sha1 sha256 md5 sum url lnk webloc idx lst part crdownload
        """
    )
)
_COMPANION_NAMES = frozenset(
    _words(
        """
        readme license licence copying authors changelog citation notice makefile contributing
        """
    )
)
_JUNK = frozenset({"__macosx", "thumbs.db", "desktop.ini", "ehthumbs.db", "$recycle.bin", "@eadir"})
_TABLES = (".csv", ".tsv")
_GENERIC = frozenset(
    _words(
        """
        images image imgs img jpg jpeg jpegs png pngs pictures picture pics photos photo data dataset
        datasets files file all raw part batch chunk folder shard vol volume fold input inputs
        """
    )
)
_MASKS = frozenset(
    _words(
        """
        mask masks label labels annotation annotations segmentation segmentations ground_truth
        groundtruth gt trimap trimaps
        """
    )
)
_PARTS = {
    "train": ("train", "training", "trn", "traning", "trainval"),
    "validation": (
        "val", "valid", "validation", "validate", "valication", "dev", "development", "eval",
        "evaluation", "publictest",
    ),
    "test": ("test", "testing", "tests", "tst", "holdout", "heldout", "privatetest"),
}  # fmt: skip
_PART_OF = {word: part for part, words in _PARTS.items() for word in words}
_NOISE = frozenset(
    _words(
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
_PATH_NAMES = _words(
    """
    path paths filepath filepaths file_path file_paths image_path img_path image_paths rel_path
    relative_path filename filenames file_name file_names file files fname image_file image_filename
    image_file_name image_name img_name imagename image img images picture photo image_id imageid
    img_id image_index id_code isic_id id uuid name
    """
)
_LABEL_NAMES = _words(
    """
    label_name class_name classname category_name label labels class classes category categories
    species breed diagnosis dx finding finding_label finding_labels target targets tag tags y type
    class_id classid label_id labelid category_id class_index
    """
)
_LABEL_WORDS = {"label", "labels", "class", "category", "species", "target", "diagnosis"}
_SPLIT_NAMES = _words(
    "split splits set subset part partition data_set dataset dataset_type usage phase fold"
)
_GROUP_NAMES = _words(
    """
    group group_id groupid patient patient_id patientid patient_nr subject subject_id subjectid
    lesion_id person person_id case_id caseid individual_id individual participant participant_id
    """
)
_FLAT = re.compile(r"^(.*?[^\W\d_].*?)[\s._\-]*\(?\d+\)?$")


@dataclass(frozen=True)
class Recognised:
    """The rows of a data set before any file is opened, ascending by path.

    `path` is relative to the source's root; `label`, `split` (train, validation or test) and
    `group` are None where unknown; `trouble` says why a row is unusable already (missing,
    listed twice), and is empty else. `ignored` counts the files that are no rows. `kind` is
    folders, table or pattern.
    """

    kind: str
    path: list[str]
    label: list[str | None]
    split: list[str | None]
    group: list[str | None]
    trouble: list[str]
    sentence: str
    ignored: int

    @property
    def labels(self) -> list[str]:
        """All labels, sorted."""
        return sorted({label for label in self.label if label is not None})


@dataclass
class _Rows:
    """Rows while they are found: `files` are indices into the listing's files, -1: none."""

    kind: str
    path: list[str] = field(default_factory=list)
    label: list[str | None] = field(default_factory=list)
    split: list[str | None] = field(default_factory=list)
    group: list[str | None] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    ignored: int = 0

    def add(
        self,
        path: str,
        label: str | None,
        split: str | None = None,
        group: str | None = None,
        trouble: str = "",
    ) -> None:
        self.path.append(path)
        self.label.append(label)
        self.split.append(split)
        self.group.append(group)
        self.trouble.append(trouble)


def recognise(
    paths: Iterable[str],
    cfg: dict[str, Any],
    *,
    group: str | None = None,
    open_text: OpenText | None = None,
) -> Recognised:
    """Find label, given split and group of every file of a listing.

    Parameters
    ----------
    paths : files, relative to the source's root, with `/`.
    cfg : the settings `layout`, every key given.
    group : regular expression on the path; its group 1 keeps rows together.
    open_text : opens a CSV of the listing by its path: its text, bytes, or an open file. None:
        tables are not looked into.

    Returns
    -------
    Recognised

    Raises
    ------
    UserError
        The listing cannot be read as a labelled data set, or contradicts the settings: what
        was seen, and what to set.
    """
    kind = _kind_asked(cfg, group)
    listing = _Listing(paths, cfg)
    if not listing.images and kind != "table":
        raise UserError(f"layout: no image files were found{listing.seen()}")
    rows = None
    if kind == "pattern":
        rows = _by_pattern(listing, cfg)
    elif kind == "folders":
        rows = _by_folders(listing, asked=True)
    elif kind == "table":
        rows = _by_table(listing, cfg, open_text, None)
    else:
        folders = _by_folders(listing, asked=False)
        rows = _by_table(listing, cfg, open_text, folders) or folders
    if rows is None:
        _one_class(listing)
        raise UserError(
            f"layout: no labels were recognised{listing.seen()}. Put the images of each class into a "
            "folder of its own, or set layout.table to a CSV of path and label, or layout.label "
            "to a regular expression on the path whose group 1 is the label"
        )
    if cfg["split"] is not None:
        rows.split = _splits_by_pattern(rows.path, cfg["split"])
    if group is not None:
        rows.group = [_group_1(re.compile(group), p) for p in rows.path]
        if not any(rows.group):
            raise UserError(
                f"group: the expression {group!r} matches no path, for example {rows.path[0]!r}"
            )
    return _finish(listing, rows)


def given_part(name: str) -> str | None:
    """`train`, `validation` or `test` from a name such as `Training_Set` or `val2017`; else None."""
    part, rest = _part(name)
    return part if not rest else None


def _kind_asked(cfg: dict[str, Any], group: str | None) -> str:
    kind = str(cfg["kind"])
    columns = [
        k
        for k in ("table", "path_column", "label_column", "split_column", "group_column")
        if cfg[k]
    ]
    if cfg["label"] is not None:
        if kind in ("folders", "table") or columns:
            other = f"layout.{columns[0]}" if columns else f"kind {kind}"
            raise UserError(
                f"layout.label reads labels from the path and contradicts {other}: set one"
            )
        return "pattern"
    if kind == "pattern":
        raise UserError("layout.kind is pattern: set layout.label to a regular expression")
    if columns:
        if kind == "folders":
            raise UserError(f"layout.{columns[0]} needs kind table, not folders: set one")
        kind = "table"
    if group is not None and cfg["group_column"]:
        raise UserError("group and layout.group_column both say what stays together: set one")
    return kind


# ---------------------------------------------------------------- the listing


class _Listing:
    """Files of a listing by what they claim to be, below the chosen root."""

    def __init__(self, paths: Iterable[str], cfg: dict[str, Any]) -> None:
        root = str(PurePosixPath(cfg["root"].replace("\\", "/"))).strip("/") if cfg["root"] else ""
        self.root = "" if root in ("", ".") else root + "/"
        self.images: list[str] = []
        self.unknown: list[str] = []
        self.companions: list[str] = []
        self.outside = self.globbed = 0
        everything = paths if isinstance(paths, list) else list(paths)
        globs = [_Glob(p) for p in cfg["ignore"]]
        hidden: dict[str, bool] = {}
        tops: Counter[str] = Counter()
        for path in everything:
            folder, _, name = path.rpartition("/")
            if self.root and not path.startswith(self.root):
                tops[folder] += 1
                self.outside += 1
                continue
            junk = hidden.get(folder)
            if junk is None:
                junk = hidden[folder] = any(_is_junk(p) for p in folder.split("/") if p)
            if junk or _is_junk(name):
                continue
            matched = [g.matches(path, folder, name) for g in globs]  # each counts its own
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
            raise UserError(
                f"layout.root is {cfg['root']!r}: no such folder in the source"
                + nearest(root, [f for f in tops if f])
            )
        self.unmatched = [g.pattern for g in globs if not g.hits]
        if not self.images:  # files without suffixes: their content decides
            self.images, self.unknown = self.unknown, []

    def seen(self) -> str:
        """What was there, for a person who has to set something."""
        show = self.images or self.unknown or self.companions
        depths = Counter(p.count("/") for p in show)
        where = ", ".join(f"{n:,} at depth {d}" for d, n in sorted(depths.items())[:6])
        few = ", ".join(repr(p) for p in show[:: max(1, len(show) // 4)][:4])
        counts = f"{len(self.images):,} image files"
        if others := len(self.unknown) + len(self.companions):
            counts += f", {others:,} other files"
        below = f" below {self.root}" if self.root else ""
        return f"{below} (seen: {counts}{'; ' + where if where else ''}{'; such as ' + few if few else ''})"


class _Glob:
    """One pattern of `ignore`: on the whole path, or without `/` on any of its names."""

    def __init__(self, pattern: str) -> None:
        self.pattern, self.hits = pattern, 0
        self._names = "/" not in pattern.strip("/")
        self._match = re.compile(fnmatch.translate(pattern.strip("/"))).match
        # A pattern of a folder covers all that is in it; '*/masks/*' covers masks/ at the top too.
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


def _is_junk(name: str) -> bool:
    return name.startswith((".", "~$")) or name.lower() in _JUNK


def _part(name: str) -> tuple[str | None, str]:
    """Given part in a folder's or table's name, and the words of the name that say more."""
    words = [w for w in re.split(r"[^a-z0-9]+", name.lower()) if w]
    if words[:2] in (["hold", "out"], ["held", "out"]):
        words[:2] = ["holdout"]
    parts, rest = set(), []
    for word in words:
        if found := _GLUED.match(word):
            parts.add(_PART_OF[found[1]])
        elif word.rstrip("0123456789") not in _NOISE and word.strip("0123456789"):
            rest.append(word)
    return (parts.pop() if len(parts) == 1 else None), "_".join(rest)


# ---------------------------------------------------------------- folders


class _Node:
    """A folder with images somewhere below it."""

    __slots__ = ("children", "direct", "name", "path", "total")

    def __init__(self, name: str, path: str) -> None:
        self.name, self.path = name, path
        self.children: dict[str, _Node] = {}
        self.direct: list[str] = []
        self.total = 0

    def below(self) -> Iterator[_Node]:
        yield self
        for child in self.children.values():
            yield from child.below()


@dataclass
class _Reading:
    """What one subtree says: labels by folder, or by file name, or nothing at all."""

    how: str  # folders, names or nothing
    labels: dict[str, str]  # folder path -> label; or prefix -> label for names
    top: _Node
    out: list[_Node] = field(default_factory=list)


def _tree(listing: _Listing) -> _Node:
    by_folder: dict[str, list[str]] = defaultdict(list)
    for path in listing.images:
        by_folder[path.rpartition("/")[0]].append(path)
    top = _Node("", listing.root.rstrip("/"))
    for folder, files in by_folder.items():
        node = top
        node.total += len(files)
        inner = folder[len(listing.root) :] if listing.root else folder
        for name in inner.split("/") if inner else []:
            child = node.children.get(name)
            if child is None:
                path = f"{node.path}/{name}" if node.path else name
                child = node.children[name] = _Node(name, path)
            node = child
            node.total += len(files)
        node.direct = files
    return top


def _descend(node: _Node, known: frozenset[str] = frozenset()) -> _Node:
    """Through wrapper folders, to the first one that holds several things."""
    while len(node.children) == 1 and 10 * len(node.direct) <= node.total:
        (child,) = node.children.values()
        if child.name in known:
            break
        node = child
    return node


def _one_class(listing: _Listing) -> None:
    """Say so where the trouble is that there is but one class folder."""
    folders = {p.rpartition("/")[0] for p in listing.images}
    names = {f.rpartition("/")[2] for f in folders}
    if len(names) == 1 and folders != {""}:
        where = _few([f"{f}/" for f in sorted(folders)])
        raise UserError(
            f"layout: only one class folder was found, {where} ({len(listing.images):,} images): at "
            "least two classes are needed to tell apart; if file names or a CSV say the label, set "
            "layout.label to a regular expression, or layout.table"
        )


def _by_folders(listing: _Listing, asked: bool) -> _Rows | None:
    """Rows by class folders, below or above split folders; None where there are none."""
    if not listing.images:
        return None
    tree = _descend(_tree(listing))
    rows = _Rows("folders")
    splits, left = _split_folders(tree)
    if splits:
        combined = _split_and_class_in_one(splits)
        readings = combined or {node.path: _classes(node, frozenset(), asked) for node, _ in splits}
        known = frozenset(
            label for r in readings.values() if r.how == "folders" for label in r.labels.values()
        )
        for node, _ in splits:  # a split with one class folder looks like a wrapper on its own
            if readings[node.path].how == "nothing" and known:
                readings[node.path] = _classes(node, known, asked)
        chosen = [(node, part) for node, part in splits if readings[node.path].how != "nothing"]
        left += [node for node, _ in splits if readings[node.path].how == "nothing"]
        if not chosen:
            return None
        given = len({part for _, part in chosen}) > 1
        for node, part in chosen:
            _add(rows, node, readings[node.path], part if given else None)
        turned = None
        where = _and([f"{node.path}/" for node, _ in chosen])
        readings_used = [readings[node.path] for node, _ in chosen]
    else:
        reading = _classes(tree, frozenset(), asked)
        turned = _class_then_split(reading)
        if turned is None and reading.how == "nothing":
            return None
        _add(rows, tree, reading, None, turned)
        where = f"{reading.top.path}/" if reading.top.path else ""
        readings_used = [reading]
    _unknown_in_classes(listing, rows, readings_used)
    hows = {r.how for r in readings_used}
    labels = sorted({label for label in rows.label if label is not None})
    if hows == {"names"}:
        what = f"labels from the beginnings of the file names ({_few(labels)})"
    elif "names" in hows:
        what = f"{len(labels)} labels from class folders and file names"
    else:
        what = f"{len(labels)} class folders"
    if where:
        what += f" below {where}"
    if turned:
        names = sorted({path.rpartition("/")[2] for path in turned})
        what += f", each above {_and([f'{name}/' for name in names])}"
    left += [node for r in readings_used for node in r.out]
    rows.ignored += sum(node.total for node in left)
    out = {path for node in left for inner in node.below() for path in inner.direct}
    for path in set(listing.images) - out - set(rows.path):
        rows.add(path, None)  # beside the class folders
    rows.said.append(f"{what} ({len(rows.path):,} files)")
    rows.said += _left_out([(node.path, node.total) for node in left], "no label")
    return rows


def _split_folders(tree: _Node) -> tuple[list[tuple[_Node, str]], list[_Node]]:
    """Folders of given parts right below, and their siblings, which are left out."""
    children = list(tree.children.values())
    named = [(c, *_part(c.name)) for c in children]
    exact = [(c, part) for c, part, rest in named if part and not rest]
    if len({part for _, part in exact}) > 1:
        chosen = exact
    else:
        loose = [(c, part) for c, part, _ in named if part]
        rests = {rest for _, part, rest in named if part}
        together = len({part for _, part in loose}) > 1 and (
            len(rests) == 1 or len(loose) == len(children)
        )
        if together:
            chosen = loose
        elif (
            exact
            and all(len(c.children) > 1 or (c.children and _descend(c).children) for c, _ in exact)
            and all(c in [e for e, _ in exact] or not c.children for c in children)
        ):
            chosen = exact  # a train folder of class folders beside folders without any
        else:
            return [], []
    inside = {id(c) for c, _ in chosen}
    return chosen, [c for c in children if id(c) not in inside]


def _split_and_class_in_one(splits: list[tuple[_Node, str]]) -> dict[str, _Reading] | None:
    """`train_cat`, `train_dog`, `test_cat`, …: part and label in one name."""
    rests = {node.path: _part(node.name)[1] for node, _ in splits}
    if all(rests.values()) and len(set(rests.values())) > 1:
        return {
            node.path: _Reading("folders", {node.path: rests[node.path]}, node)
            for node, _ in splits
        }
    return None


def _classes(node: _Node, known: frozenset[str], asked: bool) -> _Reading:
    """Class folders below a folder, or labels in the names of its files.

    `known`: class names of other parts. `asked`: the settings say that folders are classes.
    """
    node = _descend(node, known)
    children = list(node.children.values())
    shards = _are_shards([c.name for c in children])
    if children and not shards and 2 * len(node.direct) <= node.total:
        out = []
        if len(children) > 1 or children[0].name in known:
            for child in children:
                out += _masks(child)
            return _Reading("folders", {c.path: c.name for c in children}, node, out)
        return _Reading("nothing", {}, node)
    out = [c for c in children if c.name.lower() in _MASKS]
    skip = {id(n) for o in out for n in o.below()}
    files = [p for n in node.below() if id(n) not in skip for p in n.direct]
    prefixes = _prefixes(files)
    if prefixes:
        return _Reading("names", prefixes, node, out)
    if asked and len(children) - len(out) > 1:
        return _Reading("folders", {c.path: c.name for c in children if c not in out}, node, out)
    return _Reading("nothing", {}, node)


def _are_shards(names: list[str]) -> bool:
    """images and masks, images_001 to images_012, HAM10000_images_part_1: storage, no classes."""
    words = [[w for w in re.split(r"[^a-z]+", n.lower()) if w] for n in names]
    if any(not w for w in words):
        return False
    if all(
        n.lower() in _MASKS or all(w in _GENERIC for w in ws)
        for n, ws in zip(names, words, strict=True)
    ):
        return True
    return len(names) > 1 and all(ws == words[0] for ws in words) and words[0][-1] in _GENERIC


def _masks(child: _Node) -> list[_Node]:
    """Folders of masks within a class folder that has its images beside them."""
    inner = child.children
    found = [n for name, n in inner.items() if name.lower() in _MASKS]
    return found if found and (len(found) < len(inner) or child.direct) else []


def _class_then_split(reading: _Reading) -> dict[str, str] | None:
    """Given part by folder where each class folder holds split folders."""
    if reading.how != "folders":
        return None
    parts: dict[str, str] = {}
    for child in reading.top.children.values():
        for inner in child.children.values():
            part = given_part(inner.name)
            if part is None:
                if inner not in reading.out:
                    return None
            else:
                parts[inner.path] = part
        if child.direct:
            return None
    return parts if len(set(parts.values())) > 1 else None


def _prefixes(files: list[str]) -> dict[str, str]:
    """Labels in the beginnings of file names such as cat.12.jpg; empty where there are none."""
    counts: Counter[str] = Counter()
    for path in files:
        if found := _prefix(path):
            counts[found] += 1
    total = sum(counts.values())
    if len(counts) < 2 or total < 0.98 * len(files) or len(counts) > total / 2:
        return {}
    return {prefix: prefix for prefix in counts}


def _prefix(path: str) -> str | None:
    found = _FLAT.match(path.rpartition("/")[2].rpartition(".")[0])
    return found[1].strip(" ._-(") or None if found else None


def _add(
    rows: _Rows,
    top: _Node,
    reading: _Reading,
    part: str | None,
    turned: dict[str, str] | None = None,
) -> None:
    skip = {id(node) for node in reading.out}

    def walk(node: _Node, label: str | None, part: str | None) -> None:
        if id(node) in skip:
            return
        if reading.how == "folders":
            label = reading.labels.get(node.path, label)
        if turned:
            part = turned.get(node.path, part)
        for path in node.direct:
            rows.add(path, _named(path) if reading.how == "names" else label, part)
        for child in node.children.values():
            walk(child, label, part)

    def _named(path: str) -> str | None:
        return reading.labels.get(_prefix(path) or "")

    walk(top, None, part)


def _unknown_in_classes(listing: _Listing, rows: _Rows, readings: list[_Reading]) -> None:
    """Files of unknown kind inside a class folder are rows: their content decides."""
    labels = {f: label for r in readings if r.how == "folders" for f, label in r.labels.items()}
    parts = {}
    for path, part in zip(rows.path, rows.split, strict=True):
        parts[path.rpartition("/")[0]] = part
    for path in listing.unknown:
        folder, pieces = "", path.split("/")
        found = None
        for piece in pieces[:-1]:
            folder = f"{folder}/{piece}" if folder else piece
            found = labels.get(folder, found)
        if found is None:
            rows.ignored += 1
        else:
            rows.add(path, found, parts.get(path.rpartition("/")[0]))


# ---------------------------------------------------------------- tables


@dataclass
class _Table:
    name: str
    header: list[str]
    rows: list[list[str]]
    first_line: int
    path: int = -1
    label: int = -1
    onehot: list[int] = field(default_factory=list)
    split: int = -1
    group: int = -1
    part: str | None = None

    def column(self, i: int) -> str:
        return self.header[i]


class _Finder:
    """Files of the listing by the ways in which people write them in a table."""

    def __init__(self, listing: _Listing) -> None:
        self.files = listing.images + listing.unknown
        self.root = listing.root
        self.exact = {path: i for i, path in enumerate(self.files)}
        self._names: dict[str, list[int]] | None = None
        self._stems: dict[str, list[int]] | None = None
        self._folded: dict[str, list[int]] | None = None
        self.loose = False  # whether folders in a table may be other ones than the files'

    def find(self, value: str, table: _Table, label: str | None) -> int | list[int] | None:
        """Index of the file that a value means; several where that is open; None: missing."""
        value = _clean(value)
        if not value:
            return None
        folder = table.name.rpartition("/")[0]
        for base in dict.fromkeys((folder + "/" if folder else "", self.root, "")):
            if (i := self.exact.get(base + value)) is not None:
                return i
        name = value.rpartition("/")[2]
        candidates = (
            self._by_name().get(name)
            or self._by_stem().get(name)
            or self._by_folded().get(_fold(name))
        )
        if not candidates:
            return None
        return self._best(candidates, value, folder, table.part, label)

    def _best(
        self, candidates: list[int], value: str, folder: str, part: str | None, label: str | None
    ) -> int | list[int] | None:
        wanted = _fold(value.rpartition("/")[0]).split("/")[::-1]

        def common(i: int) -> int:
            have = _fold(self.files[i].rpartition("/")[0]).split("/")[::-1]
            n = 0
            while n < min(len(wanted), len(have)) and wanted[n] and wanted[n] == have[n]:
                n += 1
            return n

        if wanted != [""] and not self.loose:  # train/1.jpg is never test/1.jpg
            candidates = [i for i in candidates if common(i) or "/" not in self.files[i]]
            if not candidates:
                return None
        if len(candidates) > 1:
            tests: list[Callable[[int], int]] = [common]
            if part:
                tests.append(
                    lambda i: part in {given_part(p) for p in self.files[i].split("/")[:-1]}
                )
            if label:
                tests.append(lambda i: _fold(label) in _fold(self.files[i]).split("/")[:-1])
            if folder:
                tests.append(lambda i: self.files[i].startswith(folder + "/"))
            for test in tests:
                best = max(map(test, candidates))
                candidates = [i for i in candidates if test(i) == best]
        return candidates[0] if len(candidates) == 1 else candidates

    def _by_name(self) -> dict[str, list[int]]:
        if self._names is None:
            self._names = {}
            for i, path in enumerate(self.files):
                self._names.setdefault(path.rpartition("/")[2], []).append(i)
        return self._names

    def _by_stem(self) -> dict[str, list[int]]:
        if self._stems is None:
            self._stems = {}
            for name, found in self._by_name().items():
                self._stems.setdefault(name.rpartition(".")[0] or name, []).extend(found)
        return self._stems

    def _by_folded(self) -> dict[str, list[int]]:
        if self._folded is None:
            self._folded = {}
            for names in (self._by_name(), self._by_stem()):
                for name, found in names.items():
                    self._folded.setdefault(_fold(name), []).extend(found)
        return self._folded


def _clean(value: str) -> str:
    value = value.strip().replace("\\", "/")
    while value.startswith("./"):
        value = value[2:]
    return re.sub(r"/{2,}", "/", value).strip("/")


def _fold(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _by_table(
    listing: _Listing, cfg: dict[str, Any], open_text: OpenText | None, folders: _Rows | None
) -> _Rows | None:
    """Rows by a table. Asked for (`folders` None and settings given): raises where it cannot."""
    asked = cfg["kind"] == "table" or any(
        cfg[k] for k in ("table", "path_column", "label_column", "split_column", "group_column")
    )
    names = _table_names(listing, cfg)
    if open_text is None or not names:
        if asked:
            raise UserError(f"layout: no CSV was found{listing.seen()}; set layout.table")
        return None
    finder = _Finder(listing)
    tables, why = [], ""
    for name in names:
        table = _read_table(name, open_text, None if asked and cfg["table"] else 300)
        try:
            if table is not None and _columns(table, finder, cfg, asked):
                tables.append(table)
        except UserError as error:
            if cfg["table"] or len(names) == 1:
                raise
            why = why or str(error)
    if not tables:
        if asked:
            raise UserError(
                why or f"layout: no CSV of path and label was found among {_few(names)}"
            )
        return None
    tables = _choose(tables, finder, open_text)
    rows = _table_rows(listing, finder, tables, cfg)
    found = sum(not t.startswith("missing") for t in rows.trouble)
    if asked:
        if 2 * found < len(rows.path):
            table = tables[0]
            values = [r[table.path] for r in table.rows[:3]]
            raise UserError(
                f"layout: only {found:,} of the {len(rows.path):,} files in {table.name} (column "
                f"{table.column(table.path)!r}: {_few(values)}) are among the files"
                f"{listing.seen()}; set layout.path_column or layout.root"
            )
        return rows
    labelled = {
        p: lb
        for p, lb, t in zip(rows.path, rows.label, rows.trouble, strict=True)
        if lb is not None and not t
    }
    if 2 * len(labelled) < len(listing.images) and folders is not None:
        return None
    if not labelled or 2 * found < len(rows.path) or len(set(labelled.values())) < 2:
        return None
    if folders is not None and not any(rows.group) and not any(rows.trouble):
        adds_split = any(rows.split) and not any(folders.split)
        if not adds_split and _same(labelled, folders):
            return None
    return rows


def _same(labelled: dict[str, str], folders: _Rows) -> bool:
    """Whether the folders say what the table says, of no fewer files, if in other words."""
    if sum(label is not None for label in folders.label) < len(labelled):
        return False
    pairs: Counter[tuple[str, str]] = Counter()
    for path, label in zip(folders.path, folders.label, strict=True):
        if label is not None and path in labelled:
            pairs[label, labelled[path]] += 1
    usual = sum(pairs.values()) / 1000
    often = [p for p, n in pairs.items() if n > usual]
    return len({a for a, _ in often}) == len(often) == len({b for _, b in often})


def _table_names(listing: _Listing, cfg: dict[str, Any]) -> list[str]:
    """Tables to look into: the one that is set, or CSV files that are near the top."""
    everything = listing.companions + listing.unknown
    if cfg["table"]:
        wanted = listing.root + _clean(str(cfg["table"]))
        found = [p for p in everything if p == wanted]
        if not found:
            tables = [p[len(listing.root) :] for p in everything if p.lower().endswith(_TABLES)]
            raise UserError(
                f"layout.table is {cfg['table']!r}: no such file" + nearest(cfg["table"], tables)
            )
        return found
    tables = [
        p
        for p in everything
        if p.lower().endswith(_TABLES) and "submission" not in p.rpartition("/")[2].lower()
    ]
    return sorted(tables, key=lambda p: (p.count("/"), len(p), p))[:20]


def _read_table(name: str, open_text: OpenText, limit: int | None) -> _Table | None:
    """Header and rows (at most `limit`) of a CSV in any usual dialect and encoding."""
    opened = open_text(name)
    stream: Iterable[str]
    if isinstance(opened, bytes):
        stream = io.StringIO(_text(opened), newline="")
    elif isinstance(opened, str):
        stream = io.StringIO(opened.removeprefix("\ufeff"), newline="")
    else:
        with opened:
            block = opened.read() if limit is None else opened.read(200_000)
        text = _text(block) if isinstance(block, bytes) else block.removeprefix("\ufeff")
        if limit is not None and len(block) == 200_000:
            text = text.rpartition("\n")[0]
        stream = io.StringIO(text, newline="")
    text = stream.getvalue()
    first = text.lstrip("\r\n").split("\n", 1)[0]
    if first.lower().startswith("sep=") and len(first.strip()) == 5:  # Excel's hint
        text, delimiter = text.split("\n", 1)[-1], first[4]
        first = text.split("\n", 1)[0]
    else:
        delimiter = max(",;\t|", key=first.count)
    if delimiter not in first:
        return None
    rows = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if any(cell.strip() for cell in row):
                rows.append([cell.strip() for cell in row])
            if limit is not None and len(rows) > limit:
                break
    except csv.Error:
        return None
    if len(rows) < 2:
        return None
    width = len(rows[0])
    rows = [r + [""] * (width - len(r)) if len(r) < width else r for r in rows]
    return _Table(name, rows[0], rows[1:], 2, part=_part(PurePosixPath(name).stem)[0])


def _text(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start > len(data) - 4:  # a block cut within a character
            return data[: error.start].decode("utf-8-sig")
        return data.decode("cp1252", "replace")


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _columns(table: _Table, finder: _Finder, cfg: dict[str, Any], asked: bool) -> bool:
    """Find the columns; False where this is no table of images and labels."""
    sample = table.rows[:: max(1, len(table.rows) // 200)][:200]

    def share(i: int, rows: list[list[str]]) -> float:
        return sum(finder.find(r[i], table, None) is not None for r in rows) / len(rows)

    if not asked or not cfg["path_column"]:
        first = table.header
        numbered = [share(i, [first]) for i in range(len(first)) if "." in first[i]]
        if any(numbered):  # no header: the first line names a file already
            table.rows.insert(0, first)
            table.first_line = 1
            table.header = [str(i + 1) for i in range(len(first))]
    plain = [_plain(h) for h in table.header]

    def column(key: str) -> int | None:
        wanted = cfg[key]
        if not wanted:
            return None
        if wanted in table.header:
            return table.header.index(wanted)
        if _plain(wanted) in plain:
            return plain.index(_plain(wanted))
        raise UserError(
            f"layout.{key} is {wanted!r}: {table.name} has no such column"
            + nearest(wanted, table.header)
        )

    path = column("path_column")
    label = column("label_column")
    if path is None:
        for finder.loose in (False, True):
            shares = [share(i, sample) if i != label else 0.0 for i in range(len(table.header))]
            if max(shares) >= 0.5:
                break
        named = [plain.index(n) for n in _PATH_NAMES if n in plain]
        good = [i for i in named if shares[i] >= 0.5 and shares[i] > 0.8 * max(shares)]
        if good:
            path = good[0]
        elif max(shares) >= 0.9:
            path = shares.index(max(shares))
        elif named and asked:
            path = named[0]
        else:
            if asked:
                raise UserError(
                    f"layout: no column of {table.name} ({_few(table.header)}) names the image files; "
                    "set layout.path_column"
                )
            return False
    table.path = path
    if label is None:
        label = _label_column(table, plain)
        if label is None:
            table.onehot = _one_hot(table)
            if not table.onehot:
                if asked:
                    raise UserError(
                        f"layout: no column of {table.name} ({_few(table.header)}) is the label; "
                        "set layout.label_column"
                    )
                return False
    table.label = -1 if label is None else label
    if not asked and not table.onehot:
        values = [r[table.label] for r in table.rows]
        if len(values) > 20 and 2 * len(set(values)) > len(values):
            return False
    taken = {table.path, table.label, *table.onehot}
    split = column("split_column")
    if split is None and cfg["split"] is None:
        split = next((plain.index(n) for n in _SPLIT_NAMES if n in plain), None)
        if split is not None and (
            split in taken or not _all_parts({r[split] for r in table.rows if r[split]})
        ):
            split = None
    table.split = -1 if split is None else split
    group = column("group_column")
    if group is None:
        group = next((plain.index(n) for n in _GROUP_NAMES if n in plain), None)
    table.group = -1 if group is None or group in taken else group
    return True


def _all_parts(values: set[str]) -> bool:
    return bool(values) and all(given_part(v) for v in values)


def _label_column(table: _Table, plain: list[str]) -> int | None:
    for name in _LABEL_NAMES:
        if name in plain and plain.index(name) != table.path:
            return plain.index(name)
    loose = [i for i, p in enumerate(plain) if i != table.path and _LABEL_WORDS & set(p.split("_"))]
    if len(loose) == 1:
        return loose[0]
    if len(plain) == 2:
        return 1 - table.path
    return None


def _one_hot(table: _Table) -> list[int]:
    """Columns of 0 and 1 with one 1 in each row: their names are the labels."""
    found = [
        i
        for i in range(len(table.header))
        if i != table.path and {r[i] for r in table.rows} <= {"0", "1", "0.0", "1.0"}
    ]
    if len(found) > 1 and all(sum(r[i][:1] == "1" for i in found) == 1 for r in table.rows):
        return found
    return []


def _choose(tables: list[_Table], finder: _Finder, open_text: OpenText) -> list[_Table]:
    """The tables to use, read whole: a pair by its parts, or the one that names most files."""
    whole = []
    for table in tables:
        full = _read_table(table.name, open_text, None)
        assert full is not None
        if table.first_line == 1:
            full.rows.insert(0, full.header)
        table.rows = full.rows
        whole.append(table)
    pairs: dict[str, dict[str, _Table]] = defaultdict(dict)
    for table in whole:
        if table.part:
            pairs[_part(PurePosixPath(table.name).stem)[1]].setdefault(table.part, table)
    for parts in pairs.values():
        if len(parts) > 1:
            return list(parts.values())

    def named(table: _Table) -> int:
        found = (finder.find(r[table.path], table, None) for r in table.rows)
        return len({i for i in found if isinstance(i, int)})

    return [max(whole, key=named)] if len(whole) > 1 else whole


def _table_rows(
    listing: _Listing, finder: _Finder, tables: list[_Table], cfg: dict[str, Any]
) -> _Rows:
    rows = _Rows("table")
    first: dict[int, tuple[int, str]] = {}
    clashes: set[int] = set()
    many = len(tables) > 1
    for table in tables:
        for line, cells in enumerate(table.rows, table.first_line):
            if table.onehot:
                label = next((table.header[i] for i in table.onehot if cells[i][:1] == "1"), "")
            else:
                label = cells[table.label]
            where = f"{table.name}, row {line}"
            split = cells[table.split] if table.split >= 0 else table.part if many else ""
            if split:
                part = given_part(split)
                if part is None:
                    raise UserError(
                        f"layout: {where}: {split!r} in column {table.column(table.split)!r} is none of "
                        "train, validation and test; choose another with layout.split_column"
                    )
                split = part
            group = cells[table.group] if table.group >= 0 else ""
            found = finder.find(cells[table.path], table, label)
            told = (label or None, split or None, group or None)
            if found is None:
                rows.add(
                    _clean(cells[table.path]), *told, f"missing: named in {where}, and not there"
                )
            elif isinstance(found, list):
                few = _few([finder.files[i] for i in found])
                rows.add(
                    _clean(cells[table.path]),
                    *told,
                    f"missing: {where} may mean several files: {few}",
                )
            elif found in first:
                before = rows.label[first[found][0]]
                rows.add(
                    finder.files[found], *told, f"duplicate path: in {first[found][1]} and {where}"
                )
                if before != told[0]:
                    clashes.add(found)
                    rows.trouble[-1] += f", with the labels {before!r} and {told[0]!r}"
                    rows.trouble[first[found][0]] = rows.trouble[-1]
            else:
                first[found] = (len(rows.path), where)
                rows.add(finder.files[found], *told)
    labels = {label for label in rows.label if label is not None}
    names = _and([t.name for t in tables])
    columns = (
        "one column per label" if tables[0].onehot else repr(tables[0].column(tables[0].label))
    )
    said = f"{len(labels)} labels from {names} (paths in {tables[0].column(tables[0].path)!r}, labels in {columns}"
    if tables[0].split >= 0:
        said += f", splits in {tables[0].column(tables[0].split)!r}"
    if tables[0].group >= 0:
        said += f", groups in {tables[0].column(tables[0].group)!r}"
    rows.said.append(f"{said}; {len(rows.path):,} rows)")
    if not any(rows.split) and cfg["split"] is None:
        _splits_by_folder(rows)
    _without_row(finder, rows, set(first), listing)
    return rows


def _splits_by_folder(rows: _Rows) -> None:
    """Given parts by the folders of the files, where the table itself gives none."""
    parts: dict[str, str | None] = {}
    for path in rows.path:
        folder = path.rpartition("/")[0]
        if folder not in parts:
            found = (given_part(p) for p in folder.split("/") if p)
            parts[folder] = next((p for p in found if p), None)
    found_parts = {p for p in parts.values() if p}
    if len(found_parts) > 1:
        rows.split = [parts[p.rpartition("/")[0]] for p in rows.path]
        rows.said.append("splits from the folders' names")


def _without_row(finder: _Finder, rows: _Rows, named: set[int], listing: _Listing) -> None:
    """Images that no table names: rows without a label, unless their whole folder has none."""
    used = {finder.files[i].rpartition("/")[0] for i in named}
    left: Counter[str] = Counter()
    for i, path in enumerate(finder.files):
        if i in named:
            continue
        folder = path.rpartition("/")[0]
        if i >= len(listing.images):
            rows.ignored += 1
        elif folder in used:
            rows.add(path, None)
        else:
            left[folder] += 1
            rows.ignored += 1
    rows.said += _left_out(sorted(left.items()), "not in the table")


# ---------------------------------------------------------------- expressions


def _by_pattern(listing: _Listing, cfg: dict[str, Any]) -> _Rows:
    expression = re.compile(cfg["label"])
    rows = _Rows("pattern")
    for path in listing.images:
        rows.add(path, _group_1(expression, path))
    for path in listing.unknown:
        label = _group_1(expression, path)
        if label is None:
            rows.ignored += 1
        else:
            rows.add(path, label)
    labels = sorted({label for label in rows.label if label is not None})
    if not labels:
        raise UserError(
            f"layout.label: the expression {cfg['label']!r} matches no path{listing.seen()}"
        )
    rows.said.append(
        f"{len(labels)} labels by the expression {cfg['label']!r} ({_few(labels)}; {len(rows.path):,} files)"
    )
    return rows


def _group_1(expression: re.Pattern[str], path: str) -> str | None:
    found = expression.search(path)
    return found[1] or None if found else None


def _splits_by_pattern(paths: list[str], pattern: str) -> list[str | None]:
    expression = re.compile(pattern)
    known: dict[str, str | None] = {}
    out: list[str | None] = []
    for path in paths:
        word = _group_1(expression, path)
        if word is None:
            out.append(None)
            continue
        if word not in known:
            known[word] = given_part(word)
            if known[word] is None:
                raise UserError(
                    f"layout.split: the expression {pattern!r} finds {word!r} in {path!r}, which is none of "
                    "train, validation and test under any of their names"
                )
        out.append(known[word])
    if not any(out):
        raise UserError(
            f"layout.split: the expression {pattern!r} matches no path, for example {paths[0]!r}"
        )
    return out


# ---------------------------------------------------------------- the end


def _finish(listing: _Listing, rows: _Rows) -> Recognised:
    labels = sorted({label for label in rows.label if label is not None})
    if len(labels) < 2:
        count = sum(label is not None for label in rows.label)
        only = (
            f"only one label was found, {labels[0]!r} ({count:,} files)" if labels else "no labels"
        )
        raise UserError(
            f"layout: {only}{listing.seen()}: at least two classes are needed to tell apart; "
            "check the source, layout.root, or set layout.label"
        )
    said = list(rows.said)
    if any(rows.split):
        parts = Counter(s for s in rows.split if s)
        given = ", ".join(f"{p} {parts[p]:,}" for p in _PARTS if parts[p])
        said.append(f"given split: {given}")
    if any(rows.group):
        groups = {g for g in rows.group if g is not None}
        alone = sum(g is None for g in rows.group)
        said.append(f"{len(groups):,} groups" + (f", {alone:,} files in none" if alone else ""))
    if listing.globbed:
        said.append(f"{listing.globbed:,} files left out by layout.ignore")
    said += [f"the pattern {p!r} of layout.ignore matches nothing" for p in listing.unmatched]
    if listing.outside:
        said.append(f"{listing.outside:,} files outside {listing.root} left out")
    ignored = rows.ignored + listing.globbed + listing.outside + len(listing.companions)
    order = sorted(range(len(rows.path)), key=rows.path.__getitem__)
    return Recognised(
        rows.kind,
        [rows.path[i] for i in order],
        [rows.label[i] for i in order],
        [rows.split[i] for i in order],
        [rows.group[i] for i in order],
        [rows.trouble[i] for i in order],
        "; ".join(said),
        ignored,
    )


def _left_out(folders: list[tuple[str, int]], why: str) -> list[str]:
    if not folders:
        return []
    total = sum(n for _, n in folders)
    names = _few([f"{path or '.'}/" for path, _ in folders], 3, quote=False)
    return [f"left out: {names} ({total:,} images, {why})"]


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _few(values: Iterable[str], most: int = 5, quote: bool = False) -> str:
    values = list(values)
    shown = [repr(v) if quote else v for v in values[:most]]
    return ", ".join(shown) + (f", … {len(values) - most} more" if len(values) > most else "")
