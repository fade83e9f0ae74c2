"""Labels and given splits from class folders, or from the beginnings of file names."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from darkroom.errors import UserError
from darkroom.index.listing import (
    Listing,
    Rows,
    few,
    given_part,
    joined,
    left_out,
    part_and_rest,
    words,
)

_GENERIC = frozenset(
    words(
        """
        images image imgs img jpg jpeg jpegs png pngs pictures picture pics photos photo data dataset
        datasets files file all raw part batch chunk folder shard vol volume fold input inputs
        """
    )
)
_MASKS = frozenset(
    words(
        """
        mask masks label labels annotation annotations segmentation segmentations ground_truth
        groundtruth gt trimap trimaps
        """
    )
)
_FLAT = re.compile(r"^(.*?[^\W\d_].*?)[\s._\-]*\(?\d+\)?$")


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
class _Labelling:
    """The labels of one subtree: by folder, or by file name."""

    by: str  # folders or names
    labels: dict[str, str]  # folder path -> label; or prefix -> label for names
    top: _Node
    out: list[_Node] = field(default_factory=list)


def _tree(listing: Listing) -> _Node:
    by_folder: dict[str, list[str]] = defaultdict(list)
    for path in listing.images:
        by_folder[path.rpartition("/")[0]].append(path)
    top = _Node("", listing.root.rstrip("/"))
    for folder, files in by_folder.items():
        node = top
        node.total += len(files)
        inner = folder[len(listing.root) :]
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
    """Skip wrapper folders, down to the first folder with several entries."""
    while len(node.children) == 1 and 10 * len(node.direct) <= node.total:
        (child,) = node.children.values()
        if child.name in known:
            break
        node = child
    return node


def refuse_one_class(listing: Listing) -> None:
    """Raise a specific error where the listing has a single class folder."""
    folders = {p.rpartition("/")[0] for p in listing.images}
    names = {f.rpartition("/")[2] for f in folders}
    if len(names) == 1 and folders != {""}:
        where = few([f"{f}/" for f in sorted(folders)])
        raise UserError(
            f"layout: only one class folder was found, {where} ({len(listing.images):,} images): at "
            "least two classes are needed; if file names or a CSV contain the label, set "
            "layout.label to a regular expression, or layout.table"
        )


def by_folders(listing: Listing, required: bool) -> Rows | None:
    """Rows by class folders, below or above split folders; None where there are none."""
    tree = _descend(_tree(listing))
    rows = Rows("folders")
    splits, left = _split_folders(tree)
    turned = None
    if splits:
        read = _read_splits([node for node, _ in splits], required)
        if not read:
            return None
        left += [node for node, _ in splits if node not in read]
        splits = [(node, part) for node, part in splits if node in read]
        given = len({part for _, part in splits}) > 1
        for node, part in splits:
            _add(rows, node, read[node], part if given else None)
        readings = list(read.values())
        where = joined([f"{node.path}/" for node in read])
    else:
        reading = _classes(tree, frozenset(), required)
        if reading is None:
            return None
        turned = _class_then_split(reading)
        _add(rows, tree, reading, None, turned)
        readings = [reading]
        where = f"{reading.top.path}/" if reading.top.path else ""
    _unknown_in_classes(listing, rows, readings)
    kinds = {r.by for r in readings}
    labels = rows.labels
    if kinds == {"names"}:
        what = f"labels from the beginnings of the file names ({few(labels)})"
    elif "names" in kinds:
        what = f"{len(labels)} labels from class folders and file names"
    else:
        what = f"{len(labels)} class folders"
    if where:
        what += f" below {where}"
    if turned:
        names = sorted({path.rpartition("/")[2] for path in turned})
        what += f", each above {joined([f'{name}/' for name in names])}"
    left += [node for r in readings for node in r.out]
    rows.ignored += sum(node.total for node in left)
    out = {path for node in left for inner in node.below() for path in inner.direct}
    for path in set(listing.images) - out - set(rows.path):
        rows.add(path, None)  # beside the class folders
    rows.sentences.append(f"{what} ({len(rows.path):,} files)")
    rows.sentences += left_out([(node.path, node.total) for node in left], "no label")
    return rows


def _split_folders(tree: _Node) -> tuple[list[tuple[_Node, str]], list[_Node]]:
    """Child folders that are given parts, and their siblings, which are left out."""
    children = list(tree.children.values())
    named = [(c, *part_and_rest(c.name)) for c in children]
    loose = {c: part for c, part, _ in named if part}
    exact = {c: part for c, part, rest in named if part and not rest}
    rests = {rest for _, part, rest in named if part}
    if len(set(exact.values())) > 1:
        chosen = exact
    elif len(set(loose.values())) > 1 and (len(rests) == 1 or len(loose) == len(children)):
        chosen = loose
    elif all(_descend(c).children if c in exact else not c.children for c in children):
        chosen = exact  # a train folder of class folders beside folders without any
    else:
        chosen = {}
    return list(chosen.items()), [c for c in children if c not in chosen] if chosen else []


def _read_splits(nodes: list[_Node], required: bool) -> dict[_Node, _Labelling]:
    """Labels below each split folder; split folders without labels are omitted."""
    rests = [part_and_rest(node.name)[1] for node in nodes]
    if all(rests) and len(set(rests)) > 1:  # train_cat, train_dog, test_cat, ...
        return {
            node: _Labelling("folders", {node.path: rest}, node)
            for node, rest in zip(nodes, rests, strict=True)
        }
    readings = [_classes(node, frozenset(), required) for node in nodes]
    known = frozenset(
        label for r in readings if r and r.by == "folders" for label in r.labels.values()
    )
    # A split with one class folder looks like a wrapper unless its class is known.
    readings = [r or _classes(n, known, required) for n, r in zip(nodes, readings, strict=True)]
    return {n: r for n, r in zip(nodes, readings, strict=True) if r}


def _classes(node: _Node, known: frozenset[str], required: bool) -> _Labelling | None:
    """Class folders below a folder, or labels in its file names, or None.

    `known`: class names of other parts. `required`: the settings set kind to folders.
    """
    node = _descend(node, known)
    children = list(node.children.values())
    shards = _are_shards([c.name for c in children])
    if children and not shards and 2 * len(node.direct) <= node.total:
        if len(children) == 1 and children[0].name not in known:
            return None
        out = [n for child in children for n in _masks(child)]
        return _Labelling("folders", {c.path: c.name for c in children}, node, out)
    out = [c for c in children if c.name.lower() in _MASKS]
    skip = {n for o in out for n in o.below()}
    prefixes = _prefixes([p for n in node.below() if n not in skip for p in n.direct])
    if prefixes:
        return _Labelling("names", prefixes, node, out)
    if required and len(children) - len(out) > 1:
        return _Labelling("folders", {c.path: c.name for c in children if c not in out}, node, out)
    return None


def _are_shards(names: list[str]) -> bool:
    """Storage folders, not classes: images and masks, images_001, HAM10000_images_part_1."""
    pieces = [[w for w in re.split(r"[^a-z]+", n.lower()) if w] for n in names]
    if not all(pieces):
        return False
    if all(
        n.lower() in _MASKS or all(w in _GENERIC for w in ws)
        for n, ws in zip(names, pieces, strict=True)
    ):
        return True
    return len(names) > 1 and all(ws == pieces[0] for ws in pieces) and pieces[0][-1] in _GENERIC


def _masks(child: _Node) -> list[_Node]:
    """Mask folders within a class folder that has images beside them."""
    inner = child.children
    found = [n for name, n in inner.items() if name.lower() in _MASKS]
    return found if len(found) < len(inner) or child.direct else []


def _class_then_split(reading: _Labelling) -> dict[str, str] | None:
    """Given part by folder where each class folder holds split folders."""
    if reading.by != "folders":
        return None
    parts: dict[str, str] = {}
    for child in reading.top.children.values():
        for inner in child.children.values():
            part = given_part(inner.name)
            if part is not None:
                parts[inner.path] = part
            elif inner not in reading.out:
                return None
        if child.direct:
            return None
    return parts if len(set(parts.values())) > 1 else None


def _prefixes(files: list[str]) -> dict[str, str]:
    """Labels from prefixes of file names such as cat.12.jpg; empty where there are none."""
    counts = Counter(filter(None, map(_prefix, files)))
    total = counts.total()
    if len(counts) < 2 or total < 0.98 * len(files) or len(counts) > total / 2:
        return {}
    return {prefix: prefix for prefix in counts}


def _prefix(path: str) -> str:
    found = _FLAT.match(path.rpartition("/")[2].rpartition(".")[0])
    return found[1].strip(" ._-(") if found else ""


def _add(
    rows: Rows,
    top: _Node,
    reading: _Labelling,
    part: str | None,
    turned: dict[str, str] | None = None,
) -> None:
    skip = set(reading.out)

    def walk(node: _Node, label: str | None, part: str | None) -> None:
        if node in skip:
            return
        if reading.by == "folders":
            label = reading.labels.get(node.path, label)
        if turned:
            part = turned.get(node.path, part)
        for path in node.direct:
            named = label if reading.by == "folders" else reading.labels.get(_prefix(path))
            rows.add(path, named, part)
        for child in node.children.values():
            walk(child, label, part)

    walk(top, None, part)


def _unknown_in_classes(listing: Listing, rows: Rows, readings: list[_Labelling]) -> None:
    """Add files of unknown type inside a class folder as rows: their content decides."""
    labels = {f: label for r in readings if r.by == "folders" for f, label in r.labels.items()}
    parts = {p.rpartition("/")[0]: part for p, part in zip(rows.path, rows.split, strict=True)}
    for path in listing.unknown:
        folder, found = "", None
        for piece in path.split("/")[:-1]:
            folder = f"{folder}/{piece}" if folder else piece
            found = labels.get(folder, found)
        if found is None:
            rows.ignored += 1
        else:
            rows.add(path, found, parts.get(folder))
