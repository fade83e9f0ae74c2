"""Write a trained classifier as a folder that predicts elsewhere, without Darkroom, Keras or Snakemake.

The folder holds the very code that decodes and resizes here, so that it cannot differ. A network
and a classifier on its features become one graph.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from darkroom import __version__, decode, errors, unlikeness
from darkroom.decode.policy import FULL
from darkroom.errors import UserError
from darkroom.evaluate.tables import read_table
from darkroom.features import predictions
from darkroom.images import resize
from darkroom.infer import run as infer_run
from darkroom.infer.run import Network
from darkroom.machine import disk, hardware, parquet_file
from darkroom.machine.installed import version
from darkroom.models import beside, trained
from darkroom.models.trained import Trained
from darkroom.predict import export_graph, exported, picture, unseen

if TYPE_CHECKING:
    import pandas as pd

ToLite = Callable[[str, Path, np.ndarray, np.ndarray], dict[str, np.ndarray]]
PACKAGES = ("onnxruntime", "numpy", "opencv-python-headless", "pillow")
PICTURES = 3
IMAGES = 128  # that the written folder is compared by
LIMIT = 1e-5  # of a probability
# An export has no pool of workers, in which large images wait for each other.
WORKERS = '''"""What the decoder takes from Darkroom's pool of workers, of which there is none here."""

from contextlib import nullcontext


def in_turn(size: int) -> nullcontext[None]:
    """Nobody waits."""
    return nullcontext()
'''
FORMAT = 1
KINDS = ("onnx", "keras", "tflite", "all")
NOTICE = "It is not made for medical use."


def export(
    model: str,
    output: str,
    name: str | None = None,
    kind: str = "onnx",
    to_lite: ToLite | None = None,
) -> str:
    """Write the folder, whole or not at all.

    Parameters
    ----------
    model : as `trained.find` takes it.
    output : the folder to write, see docs/formats.md.
    name : of a classifier, where `model` is a data set's results; None: as `trained.find`.
    kind : of `KINDS`: what is written beside `model.onnx`, of a network.
    to_lite : `lite.write`, for the kinds `tflite` and `all`. It loads TensorFlow, which the stage
        must not reach.

    Returns
    -------
    A sentence on what was written and how it was compared.

    Raises
    ------
    UserError
        The folder is there; the model is not in its place in `results`, or has no such form.
    """
    place = Path(output).expanduser()
    if place.exists():
        raise UserError(f"{output} is there already: name a new folder, or remove it")
    found = trained.find(model) if name is None else trained.named(model, name)
    alone = ""
    if found.members:
        alone = (
            f" An export holds one model, that of one of {len(found.members)} folds; "
            "python -m darkroom predict takes the mean of all."
        )
        found = found.members[0]
    if kind in ("keras", "tflite") and found.fitted is not None:
        raise UserError(
            f"{found.name} is a classifier on features, and --kind {kind} is of networks: name a "
            "network, or leave --kind out"
        )
    results = beside.results_of(found)
    threshold, how = beside.threshold(str(results / "thresholds.parquet"), found) or (0.5, "")
    held = _Held.out(found, results)
    with disk.full_disk_in_words(str(place.absolute().parent)):
        part = place.with_name(f".{place.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            export_graph.write(found, part)
            compared = _compared(found, part, held)
            if found.fitted is None and kind != "onnx":
                compared += _others(found, part, results, kind, held, threshold, to_lite)
            _write(found, results, part, held, (threshold, how), compared)
            part.rename(place)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return f"{found.name} of {found.dataset}: {compared}{alone}"


# ---------------------------------------------------------------- held-out images


@dataclass(frozen=True)
class _Held:
    """Images that the classifier did not learn from, and what `predictions.parquet` says of them.

    Attributes
    ----------
    root : folder of the images. table : N rows of `predictions.parquet`.
    probabilities : (N, K) float32.
    """

    root: Path
    table: pd.DataFrame
    probabilities: np.ndarray

    @classmethod
    def out(cls, found: Trained, results: Path, first: str = "test") -> _Held:
        """Some of its images of a part; where it has none, of the other part.

        Parameters
        ----------
        first : the part, `test` or `validation`.

        Raises
        ------
        UserError
            They are not in their place.
        """

        source = results.parents[1] / "data" / found.dataset / "source.json"
        try:
            root = results.parents[1] / json.loads(source.read_text(encoding="utf-8"))["root"]
            table = parquet_file.frame(results / "predictions.parquet")
        except (OSError, ValueError) as error:
            raise UserError(
                f"{found.files[0]}: its test images and predictions.parquet are not in their place "
                f"({error}): export a model from its place in results"
            ) from None
        own = _of_run(table, found)
        part = own["part"] == first
        own = own[part if part.any() else ~part]
        own = own.iloc[_spread(len(own), IMAGES)]
        wide = own[[f"{predictions.PREFIX}{name}" for name in found.classes]].to_numpy(np.float32)
        return cls(root, own, wide)

    def pixels(self, found: Trained) -> np.ndarray:
        """(N, H, W, C) uint8, decoded as the classifier wants it.

        Raises
        ------
        UserError
            A file that cannot be read any more.
        """
        files = [str(self.root / path) for path in self.table["path"]]
        threads = hardware.cores()
        with unseen.decoding(
            files, view=found.view, policy=found.policy, threads=threads
        ) as chunks:
            parts = []
            for chunk in chunks:
                for file, status, reason in zip(
                    files[chunk.start :], chunk.status, chunk.reason, strict=False
                ):
                    if status == "unusable":
                        raise UserError(f"{file}: {reason}; the export is compared by it")
                parts.append(chunk.pixels.copy())
        return np.concatenate(parts)


def _spread(n: int, count: int) -> list[int]:
    """At most `count` places among `n`, as far from each other as possible."""
    return [int(at) for at in np.unique(np.linspace(0, n - 1, min(n, count)).astype(int))]


def _of_run(table: pd.DataFrame, found: Trained) -> pd.DataFrame:
    run = found.run
    return table[
        (table["feature_set"] == run.feature_set)
        & (table["classifier"] == run.classifier)
        & (table["fold"] == run.fold)
    ]


def _compared(found: Trained, out: Path, held: _Held) -> str:
    """Compare what was written with the classifier, and with the data set's table.

    Raises
    ------
    UserError
        A probability or the unlikeness differs by more than `LIMIT`.
    """
    if not len(held.table):
        return "compared with nothing, because the data set has no held-out images."
    pixels = held.pixels(found)
    threads = hardware.cores()
    features, ours = Network(out / "model.onnx", threads=threads).classified(pixels)
    ours = predictions.as_stored(ours)
    theirs, distance = found.open(threads).both(pixels)
    differences = {"a probability": float(np.abs(ours - theirs).max())}
    if distance is not None and (known := unlikeness.read(out / "unlike.npz")):
        differences["its unlikeness"] = float(np.abs(known[0].of(features) - distance).max())
    for what, most in differences.items():
        if not most <= LIMIT:
            raise UserError(
                f"{found.name}: as ONNX it differs by {most:.3g} in {what}, where {LIMIT:g} is "
                "allowed: report this with the settings of the classifier"
            )
    most = differences["a probability"]
    stored = float(np.abs(ours - held.probabilities).max())
    return (
        f"{len(pixels)} held-out images got the probabilities of the classifier within {most:.1g}, "
        f"and those of predictions.parquet within {stored:.1g}."
    )


def _others(
    found: Trained,
    out: Path,
    results: Path,
    kind: str,
    held: _Held,
    threshold: float,
    to_lite: ToLite | None,
) -> str:
    """Write the network's other forms; returns sentences on what they cost."""
    assert found.network is not None
    keras = Path(found.network).with_name("model.keras")
    if not keras.is_file():
        raise UserError(f"{keras} is not there: keep the files together as they stand in results")
    if kind in ("keras", "all"):
        shutil.copyfile(keras, out / keras.name)
    if to_lite is None or kind == "keras" or not len(held.table):
        return ""
    ranges = _Held.out(found, results, "validation").pixels(found)
    forms = {"model.onnx": held.probabilities}
    forms |= to_lite(str(keras), out, ranges, held.pixels(found))
    truth = held.table["class"].to_numpy()
    shares = [
        f"{name} {(predictions.decide(p, threshold) == truth).mean():.3f}"
        for name, p in forms.items()
    ]
    return f" Accuracy on the same images: {', '.join(shares)}."


# ---------------------------------------------------------------- the folder


def _write(
    found: Trained,
    results: Path,
    out: Path,
    held: _Held,
    chosen: tuple[float, str],
    compared: str,
) -> None:
    threshold, how = chosen
    _pictures(found, held, out / "pictures", threshold)
    if found.fitted is not None:
        shutil.copyfile(found.files[0], out / "classifier.skops")
    _json(out / "class_indices.json", {name: at for at, name in enumerate(found.classes)})
    notice = beside.notice(found)
    said = {
        "format": FORMAT,
        "darkroom": __version__,
        "name": found.name,
        "view": found.view,
        "decode": {"white_level": FULL} | found.policy,
        "threshold": threshold,
        "threshold_chosen_for": how or None,
        "set_from": beside.set_from(found),
        "notice": notice,
        "digest": found.digest(),
    }
    _json(out / "preprocessing.json", said)
    pins = [f"{name}=={version(name)}\n" for name in PACKAGES]
    (out / "requirements.txt").write_text("".join(pins), encoding="utf-8")
    card = _readme(found, results, out, chosen, notice or NOTICE, compared)
    (out / "README.md").write_text(card, encoding="utf-8")
    if (of_data := results / "model_card.md").is_file():
        shutil.copyfile(of_data, out / of_data.name)
    for name in ("predict.py", "check.py"):
        shutil.copyfile(_file(exported).with_name(name), out / name)
    _copy_code(out / "darkroom")


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _file(module: Any) -> Path:
    return Path(module.__file__)


def _copy_code(out: Path) -> None:
    """The modules that decode, resize and run."""
    package = _file(errors).parent
    modules = [errors, resize, infer_run, unlikeness, disk]
    files = [_file(module) for module in modules] + sorted(_file(decode).parent.glob("*.py"))
    for file in files:
        to = out / file.relative_to(package)
        to.parent.mkdir(parents=True, exist_ok=True)
        (to.parent / "__init__.py").touch()
        shutil.copyfile(file, to)
    (out / "machine/workers.py").write_text(WORKERS, encoding="utf-8")
    (out / "__init__.py").write_text(f'"""Of Darkroom {__version__}."""\n', encoding="utf-8")


def _pictures(found: Trained, held: _Held, out: Path, threshold: float) -> None:
    """Some held-out images, and what `predictions.parquet` says of them."""
    wide = held.probabilities
    out.mkdir()
    expected = {}
    for number, at in enumerate(_spread(len(wide), PICTURES)):
        path = held.root / held.table["path"].iloc[at]
        name = f"{number + 1}{path.suffix}"
        shutil.copyfile(path, out / name)
        expected[name] = {
            "predicted": found.classes[int(predictions.decide(wide[[at]], threshold)[0])],
            "probabilities": dict(zip(found.classes, wide[at].tolist(), strict=True)),
        }
    _json(out / "expected.json", expected)


def _readme(
    found: Trained, results: Path, out: Path, chosen: tuple[float, str], notice: str, compared: str
) -> str:
    """What the folder is, and how it is used."""
    own = _of_run(read_table(results / "metrics.parquet"), found)
    own = own[own["part"] == "test"]
    score = "It was not evaluated on test images."
    if len(own):
        row = own.iloc[0]
        score = (
            f"Accuracy on {int(row['n']):,} test images that it never saw: {row['accuracy']:.3f}; "
            f"balanced over the classes: {row['balanced_accuracy']:.3f}."
        )
    marked = ""
    if (out / "unlike.npz").is_file():
        marked = "; `predict.py` says where a picture is unlike all that it learned from"
    meaning = re.sub(r"^classes: ", "", picture.in_words(found, *chosen))
    height, width, channels = resize.size_of(found.view)
    return f"""\
# {found.name}, trained on {found.dataset}

Classes: {meaning}.
{score}
It knows pictures like those that it learned from, and no others: a picture of anything else gets one of
these classes too{marked}. {notice}
When this folder was written, {compared}

    pip install -r requirements.txt
    python check.py                 # three test images, with the predictions that they had
    python predict.py photo.jpg

```python
from predict import Model                     # this folder is on the path, or the current one

model = Model(threads=1)
data = open("photo.jpg", "rb").read()
print(model.predict(data), model.probabilities(data), model.unlike(data))
```

`model.onnx` takes `image`, (N, {height}, {width}, {channels}) uint8, and gives `probabilities` beside others; its metadata say more.
`preprocessing.json` says how a file becomes those pixels (`decode`, `view`); `predict.py` does it by
the code of Darkroom {__version__} in `darkroom/`. Other code may decode or resize otherwise, and then predict otherwise.
The pictures in `pictures/` are of the data set: its licence, and the people in it, are theirs.
"""
