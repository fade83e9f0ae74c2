"""Training steps on JAX: several in one compiled scan, on one device or shared by several GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from darkroom.train.devices import Devices
from darkroom.train.steps_keras import Stack, judged, make_variables


class JaxSteps:
    """Several steps in one compiled scan, over the devices of the distribution that holds.

    JAX always compiles.

    Parameters
    ----------
    network : compiled.
    devices : that it trains on.
    per_call : steps of one call at most.
    rows : (N, …) training rows to be put on the device, or None.
    """

    def __init__(self, network: Any, devices: Devices, per_call: int, rows: Any = None) -> None:
        import jax
        import keras

        self.network, self.devices, self.per_call = network, devices, per_call
        self.resident = rows is not None
        self.sharding: list[Any] = []
        if devices.count > 1:
            mesh = keras.distribution.distribution().device_mesh.backend_mesh
            spec = jax.sharding.PartitionSpec
            (axis,) = mesh.axis_names
            self.sharding = [
                jax.sharding.NamedSharding(mesh, spec(*s)) for s in ((axis,), (None, axis))
            ]
            self.sharding.append(jax.sharding.NamedSharding(mesh, spec()))
        self.rows = jax.device_put(rows) if self.resident else None
        make_variables(network)
        rate = network.optimizer.learning_rate
        (self.at,) = [i for i, v in enumerate(network.optimizer.variables) if v is rate]

        def steps(state: Any, rows: Any, stack: Any, rates: Any) -> Any:
            def body(state: Any, given: Any) -> Any:
                (images, targets, weights), rate = given
                if rows is not None:
                    images = rows[images]
                trainable, rest, optimizer, metrics = state
                optimizer = [*optimizer[: self.at], rate, *optimizer[self.at + 1 :]]
                state = trainable, rest, optimizer, metrics
                found, state = network.train_step(state, (images, targets, weights))
                return tuple(map(list, state)), found

            state, found = jax.lax.scan(body, state, (stack, rates))
            # metrics up to each step: the last one counts all
            return jax.tree.map(lambda values: values[-1], found), state

        def test(state: Any, batch: Any) -> Any:
            found, state = network.test_step(state, batch)
            return found, tuple(map(list, state))

        # after a call too each device has all variables
        after = {"out_shardings": (None, self.sharding[2])} if self.sharding else {}
        self._train = jax.jit(steps, donate_argnums=0, **after)
        self._test = jax.jit(test, **after)

    def _state(self) -> tuple[list[Any], ...]:
        parts = self._variables()
        return tuple([variable.value for variable in part] for part in parts)

    def _variables(self) -> tuple[list[Any], ...]:
        network = self.network
        return (
            network.trainable_variables,
            network.non_trainable_variables,
            network.optimizer.variables,
            network.metrics_variables,
        )

    def train(self, stack: Stack, rates: Sequence[float]) -> tuple[float, float]:
        """As `Steps.train`; where rows are resident, (K, B) places in them stand for pixels."""
        self.network.reset_metrics()
        rate = np.asarray(rates, np.float32)
        found, state = self._train(self._state(), self.rows, self._cut(stack, 1), rate)
        for variables, values in zip(self._variables(), state, strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        return float(found["loss"]), float(found["accuracy"])

    def test(self, images: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
        """As `Steps.test`."""
        self.network.reset_metrics()
        trainable, rest, _, metrics = self._state()
        found, _ = self._test((trainable, rest, metrics), self._cut((images, targets, None), 0))
        return judged(found)

    def _cut(self, parts: Sequence[np.ndarray | None], axis: int) -> Any:
        """Each array laid over the devices by its batch, or whole on each."""
        import jax

        assert parts[0] is not None
        if not self.sharding:
            return tuple(parts)
        even = parts[0].shape[axis] % self.devices.count == 0
        where = self.sharding[axis if even else 2]
        return tuple(None if part is None else jax.device_put(part, where) for part in parts)
