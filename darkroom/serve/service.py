"""Models and decoders together: from uploads to predictions."""

from __future__ import annotations

import base64
import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from darkroom.errors import UserError
from darkroom.models import heat, trained
from darkroom.models.trained import Trained
from darkroom.predict.picture import Prediction
from darkroom.serve.counts import Counts, Rate
from darkroom.serve.decoder import Decoders
from darkroom.serve.models import Served, card, names_of, places
from darkroom.serve.options import Options
from darkroom.serve.uploads import Refused, Upload

log = logging.getLogger(__name__)

HEAT_SECONDS = 1.0
OPENING_SECONDS = 30.0  # that a person's pictures wait for a model to be opened
SHOWN = 224  # pixels of a side of the picture that is shown beside its prediction


@dataclass(frozen=True)
class Answer:
    """The prediction of an upload.

    Attributes
    ----------
    prediction : its class, probabilities, status and reason.
    pixels : (H, W, C) uint8, as the model sees it.
    probability : of the predicted class; 0 for an unusable picture.
    unsure : whether that is below the limit.
    """

    prediction: Prediction
    pixels: np.ndarray
    probability: float
    unsure: bool

    @property
    def notes(self) -> list[str]:
        """The conversions of decoding, one sentence each."""
        one = self.prediction
        return one.reason.split("; ") if one.status == "converted" else []


class Service:
    """All that answers requests.

    It is there at once, with its decoders; `find` and `load` take the seconds of large libraries,
    and the server answers meanwhile that the models are being opened.

    Raises
    ------
    UserError
        There is nothing where a model is named.
    """

    def __init__(self, folders: Sequence[str], options: Options) -> None:
        self.options = options
        self.places = [place for folder in folders for place in places(folder)]
        self.decoders = Decoders(options)
        self.threads = ThreadPoolExecutor(options.workers, thread_name_prefix="decode")
        self.networks = threading.BoundedSemaphore(options.workers)  # that compute at a time
        self.counts, self.rate = Counts(), Rate(options.rate)
        self.found: list[Trained] = []
        self.names: list[str] = []  # none until all are found
        self.models: dict[str, Served] = {}
        self.failure = ""
        self.loaded = threading.Event()

    def find(self) -> None:
        """Find out what the models are.

        Raises
        ------
        UserError
            What is named is no model, or named twice.
        """
        self.found = [trained.find(place) for place in self.places]
        names = names_of(self.found)
        if twice := {name for name in names if names.count(name) > 1}:
            raise UserError(f"{', '.join(sorted(twice))} is named twice: name each model once")
        self.names = names

    def load(self) -> None:
        """Open the models, in their order; what fails is said by `model`."""
        try:
            for name, model in zip(self.names, self.found, strict=True):
                self.models[name] = Served.open(model, name)
        except UserError as error:
            self.failure = str(error)
            log.error("%s", error)
        except Exception:
            self.failure = "a model cannot be opened; the server's log says why"
            log.exception("a model cannot be opened")
        finally:
            self.loaded.set()

    @property
    def ready(self) -> bool:
        """Whether all models are open."""
        return self.loaded.is_set() and not self.failure

    def named(self, name: str = "") -> str:
        """The name of a model that may still have to be opened; of the first for an empty one.

        Returns
        -------
        It is empty as long as the only model's own is not known yet.

        Raises
        ------
        Refused
            There is none of the name (404); of several the names are not known yet (503).
        """
        if not self.names and (name or len(self.places) != 1 or self.failure):
            raise self.not_open()
        if name and name not in self.names:
            raise Refused(404, f"There is no model {name!r}; there are: {', '.join(self.names)}.")
        return name or next(iter(self.names), "")

    def model(self, name: str = "", wait: float = 0.0) -> Served:
        """A model by its name; the first for an empty one.

        Parameters
        ----------
        wait : seconds to wait for it to be opened.

        Raises
        ------
        Refused
            There is none of the name (404), or it is not open yet (503).
        """
        if wait and self.named(name) not in self.models:
            self.loaded.wait(wait)
        if (name := self.named(name)) not in self.models:
            raise self.not_open()
        return self.models[name]

    def not_open(self) -> Refused:
        """What is answered while a model is not open, and where it cannot be opened."""
        if self.failure:
            return Refused(503, self.failure)
        return Refused(503, "The models are being opened: try again shortly.", Retry_After="2")

    def predict(self, served: Served, uploads: Sequence[Upload]) -> list[Answer]:
        """Decode and predict pictures, in their order."""
        model, until = served.model, time.monotonic() + self.options.request_seconds

        def decode(upload: Upload) -> tuple[str, str, np.ndarray]:
            if upload.trouble:
                upload = Upload(upload.name, b"")
            return self.decoders.decode(
                upload.data, upload.name, view=model.view, policy=model.policy, until=until
            )

        several = len(uploads) > 1
        decoded = list(self.threads.map(decode, uploads) if several else map(decode, uploads))
        names = [upload.name for upload in uploads]
        stacked = np.stack([pixels for _, _, pixels in decoded])
        examined = [
            ("unusable", upload.trouble) if upload.trouble else (status, reason)
            for upload, (status, reason, _) in zip(uploads, decoded, strict=True)
        ]
        with self.networks:
            found = served.predict(names, stacked, examined)
        answers = []
        for one, (_, _, pixels) in zip(found, decoded, strict=True):
            known = dict(zip(model.classes, one.probabilities.tolist(), strict=False))
            own = known.get(one.predicted, 0.0)
            unsure = bool(one.predicted) and own < self.options.unsure_below
            answers.append(Answer(one, pixels, own, unsure))
        self.counts.predictions(served.name, answers)
        return answers

    def heat(self, served: Served, answer: Answer, until: float) -> np.ndarray | None:
        """Where the model looked, see `heat.occlusion`; None where it would take too long."""
        with self.networks:
            left = min(HEAT_SECONDS, until - time.monotonic())
            side = heat.grid(served.seconds, left, answer.pixels.shape)
            if not side:
                return None
            number = served.model.classes.index(answer.prediction.predicted)
            return heat.occlusion(served.ask, answer.pixels, number, side, time.monotonic() + left)

    def card(self, served: Served) -> dict[str, Any]:
        """What is known of a model, and what it predicted of late."""
        return {
            **card(served),
            "notice": self.notice(served),
            "unsure_below": self.options.unsure_below,
            "days": self.counts.by_day(served.name),
        }

    def notice(self, served: Served) -> str:
        """The sentence above its predictions: the command's, else its data set's."""
        return self.options.notice or served.notice

    def close(self) -> None:
        """End the decoders."""
        self.threads.shutdown(wait=False, cancel_futures=True)
        self.decoders.close()


def shown(pixels: np.ndarray) -> str:
    """What the model saw, as the address of a PNG that holds its data."""
    import cv2

    image = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.shape[2] == 3 else pixels
    if max(image.shape[:2]) > SHOWN:
        scale = SHOWN / max(image.shape[:2])
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    return "data:image/png;base64," + base64.b64encode(data.tobytes()).decode()
