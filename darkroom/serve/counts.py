"""What the server counts: for Prometheus, and by day, so that a change of what is sent is seen."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client import Counter as Metric

if TYPE_CHECKING:
    from darkroom.serve.service import Answer

DAYS = 30
BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


@dataclass
class Day:
    """The predictions of a day.

    Attributes
    ----------
    classes : pictures by predicted class. unusable, unsure, unlike : pictures.
    probability : of the predicted classes, summed.
    unlikeness : of pictures whose model tells it, summed. told : how many these are.
    """

    classes: Counter[str] = field(default_factory=Counter)
    unusable: int = 0
    unsure: int = 0
    unlike: int = 0
    probability: float = 0.0
    unlikeness: float = 0.0
    told: int = 0


class Counts:
    """Counters of this process since its start."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.days: dict[str, dict[str, Day]] = {}
        self.registry = CollectorRegistry()
        self.requests = Metric(
            "darkroom_requests", "Requests", ["method", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "darkroom_request_seconds",
            "Seconds that requests with pictures took",
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.pictures = Metric(
            "darkroom_pictures",
            "Pictures by status (ok, converted, unusable)",
            ["model", "status"],
            registry=self.registry,
        )
        self.predicted = Metric(
            "darkroom_predictions",
            "Pictures by predicted class",
            ["model", "predicted"],
            registry=self.registry,
        )

    def predictions(self, model: str, answers: Iterable[Answer]) -> None:
        """Count predictions of a model."""
        today = datetime.now(UTC).date().isoformat()
        with self.lock:
            days = self.days.setdefault(model, {})
            day = days.setdefault(today, Day())
            for old in sorted(days)[:-DAYS]:
                del days[old]
            for answer in answers:
                one = answer.prediction
                self.pictures.labels(model, one.status).inc()
                if not one.predicted:
                    day.unusable += 1
                    continue
                self.predicted.labels(model, one.predicted).inc()
                day.classes[one.predicted] += 1
                day.probability += answer.probability
                day.unsure += answer.unsure
                if one.unlikeness is not None:
                    day.unlike += one.unlike
                    day.unlikeness += one.unlikeness
                    day.told += 1

    def by_day(self, model: str) -> list[dict[str, Any]]:
        """Counts of classes, mean probability and unlikeness of a model, the last day first."""
        with self.lock:
            return [
                {
                    "day": name,
                    "pictures": day.classes.total(),
                    "classes": dict(day.classes),
                    "mean_probability": day.probability / max(1, day.classes.total()),
                    "mean_unlikeness": day.unlikeness / day.told if day.told else None,
                    "unlike": day.unlike if day.told else None,
                    "unsure": day.unsure,
                    "unusable": day.unusable,
                }
                for name, day in sorted(self.days.get(model, {}).items(), reverse=True)
            ]

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self.registry)


class Rate:
    """Pictures a minute from one address: a bucket that fills evenly."""

    MOST = 10_000  # addresses that are remembered

    def __init__(self, a_minute: int) -> None:
        self.a_minute = a_minute
        self.lock = threading.Lock()
        self.left: dict[str, tuple[float, float]] = {}

    def wait(self, address: str, pictures: int, now: float) -> float:
        """Take pictures out of an address's bucket; seconds to wait where it holds too few."""
        with self.lock:
            left, before = self.left.pop(address, (float(self.a_minute), now))
            left = min(self.a_minute, left + (now - before) * self.a_minute / 60)
            enough = left >= min(pictures, self.a_minute)
            self.left[address] = (left - pictures if enough else left, now)
            while len(self.left) > self.MOST:  # the one that asked longest ago
                del self.left[next(iter(self.left))]
        return 0.0 if enough else (min(pictures, self.a_minute) - left) * 60 / self.a_minute
