"""Labels and given splits from class folders, or from the beginnings of file names.

The rule: class folders are the lowest level of folders whose names come again below their
siblings; else the first level with several folders. A level above them is a split where its
words say so; else a source (sites, versions, dates), or patients, which are kept together in a
split. What the names leave open is a `doubt`, with the setting for each reading.
docs/data.md has examples.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from darkroom.errors import UserError
from darkroom.index import folder_names
from darkroom.index.expressions import suggestion
from darkroom.index.folder_names import MASKS, beside_pictures, plain
from darkroom.index.listing import Listing, Rows, few, given_part, joined, left_out, part_and_rest
from darkroom.index.tree import Node, skip_wrappers, tree

_FLAT = re.compile(r"^(.*?[^\W\d_].*?)[\s._\-]*\(?\d+\)?$")
_ALIKE = 0.7  # of all pairs of upper and lower names that exist where two levels are crossed


@dataclass(frozen=True)
class _Class:
    """A folder whose images have one label, or labels in their file names (`prefixes`)."""

    node: Node
    label: str | None
    part: str | None = None
    group: str | None = None
    source: str | None = None  # folder above, where equal names below such folders are one group
    prefixes: frozenset[str] = frozenset()


@dataclass
class _Reading:
    """The classes of a subtree.

    Attributes
    ----------
    tops : folders that hold the class folders.
    out : folders that are left out, with the reason.
    notes, warnings : for the log.
    doubt : why this reading must not be taken by itself, and what to set; else empty.
    """

    classes: list[_Class]
    tops: list[Node]
    out: list[tuple[Node, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    doubt: str = ""

    @property
    def labels(self) -> set[str]:
        return {c.label for c in self.classes if c.label}.union(*(c.prefixes for c in self.classes))

    def add(self, other: _Reading) -> None:
        """Add what was read elsewhere."""
        self.classes += other.classes
        self.tops += other.tops
        self.out += other.out
        self.notes += other.notes
        self.warnings += other.warnings
        self.doubt = self.doubt or other.doubt


def refuse_one_class(listing: Listing) -> None:
    """Raise a specific error where the listing has a single class folder."""
    folders = {p.rpartition("/")[0] for p in listing.images}
    names = {f.rpartition("/")[2] for f in folders}
    if len(names) == 1 and folders != {""}:
        where = few([f"{f}/" for f in sorted(folders)])
        raise UserError(
            f"layout: only one class folder was found, {where} ({len(listing.images):,} images): at "
            "least two classes are needed; if file names or a CSV contain the label, set "
            f"layout.label to a regular expression, or layout.table{suggestion(listing.images)}{listing.unread()}"
        )


def by_folders(listing: Listing, required: bool, level: str = "auto") -> Rows | None:
    """Rows by class folders, below or above split folders; None where there are none.

    Parameters
    ----------
    listing : the files.
    required : the settings ask for class folders: their names are not doubted.
    level : auto, or which of two possible levels of folders are the classes: outer, inner.

    Returns
    -------
    The rows. `Rows.doubt` is set where the names allow another reading.
    """
    masks = set[str]() if required else beside_pictures(listing.images)
    reader = _Reader(level, required)
    reading = reader.read(tree(listing, masks))
    if reading is None:
        return None
    rows = Rows("folders", doubt=reading.doubt, warnings=reading.warnings)
    rows.choose = "layout: {kind: folders}"
    folders = [c.node.name for c in reading.classes if c.label]
    rows.weak = not folders or (
        folder_names.storage(folders) or folder_names.numbered(list(dict.fromkeys(folders)))
    )
    skip = {node for node, _ in reading.out}
    for c in reading.classes:
        _add(rows, c, skip)
    _unknown_in_classes(listing, rows, reading)
    rows.ignored += sum(node.total for node in skip)
    out = {path for node in skip for path in node.files()}
    for path in set(listing.images) - out - masks - set(rows.path):
        rows.add(path, None)  # beside the class folders
    rows.ignored += len(masks)
    rows.sentences.append(f"{_what(reading, rows.labels)} ({len(rows.path):,} files)")
    rows.sentences += reading.notes
    for why in dict.fromkeys(why for _, why in reading.out):
        rows.sentences += left_out([(n.path, n.total) for n, w in reading.out if w == why], why)
    if masks:
        rows.sentences.append(
            f"left out: {len(masks):,} images that are by their names masks of the pictures beside them "
            f"(such as {min(masks)}; layout: {{kind: folders}} takes them)"
        )
    return rows


def _what(reading: _Reading, labels: list[str]) -> str:
    kinds = {"names" if c.prefixes else "folders" for c in reading.classes}
    if kinds == {"names"}:
        return f"labels from the beginnings of the file names ({few(labels)})"
    what = f"{len(labels)} class folders"
    if "names" in kinds:
        what = f"{len(labels)} labels from class folders and file names"
    tops = [f"{top.path}/" for top in reading.tops if top.path]
    return f"{what} below {joined(tops[:6])}{', …' * (len(tops) > 6)}" if tops else what


class _Reader:
    """Reads a tree by the settings."""

    def __init__(self, level: str, required: bool) -> None:
        self.level, self.required = level, required

    def read(self, node: Node, known: frozenset[str] = frozenset()) -> _Reading | None:
        """By folders; where there are none, by the beginnings of file names."""
        return self.folders(node, known, names=True) or self.names(node, known)

    def folders(
        self, node: Node, known: frozenset[str] = frozenset(), names: bool = False
    ) -> _Reading | None:
        """Class folders of a subtree.

        Parameters
        ----------
        known : classes of other parts: a folder of such a name is no wrapper.
        names : whether split and source folders may have their labels in file names.
        """
        node = skip_wrappers(node, known)
        children = list(node.children.values())
        inner = {c: r for c in children if (r := self.folders(c))}
        parts = _part_folders(children, inner)
        if parts:
            return self.parts(parts, [c for c in children if c not in parts], inner, names)
        if not children or 2 * len(node.direct) > node.total:
            return None
        if len(children) == 1 and plain(children[0].name) not in known:
            return None
        found = self.repeated(children, inner) or self.sources(node, children, inner, names)
        if found is None and not folder_names.shards([c.name for c in children]):
            found = self.classes(node, children)
            times = Counter(label for r in inner.values() for label in r.labels)
            shared = sorted(label for label, n in times.items() if n > 1)
            if shared and self.level == "auto" and not folder_names.storage(shared):
                found.warnings.append(
                    f"folders of one name lie in several class folders ({few(shared, 3)}): if they are the "
                    "classes, set layout.class_level to inner"
                )
        return found

    def parts(
        self,
        parts: Mapping[Node, str],
        beside: list[Node],
        inner: Mapping[Node, _Reading],
        names: bool,
    ) -> _Reading | None:
        """The classes below split folders; those without labels are left out."""
        rests = {node: part_and_rest(node.name)[1] for node in parts}
        if all(rests.values()) and len(set(rests.values())) > 1 and not any(map(inner.get, parts)):
            # train_cat, train_dog, test_cat, ...
            read = {n: _Reading([_Class(n, rest)], []) for n, rest in rests.items()}
        else:
            method = self.read if names else self.folders
            found = {node: method(node) for node in parts}
            read = {}
            for node, own in found.items():
                known = set[str]().union(*(r.labels for n, r in found.items() if r and n != node))
                # A split with one class folder looks like a wrapper unless its class is known.
                again = (
                    method(node, frozenset(known)) if own is None or not own.labels & known else own
                )
                if reading := again or own:
                    read[node] = reading
        if not read:
            return None
        given = len({parts[node] for node in read}) > 1
        all_of = _Reading([], [])
        for node, reading in read.items():
            part = parts[node] if given else None
            reading.classes = [replace(c, part=part) for c in reading.classes]
            reading.tops = [node]
            all_of.add(reading)
        all_of.out += [(node, "no label") for node in parts if node not in read]
        for node in beside:
            all_of.out.append((node, "beside the split folders" if node in inner else "no label"))
            alike = node in inner and inner[node].labels & all_of.labels
            if given and alike and "train" not in parts.values() and not self.required:
                all_of.doubt = (
                    f"{joined([f'{n.path}/' for n in read])} are parts of a split, none is the training part, "
                    f"and {node.path}/ has the same class folders: rename it train/ if it is that, or set "
                    f"layout.ignore: ['{node.name}'] to leave it out"
                )
        return all_of

    def repeated(self, children: list[Node], inner: Mapping[Node, _Reading]) -> _Reading | None:
        """Class folders beside a folder that holds all of them again."""
        for child in children:
            others = [c for c in children if c != child]
            below = [_Class(c, plain(c.name)) for c in child.children.values()]
            reading = inner.get(child) or _Reading(below, [child])
            if (
                child.direct
                or not reading.labels
                or not reading.labels <= {plain(c.name) for c in others}
            ):
                continue
            found = self.classes(child, others)
            names = {p[len(o.path) - len(o.name) :] for o in others for p in o.files()}
            again = sum(p[len(child.path) + 1 :] in names for p in child.files())
            if 2 * again >= child.total:
                found.out.append((child, "the class folders and file names of its parent again"))
            else:
                found.add(reading)
                found.notes.append(f"{child.path}/ has more images of the same classes")
            found.tops = []
            return found
        return None

    def sources(
        self, node: Node, children: list[Node], inner: Mapping[Node, _Reading], names: bool
    ) -> _Reading | None:
        """The classes below a level that is no class; None where the children are the classes."""
        upper = [c.name for c in children]
        deep = {c: r for c, r in inner.items() if c.name.casefold() not in MASKS}
        if names and not deep and folder_names.storage(upper):
            by_name = {c: r for c in children if (r := self.names(c))}
            if len(by_name) == len(children) > 1 and _crossed(by_name) >= _ALIKE:
                deep = by_name
        if len(deep) == 1 and self.level != "outer":
            ((child, reading),) = deep.items()
            others = [c for c in children if c != child]
            alone = bool(others) and all(folder_names.unlabelled(c.name) for c in others)
            if len(reading.labels) > 1 and (alone or folder_names.shards([child.name])):
                reading.out += [(c, "no class folders in it") for c in others]
                return reading
        doubt = ""
        if self.level == "outer" or not deep:
            return None
        if whole := _beside_its_split(deep):
            (split,) = set(deep) - set(whole)
            why = f"the same classes as in {split.path}/, without its split"
            deep[split].out += [(c, why) for c in whole]
            deep[split].out += [(c, "no class folders in it") for c in children if c not in deep]
            return deep[split]
        classes = frozenset[str]().union(*(r.labels for r in deep.values()))
        for child in children:  # a patient with one class, say
            single = None if child in inner or child in deep else self.folders(child, classes)
            if single is not None:
                deep[child] = single
        if self.level == "auto":
            below = sorted(set[str]().union(*(r.labels for r in deep.values())))
            above = [c.name for c in deep]
            alike = _crossed(deep)
            outer, lower = folder_names.storage(above), folder_names.storage(below)
            if not alike and not (outer and len(deep) == len(children)):
                return None
            if lower and not outer:
                return None
            if outer == lower or not alike:
                if alike < _ALIKE and not outer:
                    return None
                doubt = (
                    f"two levels of folders could be the classes, {few(above, 3)} or, in each of "
                    f"them, {few(below, 3)}: set layout.class_level to outer or to inner"
                )
        found = _Reading([], [], doubt=doubt)
        again = _again(deep)
        found.out += [(c, "the same class folders and file names again") for c in again]
        deep = {c: r for c, r in deep.items() if c not in again}
        for child, reading in deep.items():
            if folder_names.groups([child.name]):
                reading.classes = [replace(c, group=child.path) for c in reading.classes]
            elif _same_files(deep) and folder_names.versions([c.name for c in deep]):
                reading.classes = [replace(c, source=child.path) for c in reading.classes]
            found.add(reading)
        found.out += [(c, "no class folders in it") for c in children if c not in {*deep, *again}]
        found.tops = [node]
        if len(deep) == 1:
            return found
        listed = joined([f"{c.name}/" for c in list(deep)[:3]]) + " …" * (len(deep) > 3)
        found.notes.append(f"{listed} are no classes: the same class folders lie in each")
        if any(c.source for c in found.classes):
            found.notes.append("images of one name in them stay in one part of a split")
        elif folder_names.versions([c.name for c in deep]):
            found.warnings.append(
                f"{listed} may hold the same images twice, and a split would part them: set group to "
                "an expression on what their names share, or layout.root to one of the folders"
            )
        return found

    def classes(self, node: Node, children: list[Node]) -> _Reading:
        """The children are the class folders."""
        found = _Reading([], [node])
        for child in children:
            inner = child.children
            masks = [n for name, n in inner.items() if name.casefold() in MASKS]
            if len(masks) < len(inner) or child.direct:
                found.out += [(mask, "no label") for mask in masks]
        skip = {n for n, _ in found.out}
        turned = _class_then_split(children, skip)
        if turned:
            found.classes = turned
            names = sorted({c.node.name for c in turned})
            found.notes.append(f"each above {joined([f'{name}/' for name in names])}")
            return found
        found.classes = [c for child in children for c in _versions_below(child)]
        if any(c.source for c in found.classes):
            found.notes.append(
                "images of one name in the folders below a class stay in one part of a split"
            )
        if self.required:
            return found
        odd = [c for c in children if folder_names.unlabelled(c.name)]
        if len(odd) < len(children) - 1 and (odd := [c for c in odd if not c.children]):
            name = odd[0].name
            found.doubt = (
                f"{odd[0].path}/ stands beside the class folders, and is by its name no class: set "
                f"layout.ignore: ['{name}'] to leave it out, or layout.kind: folders to take it as one"
            )
        elif folder_names.no_classes([c.name for c in children]):
            found.doubt = (
                f"the folders {few([c.name for c in children], 3)} are by their names no classes: set "
                "layout.label, layout.table or, if they are, layout.kind: folders"
            )
        return found

    def names(self, node: Node, known: frozenset[str] = frozenset()) -> _Reading | None:
        """Labels from the beginnings of file names; class folders of any name where required."""
        node = skip_wrappers(node, known)
        children = list(node.children.values())
        out = [c for c in children if c.name.casefold() in MASKS]
        skip = {n for o in out for n in o.below()}
        files = [p for n in node.below() if n not in skip for p in n.direct]
        if prefixes := _prefixes(files):
            return _Reading(
                [_Class(node, None, prefixes=prefixes)], [node], [(o, "no label") for o in out]
            )
        if self.required and len(children) - len(out) > 1:
            found = self.classes(node, [c for c in children if c not in out])
            found.out += [(o, "no label") for o in out]
            return found
        return None


def _part_folders(children: list[Node], inner: Mapping[Node, _Reading]) -> dict[Node, str]:
    """The given part of each child that is a split folder; empty where there are none."""
    named = [(c, *part_and_rest(plain(c.name))) for c in children]
    loose = {c: part for c, part, _ in named if part}
    exact = {c: part for c, part, rest in named if part and not rest}
    rests = {rest for _, part, rest in named if part}
    if len(set(exact.values())) > 1:
        return exact
    if len(set(loose.values())) > 1:
        deep = {c: inner[c] for c in loose if c in inner}
        if len(rests) == 1 or len(loose) == len(children) or _crossed(deep):
            return loose
    if exact and all((c in exact) == (c in inner) for c in children):
        return exact  # a train folder of class folders beside folders without any
    return {}


def _crossed(deep: Mapping[Node, _Reading]) -> float:
    """How far the same classes lie in each folder: 1 where all do, 0 where no two share one."""
    times = Counter(label for reading in deep.values() for label in reading.labels)
    if len(deep) < 2 or len(times) < 2 or max(times.values()) < 2:
        return 0.0
    return times.total() / (len(deep) * len(times))


def _beside_its_split(deep: Mapping[Node, _Reading]) -> list[Node]:
    """Folders of the same classes beside the one that has a split: what was split, so its copies."""
    split = [node for node, reading in deep.items() if any(c.part for c in reading.classes)]
    whole = [node for node in deep if node not in split]
    same = len(split) == 1 and all(deep[c].labels <= deep[split[0]].labels for c in whole)
    return whole if same else []


def _again(deep: Mapping[Node, _Reading]) -> list[Node]:
    """Folders of one name, but for its case, that hold the files of an earlier one again."""
    first: dict[str, set[tuple[str | None, str]]] = {}
    again = []
    for child, reading in deep.items():
        files = {(c.label, p.rpartition("/")[2]) for c in reading.classes for p in c.node.files()}
        before = first.setdefault(child.name.casefold(), files)
        if before is not files and 2 * len(before & files) >= len(files):
            again.append(child)
    return again


def _same_files(deep: Collection[Node]) -> bool:
    """Whether folders hold files of the same names: at least half of the smallest one's."""
    inside = [{p[len(c.path) :] for p in c.files()} for c in deep]
    times = Counter(name for names in inside for name in names)
    return 2 * sum(n > 1 for n in times.values()) >= min(map(len, inside))


def _versions_below(child: Node) -> list[_Class]:
    """A class folder; or the folders in it, where these hold versions of the same images."""
    label = plain(child.name)
    inner = [n for name, n in child.children.items() if name.casefold() not in MASKS]
    versions = len(inner) > 1 and folder_names.versions([n.name for n in inner])
    if versions and not child.direct and _same_files(inner):
        return [_Class(n, label, source=n.path) for n in inner]
    return [_Class(child, label)]


def _class_then_split(children: list[Node], skip: set[Node]) -> list[_Class] | None:
    """The split folders in class folders, where each class folder holds nothing else."""
    found = []
    for child in children:
        for inner in child.children.values():
            part = given_part(inner.name)
            if part is not None:
                found.append(_Class(inner, plain(child.name), part))
            elif inner not in skip:
                return None
        if child.direct:
            return None
    return found if len({c.part for c in found}) > 1 else None


def _prefixes(files: list[str]) -> frozenset[str]:
    """Labels from prefixes of file names such as cat.12.jpg; empty where there are none."""
    counts = Counter(filter(None, map(_prefix, files)))
    total = counts.total()
    odd = [name for name in counts if given_part(name) or folder_names.generic(name)]
    if len(odd) == len(counts) or 2 * sum(counts[name] for name in odd if len(name) > 1) > total:
        return frozenset()  # names of cameras and messengers
    if len(counts) < 2 or total < 0.98 * len(files) or len(counts) > total / 2:
        return frozenset()
    return frozenset(counts)


def _prefix(path: str) -> str:
    found = _FLAT.match(path.rpartition("/")[2].rpartition(".")[0])
    return found[1].strip(" ._-(") if found else ""


def _add(rows: Rows, c: _Class, skip: set[Node]) -> None:
    """Add the images of a class folder."""
    todo = [c.node]
    while todo:
        node = todo.pop()
        if node in skip:
            continue
        for path in node.direct:
            label = c.label
            if c.prefixes:
                label = prefix if (prefix := _prefix(path)) in c.prefixes else None
            group = f"{c.label}/{path[len(c.source) + 1 :]}" if c.source else c.group
            rows.add(path, label, c.part, group)
        todo += node.children.values()


def _unknown_in_classes(listing: Listing, rows: Rows, reading: _Reading) -> None:
    """Add files of unknown type inside a class folder as rows: their content decides."""
    classes = {c.node.path: c for c in reading.classes if c.label}
    for path in listing.unknown:
        folder, found = "", None
        for piece in path.split("/")[:-1]:
            folder = f"{folder}/{piece}" if folder else piece
            found = classes.get(folder, found)
        if found is None:
            rows.ignored += 1
        else:
            rows.add(path, found.label, found.part, found.group)
