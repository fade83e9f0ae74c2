"""What stands in for Keras' own code on JAX and PyTorch computes the same."""

from __future__ import annotations

import json

from tests.backends.conftest import process


def test_a_pooling_of_jax_and_its_gradient_are_those_of_keras() -> None:
    for case, far in json.loads(process("tests.backends.kernels", "jax")).items():
        assert far == [0, 0], case


def test_a_step_of_pytorch_can_be_recorded() -> None:
    """A graph on a card holds no value that comes from the host or goes there."""
    found = json.loads(process("tests.backends.kernels", "torch"))
    assert found["as Keras has it"]  # what the rest would find
    assert {name: seen for name, seen in found.items() if seen} == {
        "as Keras has it": found["as Keras has it"]
    }


def test_a_step_that_a_card_refuses_to_record_is_told() -> None:
    said = json.loads(process("tests.backends.kernels", "refused"))
    assert "(operation not permitted when stream is capturing): set compile: never" in said
