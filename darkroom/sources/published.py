"""Which files of a source are images in arrays: MNIST's, CIFAR's and their kin.

`claimed` goes by names alone, and imports nothing but the standard library: it is called while
the Snakefile is read. `find` looks into the files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from darkroom.errors import UserError, nearest
from darkroom.sources import cifar, idx
from darkroom.sources.arrays import Arrays

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
CIFAR_FILES = {
    *("test_batch", "test_batch.bin", "batches.meta", "batches.meta.txt"),
    *("train.bin", "test.bin", "fine_label_names.txt", "coarse_label_names.txt"),
}


def is_array_file(name: str) -> bool:
    """Whether a file by its name alone belongs to a data set of array files."""
    return bool(idx.NAME.match(name) or cifar.TRAINING.match(name) or name in CIFAR_FILES)


def claimed(paths: Iterable[str]) -> bool:
    """Whether a listing may be one of array files, by names alone.

    It is not where there are more pictures than array files: then they are its images.
    """
    return bool(_folders(list(paths)))


def _folders(paths: list[str]) -> dict[str, dict[str, str]]:
    """Folder -> name -> path, of all files in folders that hold array files."""
    text = "\n".join(paths).lower()
    if not any(word in text for word in ("image", "label", "data_batch", "meta")):
        return {}  # the usual case, at the price of one look
    folders: dict[str, dict[str, str]] = defaultdict(dict)
    pictures = count = 0
    for path in paths:
        folder, _, name = path.rpartition("/")
        if name.lower().endswith(PICTURES):
            pictures += 1
        else:
            folders[folder][name] = path
    found = {}
    for folder, names in folders.items():
        hits = [*filter(idx.NAME.match, names), *cifar.members(names)]
        if hits:
            found[folder] = names
            count += len(hits)
    return found if pictures <= count else {}


def find(root: str, paths: Iterable[str], *, chosen: str | None = None) -> Arrays | None:
    """The data set of array files below a folder, each file's header checked; None for none.

    Parameters
    ----------
    root : folder. paths : its files, relative, with `/`.
    chosen : where there are several data sets, the one of this name or below it.

    Raises
    ------
    UserError
        Several data sets and none chosen, or none of the chosen name.
    Damaged
        A file is not what its name says, is cut short, or does not fit the one beside it.
    """
    folders = _folders(list(paths))
    found = idx.find(root, folders) if folders else []
    for folder, names in folders.items():
        found += cifar.find(root, folder, names)
    there = sorted(one.name or "." for one in found)
    if chosen and found:
        inside = f"/{chosen.strip('/')}/"
        found = [one for one in found if inside in f"/{one.name or '.'}/"]
        if not found:
            raise UserError(
                f"layout.root is {chosen!r}: no such data set of array files in the source"
                + nearest(chosen, there)
            )
    if len(found) > 1:
        raise UserError(
            f"the source holds {len(there)} data sets of array files ({', '.join(there)}): choose"
            f" one, as in layout: {{root: {there[0]}}}"
        )
    return found[0] if found else None
