"""Trainings that are stopped in the middle, and what those that go on still have to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from darkroom.train import optimizer


@contextmanager
def at_most(steps: int) -> Iterator[None]:
    """Let the training inside take no more than so many steps."""
    learning_rate, numbers = optimizer.learning_rate, iter(range(10**6))

    def counted(*args: Any) -> float:
        if next(numbers) == steps:
            raise InterruptedError(f"more than {steps} steps")
        return learning_rate(*args)

    with mock.patch.object(optimizer, "learning_rate", counted):
        yield


@contextmanager
def stopped_after(steps: int) -> Iterator[None]:
    """Stop the training inside after so many steps, which it must have."""
    try:
        with at_most(steps):
            yield
    except InterruptedError:
        return
    raise AssertionError(f"the training had no more than {steps} steps")
