"""Files of pretrained weights: fetched once, before any training, and verified.

`weights: imagenet` is the file that the application itself names, and its hash. The `mirror:` is
looked into before the network, for a file of that name.
"""

from __future__ import annotations

import errno
import logging
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import unquote, urlsplit

from darkroom.errors import UserError
from darkroom.machine import disk
from darkroom.sources import mirror as mirror_folder
from darkroom.sources.addresses import check_login, local_path, shown
from darkroom.train import backbones

MOST = 20 * 10**9  # bytes of a file of weights that are downloaded

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger(__name__)


def local(weights: str) -> str | None:
    """Path of a local file, to be declared as a rule's input; None for the others.

    Raises
    ------
    UserError
        There is no such file.
    """
    if weights == "imagenet" or re.match(r"https?://", weights, re.I):
        return None
    path = local_path(weights)
    if not path.is_file():
        raise UserError(
            f"weights {shown(weights)!r}: there is no such file (looked for {path.absolute()}); weights "
            "are imagenet, https://… or a local file"
        )
    return str(path)


def check(application: str, weights: str) -> None:
    """Check what can be known of a backbone before anything runs, without importing Keras.

    Raises
    ------
    UserError
        No such application or local file; an address with a login.
    """
    backbones.check(application, backbones.names())
    check_login("weights", weights)
    local(weights)


class DownloadWeights(TypedDict):
    """What the download of weights reads.

    Attributes
    ----------
    features : name of the feature set.
    application : in `keras.applications`.
    settings : of that function.
    weights : `imagenet`, https://… as `addresses.shown` gives it, or a local file.
    sha256 : of the file, or None.
    shape : (height, width, 3) of an image.
    pool : over the last map.
    """

    features: str
    application: str
    settings: dict[str, Any]
    weights: str
    sha256: str | None
    shape: list[int]
    pool: str


def download_weights(
    output: str,
    onnx: str,
    *,
    cfg: DownloadWeights,
    mirror: str | None = None,
    address: str | None = None,
) -> None:
    """Bring the weights of a backbone, check that they are those, and write it as ONNX.

    Parameters
    ----------
    output : `data/weights/{features}.h5`.
    onnx : `data/weights/{features}.onnx`, compared with Keras on crops of two photographs.
    cfg : what the stage reads.
    mirror : folder or address looked into before the network.
    address : the weights with their query, which is written nowhere; None: as in `cfg`.

    Raises
    ------
    UserError
        No such application or file, a file that is cut short, of another hash, or whose
        weights do not fit.
    """
    from darkroom.infer import export
    from darkroom.train import keras_backend

    keras_backend.start(1)
    try:
        found = _bring(output, cfg, mirror, address or cfg["weights"])
        try:
            network = backbones.build(
                cfg["application"],
                cfg["settings"],
                pool=cfg["pool"],
                shape=cfg["shape"],
                weights=str(found),
            )
        except UserError:
            _forget(output, found)
            raise
        export.write(network, onnx, {}, _crops(cfg["shape"]))
        if found != Path(output):
            _place(found, output)
    except UserError as error:
        raise UserError(f"features.{cfg['features']}: {error}") from None
    shutil.rmtree(_state(output), ignore_errors=True)
    log.info(
        "%s: %s weights of %s",
        cfg["features"],
        f"{network.count_params():,}",
        cfg["application"],
    )


def _crops(shape: Sequence[int]) -> np.ndarray:
    """(8, H, W, 3) uint8: parts of the two photographs that scikit-learn brings."""
    import cv2
    import numpy as np
    from sklearn.datasets import load_sample_images

    height, width, _ = shape
    crops = []
    for photograph in load_sample_images().images:
        whole = cv2.resize(photograph, (2 * width, 2 * height), interpolation=cv2.INTER_AREA)
        crops += [whole[y : y + height, x : x + width] for y in (0, height) for x in (0, width)]
    return np.stack(crops)


def _state(output: str) -> Path:
    """Where a file is while it comes, between one attempt and the next."""
    return Path(output).with_name(f".{Path(output).stem}")


def _bring(output: str, cfg: DownloadWeights, mirror: str | None, address: str) -> Path:
    """A verified file: the local one, the mirror's or a downloaded one."""
    from darkroom.sources import transfer

    digest = cfg["sha256"]
    kept = local(address)
    if kept is not None:
        return _verified(Path(kept), digest, "put the right file there, or correct sha256")
    name = unquote(urlsplit(address).path).rpartition("/")[2] or "weights.h5"
    if address == "imagenet":
        official = backbones.official(cfg["application"], cfg["settings"], cfg["shape"])
        address, name, digest = official.address, official.name, digest or official.digest
    path = mirror_folder.find(mirror, [name])
    on_mirror = mirror_folder.served(mirror, [name])
    if path is not None:
        log.info("%s is taken from the mirror: %s", name, path)
        _verified(path, digest, "put the right file into the mirror")
    else:
        path = Path(_state(output), name)
        hint = mirror_folder.hint(mirror, name)
        sha256 = digest if digest and len(digest) == 64 else None
        transfer.get(
            on_mirror.address if on_mirror else address,
            str(path),
            name=name,
            setting="weights",
            hint=hint,
            most=MOST,
            sha256=sha256,
            verified=digest is not None,
        )
        try:
            _verified(path, digest, "it is removed: run again")
        except UserError:
            _forget(output, path)
            raise
    if digest is None:
        log.info(
            "%s was checked against no hash; to have it checked from now on, put "
            "sha256: %s under features: %s in the config",
            name,
            backbones.digest_of(str(path), "0" * 64),
            cfg["features"],
        )
    return path


def _verified(path: Path, digest: str | None, then: str) -> Path:
    if digest is None:
        return path
    found = backbones.digest_of(str(path), digest)
    if found != digest.lower():
        kind = "sha256" if len(digest) == 64 else "md5"
        raise UserError(f"{path}: its {kind} is {found} and should be {digest.lower()}; {then}")
    return path


def _forget(output: str, path: Path) -> None:
    """Remove a wrong file, if it was downloaded: else it would be taken again."""
    if _state(output) in path.parents:
        shutil.rmtree(_state(output), ignore_errors=True)


def _place(found: Path, output: str) -> None:
    """The file under its name here: moved if it was downloaded, else copied."""
    if _state(output) in found.parents:
        try:
            found.replace(output)
            return
        except OSError as error:
            if error.errno != errno.EXDEV:  # another file system: copied
                raise
    with disk.full_disk_in_words(str(Path(output).parent)), disk.whole(output) as part:
        shutil.copyfile(found, part)
