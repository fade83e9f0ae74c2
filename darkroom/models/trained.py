"""A trained classifier in its place on the disk, and what it takes to ask it about a picture.

A network's file says by itself what its classes are and how a picture becomes its input. A
classifier on features says what the features are of; their network, or the weights of
their backbone, stand beside it in `results` and `data`. In a cross-validation the classifiers of
all folds predict together: the mean of their probabilities.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from darkroom import unlikeness
from darkroom.errors import UserError, nearest
from darkroom.features import predictions
from darkroom.features.predictions import Run
from darkroom.infer.run import Network, read_about
from darkroom.models import beside
from darkroom.names import HEAD, run_name
from darkroom.sources.addresses import local_path

if TYPE_CHECKING:
    from darkroom.classify.graph_file import Predictor
    from darkroom.classify.model_file import Fitted
    from darkroom.decode.policy import Policy
    from darkroom.images.resize import View
    from darkroom.unlikeness import Known


Seen = tuple[np.ndarray, "np.ndarray | None"]  # features, and the probabilities of a network
Look = Callable[[np.ndarray], Seen]
FOLDS = "folds"  # in the name of a classifier of all folds
LONGEST_SIDE = 16384  # pixels of a view
REQUIRED = {"dataset", "model", "seed", "fold", "classes", "view", "decode"}  # of a network's file


@dataclass(frozen=True)
class Opened:
    """A classifier that is loaded.

    Attributes
    ----------
    both : from (B, H, W, C) uint8 to (B, K) float32 probabilities, as they would be stored in
        `predictions.parquet`, and the (B,) unlikeness of the pictures; None where the model has none.
    limit : unlikeness from which on a picture is called unlike.
    set_from : probability from which on a class belongs to a picture's set; None: there is no set.
    """

    both: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]
    limit: float = np.inf
    set_from: float | None = None

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """The probabilities alone."""
        return self.both(pixels)[0]


@dataclass(frozen=True)
class Trained:
    """A trained classifier.

    Attributes
    ----------
    dataset : that it learned from.
    run : its names; the classifier is `head` for a network's own predictions.
    classes : K names in order.
    view, policy : how a picture becomes its input.
    files : that it consists of.
    network : `model.onnx`, of a network or of a backbone; None where there is neither.
    layer : of the network, whose output the classifier reads.
    fitted : the classifier, None for `head`.
    members : of a classifier of all folds, that of each; the best by its validation images first.
    """

    dataset: str
    run: Run
    classes: list[str]
    view: View
    policy: Policy
    files: list[str]
    network: str | None = None
    layer: str | None = None
    fitted: Fitted | Predictor | None = None
    members: tuple[Trained, ...] = ()

    @property
    def each(self) -> tuple[Trained, ...]:
        """The classifier of each fold, or this one."""
        return self.members or (self,)

    @property
    def name(self) -> str:
        """`cnn-seed0/svm`; in a cross-validation `fold-2/cnn-seed0/svm`, of all folds `folds/cnn-seed0/svm`."""
        run = self.run
        parts = [run.fold] if run.fold != "holdout" else []
        parts += [run.feature_set] + ([run.classifier] if run.classifier != HEAD else [])
        return "/".join(parts)

    def digest(self) -> str:
        """sha256 of its file; of a classifier's and of what makes its features, joined by `+`."""
        return "+".join(_sha256(path) for path in self.files)

    def multiplications(self, pixels: int) -> float:
        """About how many a picture of so many pixels takes, by the sizes of the files alone.

        A network's weight is used at as many places as its layer has. Over the layers of MobileNet,
        MobileNetV2, ResNet50, InceptionV3 and EfficientNetB0 that is a 260th to a 510th of the pixels.
        """
        sizes = {path: Path(path).stat().st_size / 4 for path in self.files}
        return sum(
            size * max(1.0, pixels / 300 if path == self.network else 1.0)
            for path, size in sizes.items()
        )

    def open(self, threads: int) -> Opened:
        """Load it; neither Keras nor TensorFlow is imported.

        Parameters
        ----------
        threads : cores to use.

        Raises
        ------
        UserError
            A file that is damaged; probabilities that are no numbers.
        """
        parts = [(member, *member._learned_from()) for member in self.each]
        looks: dict[tuple[str | None, str | None], Look] = {}  # one for folds on the same features
        for member, _, layer in parts:
            if (member.network, layer) not in looks:
                looks[member.network, layer] = member._look(layer, threads)

        def both(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
            seen = {key: look(pixels) for key, look in looks.items()}
            p = [m._judged(seen[m.network, layer]) for m, _, layer in parts]
            unlike = [k.of(seen[m.network, layer][0]) for m, k, layer in parts if k is not None]
            whole = len(unlike) == len(parts)
            return np.mean(p, axis=0), np.mean(unlike, axis=0) if whole else None

        limits = [np.inf if known is None else known.limit for _, known, _ in parts]
        return Opened(both, float(np.mean(limits)), beside.set_from(self))

    def _learned_from(self) -> tuple[Known | None, str | None]:
        """What tells unlike pictures, and the layer of the network whose output that reads."""
        if self.fitted is not None:
            return self.fitted.learned_from, self.layer
        assert self.network is not None
        return unlikeness.read(Path(self.network).with_name("unlike.npz")) or (None, None)

    def _look(self, layer: str | None, threads: int) -> Look:
        """From (B, H, W, C) uint8 to features, as their stage makes them, and a network's probabilities."""
        if self.network is not None:
            network = Network(self.network, threads=threads, layer=layer)
            if self.fitted is None:
                return network.classified
            return lambda pixels: (network(pixels).features, None)
        from darkroom.features.describe import describer
        from darkroom.images.resize import size_of

        assert self.fitted is not None
        made = self.fitted.about["made"]
        describe = describer(made["kind"], size_of(self.view), self.run.feature_set)[0]
        return lambda pixels: (describe(pixels), None)

    def _judged(self, seen: Seen) -> np.ndarray:
        """(B, K) float32 probabilities by what `_look` gave."""
        features, own = seen
        probabilities = own if self.fitted is None else self.fitted.probabilities(features)
        assert probabilities is not None
        if not np.isfinite(probabilities).all():
            raise UserError(
                f"{self.files[0]}: what it says is no number: its training diverged; lower "
                "its learning_rate or set clip_norm"
            )
        return predictions.as_stored(probabilities)


def _sha256(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---------------------------------------------------------------- finding it


def find(path: str) -> Trained:
    """What a path names: a model's file, its folder, or a data set's results.

    Parameters
    ----------
    path : `model.onnx`, wherever it is, or `model.keras` beside it; `model.skops` in its place in
        `results`; the folder of either; or `results/{dataset}`: see `best`.

    Raises
    ------
    UserError
        Nothing of the kind is there, or what belongs to it is missing.
    """
    place = local_path(path)
    if place.is_dir():
        for name in ("model.onnx", "model.keras", "model.skops"):
            if (place / name).is_file():
                return find(str(place / name))
        if (place / "summary.parquet").is_file():
            return best(str(place))
        inside = sorted(str(p.parent.relative_to(place)) for p in place.rglob("model.[os]*"))
        few = ", ".join(inside[:4]) + (", …" if len(inside) > 4 else "")
        raise UserError(
            f"{path}: no model stands in this folder, and it is not that of a data set's finished "
            "results" + (f"; name one of its folders: {few}" if inside else "")
        )
    if not place.is_file():
        there = [p.name for p in place.parent.iterdir()] if place.parent.is_dir() else []
        near = nearest(place.name, there)
        raise UserError(f"{path}: there is no such model" + (near if "did you" in near else ""))
    if place.suffix == ".skops":
        return _of_classifier(place)
    if place.suffix in (".onnx", ".keras"):
        return _of_network(place.with_suffix(".onnx"))
    raise UserError(
        f"{path} is no model: one is called model.onnx (a network) or model.skops (a classifier)"
    )


def _of_network(place: Path) -> Trained:
    facts = _facts(place)
    model, seed = facts["model"], facts["seed"]
    name = run_name(model, seed)  # of its folder in results; elsewhere it is named by its file
    name = name if place.parent.name == name else place.stem
    return Trained(
        dataset=facts["dataset"],
        run=Run(model, seed, facts["fold"], name, HEAD),
        classes=list(facts["classes"]),
        view=facts["view"],
        policy=facts["decode"],
        files=[str(place)],
        network=str(place),
    )


def _facts(place: Path, because: str = "") -> dict[str, Any]:
    """What the file of a trained network says of it."""
    if not place.is_file():
        raise UserError(
            f"{because}{place} is not there. It predicts, model.keras does not: keep the files "
            "together as they stand in results, or train the network again if it is of an earlier "
            "version of Darkroom"
        )
    about = read_about(place)
    if not about.keys() >= REQUIRED:
        raise UserError(
            f"{place} does not say what its classes are and how a picture becomes its input: a "
            "backbone does not, and a trained network of this version of Darkroom does"
        )
    size = about["view"]["size"]
    if max([size] if isinstance(size, int) else size) > LONGEST_SIDE:
        raise UserError(f"{place} is refused: it asks for pictures of {size} pixels")
    return about


def _of_classifier(place: Path) -> Trained:
    fitted = _classifier(str(place))
    about = fitted.about
    made = about.get("made") or {}
    kind = made.get("kind")
    common: dict[str, Any] = {
        "dataset": about["dataset"],
        "run": Run.on(about["features"], made, fold=about["fold"], classifier=place.parent.name),
        "classes": list(fitted.classes),
        "fitted": fitted,
    }
    if kind == "network":
        network = place.parent.parent / "model.onnx"
        facts = _facts(network, f"{place} reads the features of a network: ")
        return Trained(
            **common,
            view=facts["view"],
            policy=facts["decode"],
            files=[str(place), str(network)],
            network=str(network),
            layer=str(about["layer"]),
        )
    if kind == "backbone":
        weights = place.absolute().parents[5] / made["weights"]
        if not weights.is_file():
            raise UserError(
                f"{place} reads the features of {made['application']}, which is not at "
                f"{weights}: snakemake --cores all {made['weights']}"
            )
        return Trained(
            **common,
            view=made["view"],
            policy=made["decode"],
            files=[str(place), str(weights)],
            network=str(weights),
        )
    if kind is None:
        raise UserError(
            f"{place} does not say what its features are: fit it with this version of Darkroom"
        )
    return Trained(**common, view=made["view"], policy=made["decode"], files=[str(place)])


def _classifier(path: str) -> Fitted | Predictor:
    """By its graph, where it has one; else scikit-learn is loaded."""
    from darkroom.classify import graph_file

    if (predictor := graph_file.read(path)) is not None:
        return predictor
    from darkroom.classify import model_file

    return model_file.load(path)


# ---------------------------------------------------------------- the best one


def file_of(results: str, fold: str, features: str, classifier: str) -> str:
    """Where the classifier of a run stands."""
    own = "model.onnx" if classifier == HEAD else f"{classifier}/model.skops"
    return f"{results}/{fold}/{features}/{own}"


def of_folds(files: Sequence[str]) -> Trained:
    """A classifier by its files, one a fold: the mean of their probabilities.

    Parameters
    ----------
    files : as `find` takes them, at least one.
    """
    members = tuple(find(file) for file in files)
    if len(members) == 1:
        return members[0]
    run = members[0].run._replace(fold=FOLDS)
    together = list(dict.fromkeys(file for member in members for file in member.files))
    return replace(members[0], run=run, files=together, members=members)


def best(results: str, fold: str | None = None) -> Trained:
    """The best classifier of a data set by its validation images, as its report names it.

    Parameters
    ----------
    results : folder with `summary.parquet` and `metrics.parquet`.
    fold : the only one to be taken; None: all folds together, of each its best seed.

    Raises
    ------
    UserError
        There is none.
    """
    from darkroom.evaluate import ranking
    from darkroom.evaluate.tables import read_table

    folder = local_path(results)
    choice = ranking.choose(read_table(folder / "summary.parquet", ("model", "classifier", "part")))
    if choice is None:
        raise UserError(f"{folder}: nothing was evaluated there")
    runs = ranking.best_runs(read_table(folder / "metrics.parquet"), choice.key, fold)
    if not runs:
        raise UserError(f"{folder}: {' on '.join(choice.key[::-1])} has no run in {fold}")
    return of_folds(
        [file_of(str(folder), run["fold"], run["feature_set"], run["classifier"]) for run in runs]
    )


def named(results: str, name: str, fold: str | None = None) -> Trained:
    """A classifier of a data set's results, by its name.

    Parameters
    ----------
    results : folder of the data set.
    name : `cnn-seed0`, or on features `mobilenet/svm`; with its fold, or `folds`, in front of it or not.
    fold : the only one to be taken; None: all folds together.

    Raises
    ------
    UserError
        There is none of this name.
    """
    from darkroom.evaluate.tables import read_table

    folder = local_path(results)
    table = folder / "metrics.parquet"
    today = (
        set(read_table(table)["fold"]) if table.is_file() else None
    )  # others are of an earlier split
    files = [*sorted(folder.glob("*/*/model.onnx")), *sorted(folder.glob("*/*/*/model.skops"))]
    runs = {str(file.parent.relative_to(folder)): file for file in files}
    runs = {run: file for run, file in runs.items() if not today or run.partition("/")[0] in today}
    bare = name.removeprefix(f"{FOLDS}/")
    own = [
        str(file)
        for run, file in runs.items()
        if name == run or (run.partition("/")[2] == bare and fold in (None, run.partition("/")[0]))
    ]
    if own:
        return of_folds(own)
    known = sorted({run.partition("/")[2] for run in runs})
    raise UserError(f"{folder}: there is no model {name!r}{nearest(name, known)}")
