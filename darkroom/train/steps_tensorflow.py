"""Training steps on TensorFlow: in one graph, on one device or shared by several GPUs.

Keras' own `train_on_batch` makes a graph for the first batch's size and another, for any size, for
the last batch of an epoch. Here the first is for any size.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from darkroom.errors import UserError
from darkroom.train.devices import Devices
from darkroom.train.steps_keras import Stack, judged, make_variables


class TensorFlowSteps:
    """One step or several in one graph, over the devices of the strategy that the network was built in.

    Parameters
    ----------
    network : compiled.
    devices : that it trains on.
    per_call : steps of one call at most.
    compile_ : by XLA.
    rows : (N, …) training rows to be put on the device, or None.
    """

    def __init__(
        self, network: Any, devices: Devices, per_call: int, compile_: bool, rows: Any = None
    ) -> None:
        import tensorflow as tf

        self.network, self.devices, self.per_call = network, devices, per_call
        self.resident, self.compiled = rows is not None, compile_
        self.strategy = devices.strategy or tf.distribute.get_strategy()
        place = "/GPU:0" if devices.kind == "gpu" else "/CPU:0"
        with tf.device(place):
            held = tf.constant(rows) if self.resident else None
        self.rate = network.optimizer.learning_rate
        one = tf.autograph.experimental.do_not_convert(network.train_step)
        test = tf.autograph.experimental.do_not_convert(network.test_step)

        def run(stack: Any, rates: Any) -> Any:
            network.reset_metrics()

            def body(step: Any) -> Any:
                images, targets, weights = (None if part is None else part[step] for part in stack)
                if held is not None:
                    images = tf.gather(held, images)
                self.rate.assign(rates[step])
                one((images, targets, weights))
                return (step + 1,)

            tf.while_loop(lambda step: step < tf.shape(rates)[0], body, (tf.constant(0),))
            return network.get_metrics_result()

        def run_on_each(batch: Any, rate: Any) -> None:
            self.rate.assign(rate)
            self.strategy.run(one, args=(batch,))

        def run_test(batch: Any) -> None:
            self.strategy.run(lambda own: test(own) and None, args=(batch,))

        options = {"autograph": False, "reduce_retracing": True, "jit_compile": compile_}
        self._train = tf.function(run if devices.count == 1 else run_on_each, **options)
        self._test = tf.function(run_test, **options)
        if devices.count == 1:
            self._train = _for_any_batch(self._train, 2)
            self._test = _for_any_batch(self._test, 1)
        with devices.scope():
            make_variables(network)
        if devices.count > 1:
            _clip_whole_gradient(network.optimizer, devices.count)

    def train(self, stack: Stack, rates: Sequence[float]) -> tuple[float, float]:
        """As `Steps.train`; where rows are resident, (K, B) places in them stand for pixels."""
        if self.devices.count == 1:
            with self._compiling():
                found = self._train(self._cut(stack, 1), np.asarray(rates, np.float32))
        else:  # a loop in the graph would let its sums over the devices overtake each other
            self.network.reset_metrics()
            for step, rate in enumerate(rates):
                batch = [None if part is None else part[step] for part in stack]
                self._train(self._cut(batch, 0), np.float32(rate))
            found = self.network.get_metrics_result()
        return float(found["loss"]), float(found["accuracy"])

    def test(self, images: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
        """As `Steps.test`."""
        self.network.reset_metrics()
        self._test(self._cut((images, targets, None), 0))
        return judged(self.network.get_metrics_result())

    @contextlib.contextmanager
    def _compiling(self) -> Iterator[None]:
        """Say in a sentence what XLA cannot: the gradient of a max pool, deterministically."""
        import tensorflow as tf

        try:
            yield
        except tf.errors.UnimplementedError as error:
            if not self.compiled:
                raise
            reason = str(error.message).splitlines()[0]
            raise UserError(
                f"compile: always: XLA cannot compile this network ({reason}): leave it at auto"
            ) from None

    def _cut(self, parts: Sequence[np.ndarray | None], axis: int) -> Any:
        """A part of each array for each device."""
        import tensorflow as tf

        n = self.devices.count
        assert parts[0] is not None
        if n == 1 or parts[0].shape[axis] % n:
            return tuple(None if part is None else tf.constant(part) for part in parts)
        cut = [None if part is None else np.split(part, n, axis) for part in parts]

        def own(context: Any) -> Any:
            number = context.replica_id_in_sync_group
            return tuple(None if pieces is None else tf.constant(pieces[number]) for pieces in cut)

        return self.strategy.experimental_distribute_values_from_function(own)


def _for_any_batch(function: Any, axes: int) -> Any:
    """A `tf.function` of arrays or None, whose graph is for any length of the first axes.

    Parameters
    ----------
    function : whose first call is yet to come.
    axes : how many may have any length.
    """
    import tensorflow as tf

    def spec(array: Any) -> Any:
        if array is None:
            return None
        shape = tuple(array.shape)
        return tf.TensorSpec((*[None] * len(shape[:axes]), *shape[axes:]), array.dtype)

    traced: list[Any] = []

    def call(*arrays: Any) -> Any:
        if not traced:
            traced.append(function.get_concrete_function(*tf.nest.map_structure(spec, arrays)))
        return function(*arrays)

    return call


def _clip_whole_gradient(optimizer: Any, count: int) -> None:
    """Let an optimizer clip the gradient of the whole batch, not that of each GPU's part of it.

    Keras clips on each GPU and then adds up. So each is given the mean of all gradients, and
    clips it to its part of the norm.
    """
    if optimizer.global_clipnorm is None:
        return
    import tensorflow as tf

    apply = optimizer.apply

    def apply_mean(gradients: Any, trainable_variables: Any = None) -> Any:
        context = tf.distribute.get_replica_context()
        mean = context.all_reduce(tf.distribute.ReduceOp.MEAN, list(gradients))
        return apply(mean, trainable_variables)

    optimizer.global_clipnorm /= count
    optimizer.apply = apply_mean
