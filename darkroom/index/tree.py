"""The folders of a listing as a tree, with the images that lie in each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator

from darkroom.errors import UserError
from darkroom.index.listing import Listing

_DEEPEST = 100


class Node:
    """A folder with images somewhere below it.

    Attributes
    ----------
    name, path : of the folder.
    children : folders in it, by name.
    direct : paths of the images in it.
    total : images in it and below.
    """

    __slots__ = ("children", "direct", "name", "path", "total")

    def __init__(self, name: str, path: str) -> None:
        self.name, self.path = name, path
        self.children: dict[str, Node] = {}
        self.direct: list[str] = []
        self.total = 0

    def below(self) -> Iterator[Node]:
        """This folder and all below it."""
        yield self
        for child in self.children.values():
            yield from child.below()

    def files(self) -> list[str]:
        """Paths of all images in it and below."""
        return [path for node in self.below() for path in node.direct]


def tree(listing: Listing, but: Collection[str] = ()) -> Node:
    """The top folder of a listing.

    Parameters
    ----------
    listing : the files.
    but : a set of images that are left out.

    Raises
    ------
    UserError
        Folders are nested too deeply.
    """
    by_folder: dict[str, list[str]] = defaultdict(list)
    for path in listing.images:
        if path in but:
            continue
        by_folder[path.rpartition("/")[0]].append(path)
    top = Node("", listing.root.rstrip("/"))
    for folder, files in by_folder.items():
        node = top
        node.total += len(files)
        inner = folder[len(listing.root) :]
        if inner.count("/") > _DEEPEST:
            raise UserError(
                f"layout: {inner[:60]}… lies more than {_DEEPEST} folders deep: set layout.root to the "
                "folder that holds the class folders"
            )
        for name in inner.split("/") if inner else []:
            child = node.children.get(name)
            if child is None:
                path = f"{node.path}/{name}" if node.path else name
                child = node.children[name] = Node(name, path)
            node = child
            node.total += len(files)
        node.direct = files
    return top


def skip_wrappers(node: Node, known: frozenset[str] = frozenset()) -> Node:
    """The first folder, from here down, with several entries; folders named in `known` are kept."""
    while len(node.children) == 1 and 10 * len(node.direct) <= node.total:
        (child,) = node.children.values()
        if child.name in known:
            break
        node = child
    return node
