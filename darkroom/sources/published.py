"""Recognition of data sets in array files: MNIST, CIFAR, NumPy archives, Parquet files of images.

`claimed` examines names only and imports the standard library only: it is called while the
Snakefile is read. `find` reads the files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from darkroom.errors import UserError, nearest
from darkroom.sources import cifar, idx, npz, parquet
from darkroom.sources.arrays import Arrays

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
PACKED = (npz.SUFFIX, parquet.SUFFIX)
CIFAR_FILES = {
    *("test_batch", "test_batch.bin", "batches.meta", "batches.meta.txt"),
    *("train.bin", "test.bin", "fine_label_names.txt", "coarse_label_names.txt"),
}


def is_array_file(name: str) -> bool:
    """Whether a file's name is that of an array file."""
    return bool(
        idx.NAME.match(name) or cifar.TRAINING.match(name) or name in CIFAR_FILES or is_packed(name)
    )


def is_packed(name: str) -> bool:
    """Whether a name is that of one file with many images: a NumPy archive or a Parquet file."""
    return name.lower().endswith(PACKED)


def claimed(paths: Iterable[str]) -> bool:
    """Whether a listing may be a data set of array files, by names only.

    Not where it has more pictures than array files: then the pictures are its images.
    """
    return bool(_folders(list(paths)))


def _folders(paths: list[str]) -> dict[str, dict[str, str]]:
    """Folder -> name -> path, of all files in folders that hold array files."""
    text = "\n".join(paths).lower()
    if not any(word in text for word in ("image", "label", "data_batch", "meta", *PACKED)):
        return {}  # the usual case, decided by one search
    folders: dict[str, dict[str, str]] = defaultdict(dict)
    pictures = count = 0
    for path in paths:
        folder, _, name = path.rpartition("/")
        if name.lower().endswith(PICTURES):
            pictures += 1
        else:
            folders[folder][name] = path
    out = {}
    for folder, names in folders.items():
        hits = [*filter(idx.NAME.match, names), *cifar.members(names), *filter(is_packed, names)]
        if hits:
            out[folder] = names
            count += len(hits)
    return out if pictures <= count else {}


def find(root: str, paths: Iterable[str], *, chosen: str | None = None) -> Arrays | None:
    """The data set of array files below a folder, with file headers checked; None if there is none.

    Parameters
    ----------
    root : folder.
    paths : its files, relative, with `/`.
    chosen : where there are several data sets, the name of one or of a folder above it.

    Raises
    ------
    UserError
        There are several data sets and none is chosen, or none has the chosen name.
    Damaged
        A file is truncated, not of the format that its name implies, or does not match the others.
    """
    folders = _folders(list(paths))
    data_sets = idx.find(root, folders) if folders else []
    for folder, files in folders.items():
        data_sets += cifar.find(root, folder, files)
    every = [path for files in folders.values() for path in files.values()]
    data_sets += parquet.find(root, [p for p in every if p.lower().endswith(parquet.SUFFIX)])
    archives = [npz.find(root, p) for p in sorted(every) if p.lower().endswith(npz.SUFFIX)]
    data_sets += [data for data in archives if data is not None]
    names = sorted(data.name or "." for data in data_sets)
    if chosen and data_sets:
        inside = f"/{chosen.strip('/')}/"
        data_sets = [data for data in data_sets if inside in f"/{data.name or '.'}/"]
        if not data_sets:
            raise UserError(
                f"layout.root is {chosen!r}: no such data set of array files in the source"
                + nearest(chosen, names)
            )
    if len(data_sets) > 1:
        raise UserError(
            f"the source holds {len(names)} data sets of array files ({', '.join(names)}): choose"
            f" one, as in layout: {{root: {names[0]}}}"
        )
    return data_sets[0] if data_sets else None
