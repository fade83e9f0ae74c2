"""The web application on the trained classifiers of a small chain."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import Client, override_settings

from darkroom.serve import site
from darkroom.serve.models import Served
from darkroom.serve.options import Options
from darkroom.serve.service import Service
from tests.support.small_chain import Chain

MODEL = "results/shapes/fold-1/tiny-seed0/svm"
OPTIONS = Options(workers=2, rate=100_000, allowed=("example.org",))
KEY = "0123456789abcdef" * 4


@pytest.fixture(scope="session")
def opened() -> Iterator[Service]:
    """A service whose model each test sets; its decoders are started once."""
    service = Service([], OPTIONS)
    service.loaded.set()
    site.application(service, KEY)
    yield service
    service.close()


@pytest.fixture(scope="session")
def known() -> dict[str, Served]:
    """Models that a test opened."""
    return {}


@pytest.fixture
def service(opened: Service, chain: Chain, known: dict[str, Served]) -> Service:
    """The application's service, with one model named `shapes`."""
    if MODEL not in known:
        known[MODEL] = Served.load(str(chain.root / MODEL))
    opened.names, opened.models = ["shapes"], {"shapes": known[MODEL]}
    return opened


@pytest.fixture
def client(service: Service) -> Client:
    return Client(SERVER_NAME="127.0.0.1")


@pytest.fixture
def told(service: Service) -> Iterator[Callable[..., Any]]:
    """Give the application other options for a test; returns a client."""
    plain, enabled = service.options, []

    def tell(**changes: Any) -> Client:
        service.options = dataclasses.replace(plain, **changes)
        change = override_settings(**site.settings_of(service.options, KEY))
        change.enable()
        enabled.append(change)
        return Client(SERVER_NAME="127.0.0.1")

    yield tell
    for change in reversed(enabled):
        change.disable()
    service.options = plain
    assert settings.SERVICE is service
