"""The results of a data set in a notebook or a program: `darkroom.open("results/photos")`.

photos = darkroom.open("results/photos")
photos.summary                                  # a row for each model and classifier
model = photos.model()                          # the best by the validation images
model.predict(["a.jpg", "holiday/"])            # a row for each picture
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.errors import UserError
from darkroom.machine import parquet_file

if TYPE_CHECKING:
    import pandas as pd

    from darkroom.models.trained import Opened, Trained

MOST_THREADS = 8


class Results:
    """What a run wrote for one data set; docs/formats.md describes each table.

    Parameters
    ----------
    folder : `results/{dataset}`.

    Raises
    ------
    UserError
        There are no results.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not (self.folder / "summary.parquet").is_file():
            raise UserError(
                f"{folder}: no results of a data set are here (looked for {self.folder / 'summary.parquet'})"
            )

    def __repr__(self) -> str:
        return f"darkroom.open({str(self.folder)!r})"

    @cached_property
    def summary(self) -> pd.DataFrame:
        """A row for each model, classifier and part, over seeds and folds."""
        return self._table("summary")

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """A row for each run and part."""
        return self._table("metrics")

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """Every prediction of a validation or test image."""
        return self._table("predictions")

    def model(self, name: str | None = None, *, fold: str | None = None) -> Model:
        """A trained classifier, ready to predict.

        Parameters
        ----------
        name : `cnn-seed0`, or on features `mobilenet/svm`; None: the best by the validation images.
        fold : of a cross-validation, `fold-2`; None: the mean of all folds' models.

        Raises
        ------
        UserError
            There is none of this name.
        """
        from darkroom.models import trained

        results = str(self.folder)
        if name is None:
            return Model(trained.best(results, fold))
        return Model(trained.named(results, name, fold))

    def _table(self, name: str) -> pd.DataFrame:

        return parquet_file.frame(self.folder / f"{name}.parquet")


class Model:
    """A trained classifier; it is loaded by its first prediction and stays loaded.

    Parameters
    ----------
    trained : its files and what they say.
    """

    def __init__(self, trained: Trained) -> None:
        self.trained = trained
        self.name, self.classes = trained.name, list(trained.classes)

    def __repr__(self) -> str:
        return f"<{self.name} of {self.trained.dataset}: {', '.join(self.classes)}>"

    @cached_property
    def threshold(self) -> float:
        """Of two classes: the probability of the second from which it is predicted."""
        from darkroom.models import beside

        return beside.threshold_beside(self.trained)[0]

    def predict(self, images: str | Path | Sequence[str | Path]) -> pd.DataFrame:
        """Predict pictures.

        Parameters
        ----------
        images : a picture, a folder, or several.

        Returns
        -------
        A row for each picture: `file`, `predicted`, a column for each class with its probability,
        `unlike` (all that the model learned from), `status` and `reason`. A picture that cannot be
        used has no class and NaN.
        """
        import numpy as np
        import pandas as pd

        from darkroom.predict import command, picture

        given = [images] if isinstance(images, str | Path) else images
        found = command.pictures([str(image) for image in given])
        rows = []
        for one in picture.predict(
            self.trained, found, threshold=self.threshold, threads=_threads(), ask=self._ask
        ):
            p = one.probabilities if len(one.probabilities) else np.full(len(self.classes), np.nan)
            probabilities = {
                name: float(value) for name, value in zip(self.classes, p, strict=True)
            }
            rows.append(
                {"file": one.file, "predicted": one.predicted, **probabilities,
                 "unlike": one.unlike, "status": one.status, "reason": one.reason}
            )  # fmt: skip
        columns = ["file", "predicted", *self.classes, "unlike", "status", "reason"]
        return pd.DataFrame(rows, columns=columns)

    @cached_property
    def _ask(self) -> Opened:
        return self.trained.open(_threads())


def _threads() -> int:
    from darkroom.machine import hardware

    return min(MOST_THREADS, hardware.cores())


def open(folder: str | Path) -> Results:
    """The results of a data set, `results/{dataset}`."""
    return Results(folder)
