"""What the names of folders say: storage, sources, groups of images, or perhaps classes.

A name is evidence. `storage` holds where a level of folders divides images by where they come
from or lie; `groups` where each folder is a patient or the like. Class folders are neither, but a
name alone cannot prove it: `class_folders` also compares what stands below.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence

from darkroom.index.listing import given_part, words

GENERIC = frozenset(
    words(
        """
        images image imgs img jpg jpeg jpegs png pngs pictures picture pics photos photo data dataset
        datasets files file all raw part batch chunk folder shard vol volume fold input inputs
        """
    )
)
"""Words of a folder that only stores images."""

MASKS = frozenset(
    words(
        """
        mask masks label labels annotation annotations segmentation segmentations ground_truth
        groundtruth gt trimap trimaps
        """
    )
)
"""Names of folders with masks or the like: no images to classify."""

_MASK_WORDS = (
    "mask",
    "seg",
    "annotat",
    "truth",
    "gt",
    "trimap",
)  # one is in all that `_MASK` finds
_MASK = re.compile(
    r"[-_. ]+(?:mask|seg|segmentation|annotation|annotated|ground[-_ ]?truth|gt|trimap)s?(?:[-_ ]?\d+)?\.\w+$",
    re.I,
)

_VERSIONS = frozenset(
    words(
        """
        original originals augmented augmentation augmentations aug processed preprocessed unprocessed
        resized cropped enhanced filtered normalized normalised grayscale greyscale gray grey color
        colour rgb segmented copy backup version v
        """
    )
)
_SOURCES = _VERSIONS | frozenset(
    words(
        """
        synthetic generated site center centre hospital clinic institution lab laboratory camera cam
        device scanner microscope sensor phone source src domain collection location loc session visit
        day night morning evening week month year plate run round set split sequence seq series left
        right front back top bottom side view angle position frontal lateral magnification zoom
        resolution level
        """
    )
)
_GROUPS = frozenset(
    words(
        """
        patient pat subject subj case participant person individual study exam slide wsi
        """
    )
)
_CAMERAS = frozenset(
    words(
        """
        dsc dscn dscf dcim pxl mvimg vid gopr dji p screenshot scan whatsapp wa fb received signal telegram
        snapchat frame capture untitled
        """
    )
)
_NOT_LABELLED = frozenset(words("unlabeled unlabelled nolabel nolabels submission predict pred"))
# Google Drive adds the time and a number to the name of a folder that it packs.
_STAMP = re.compile(r"[-_ ]\d{8}T\d{6}Z(?:[-_ ]\d+)*(?= |$)")
_DATE = re.compile(r"(?:19|20)\d\d(?:[-_. ]?\d\d){0,2}(?:[-_T ]?\d{2,6})*")
_BETWEEN = re.compile(r"[\W\d_]+")  # what parts words, in any alphabet
_SIZE = re.compile(r"\d+\s?(?:x|px|um|mm|cm|nm|ev)?\s?\d*", re.I)


def plain(name: str) -> str:
    """The name in NFC, without the stamp of a download: `cats-20240301T101112Z-001` gives `cats`."""
    name = unicodedata.normalize("NFC", name)
    return _STAMP.sub("", name) or name


def storage(names: Collection[str]) -> bool:
    """Whether folders divide images by their source: parts, sites, dates, versions, views.

    `siteA` and `siteB`, `Original` and `Augmented`, `2023-01-05` and `2023-01-06`, `40X` and
    `100X`, `images_001` and `images_002`, `photos-20240301T101112Z-001` and `…-002`.
    """
    names = list(names)
    if all(given_part(name) for name in names):
        return True
    if all(_DATE.fullmatch(name) for name in names) or groups(names):
        return True
    if all(_SIZE.fullmatch(name) and not name.isdigit() for name in names):
        return True
    if len(names) > 1 and len({plain(name).casefold() for name in names}) == 1:
        return True
    return all(_source(name) for name in names)


def generic(name: str) -> bool:
    """Whether a name says only that it is a picture: `IMG`, `DSC_`, `WhatsApp Image`."""
    return all(word in GENERIC | _CAMERAS for word in _BETWEEN.split(name.casefold()) if word)


def beside_pictures(paths: Collection[str]) -> set[str]:
    """The images that are masks of others beside them: `benign (1)_mask.png` of `benign (1).png`."""
    text = "\n".join(paths).lower()
    if not any(word in text for word in _MASK_WORDS):
        return set()  # the usual case, decided by one search
    masks = [(path, found) for path in paths if (found := _MASK.search(path))]
    pictures = {path.rpartition(".")[0] for path in paths} if masks else set()
    return {path for path, found in masks if path[: found.start()] in pictures}


def versions(names: Collection[str]) -> bool:
    """Whether folders hold forms of the same images: original and augmented, colour and grey."""
    return all(_VERSIONS & set(_pieces(name)) for name in names)


def _source(name: str) -> bool:
    pieces = _pieces(name)
    return bool(_SOURCES & set(pieces)) or (
        bool(GENERIC & set(pieces)) and all(w in GENERIC or len(w) == 1 for w in pieces)
    )


def groups(names: Collection[str]) -> bool:
    """Whether each folder is one patient, subject, case …, with a number or letter."""
    return bool(names) and all(
        re.fullmatch(rf"(?:{'|'.join(_GROUPS)})s?[-_ ]*(?:id[-_ ]*)?(?:[a-z]{{0,3}}\d+\w*|[a-z])", n, re.I)
        for n in names
    )  # fmt: skip


def no_classes(names: Collection[str]) -> bool:
    """Whether folders are patients or dates: too little like classes to be taken for them."""
    return groups(names) or (bool(names) and all(_DATE.fullmatch(name) for name in names))


def numbered(names: Sequence[str]) -> bool:
    """Whether names differ in a number alone (`part1`, `part2`): perhaps storage, perhaps classes."""
    stems = {re.sub(r"\d+", "#", plain(name).casefold()) for name in names}
    return len(names) > 1 and len(stems) == 1 and stems != {"#"}


def unlabelled(name: str) -> bool:
    """Whether a folder's name says that its images have no label, as those of a test may."""
    pieces = [w for w in _BETWEEN.split(name.casefold()) if w]
    return given_part(name) == "test" or bool(_NOT_LABELLED & set(pieces))


def shards(names: Sequence[str]) -> bool:
    """Whether folders only store images: images and masks, images_001, HAM10000_images_part_1."""
    pieces = [[w for w in _BETWEEN.split(name.casefold()) if w] for name in names]
    if not all(pieces):
        return False
    if all(
        name.casefold() in MASKS or all(w in GENERIC for w in ws)
        for name, ws in zip(names, pieces, strict=True)
    ):
        return True
    return len(names) > 1 and all(ws == pieces[0] for ws in pieces) and pieces[0][-1] in GENERIC


def _pieces(name: str) -> list[str]:
    """Words of a name, in lower case: `siteA`, `Site_2` and `SITE-b` begin with `site`."""
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", plain(name))
    return [w.casefold() for w in _BETWEEN.split(split) if w]
