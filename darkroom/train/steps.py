"""How training steps reach a network: one a call or several, from data on the card, over several cards.

All ways compute the same: a plain `train_on_batch` for each batch, in order. On a card the call
itself and the copy of each batch cost more than the arithmetic of a small network; on a
processor they cost nothing that could be measured, and the plain way is taken.

Over several cards a batch is cut into equal parts, a part a card, and the sums are those of the
whole batch: batch norm sees all of it too. A batch that cannot be cut evenly is computed
whole by each card, which gives the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from darkroom.errors import UserError

PER_CALL = 16  # steps of one call on a card, where the settings leave it open

# (K, B, …) pixels, or (K, B) places of the resident rows; (K, B, C) targets; (K, B) weights or None
Stack = tuple[np.ndarray, np.ndarray, np.ndarray | None]


@dataclass
class Devices:
    """What a network computes on.

    Attributes
    ----------
    kind : `cpu` or `gpu` (any accelerator). count : devices that share each batch.
    strategy : TensorFlow's, where there are several.
    """

    kind: str
    count: int
    strategy: Any = None

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """What a network that trains on them is built and compiled in."""
        with self.strategy.scope() if self.strategy is not None else contextlib.nullcontext():
            yield


def check_cards(backend: str, cards: int) -> None:
    """Refuse what a backend cannot do.

    Raises
    ------
    UserError
        Several cards on PyTorch.
    """
    if backend == "torch" and cards > 1:
        raise UserError(
            f"gpus: {cards}: a training on several cards needs backend: jax or tensorflow; with "
            "torch it takes one: set gpus: 1"
        )


@contextlib.contextmanager
def devices(cards: int) -> Iterator[Devices]:
    """The devices of a training; Keras is imported, and no network is built yet.

    Parameters
    ----------
    cards : that the job was given. Where there are fewer devices, it takes those.

    Raises
    ------
    UserError
        As `check_cards`.
    """
    import keras

    backend = keras.backend.backend()
    check_cards(backend, cards)
    if backend == "tensorflow":
        import tensorflow as tf

        cards_here = tf.config.list_logical_devices("GPU")
        here = [d.name for d in cards_here or tf.config.list_logical_devices("CPU")][:cards]
        kind = "gpu" if cards_here else "cpu"
        strategy = tf.distribute.MirroredStrategy(here) if len(here) > 1 else None
        yield Devices(kind, max(1, len(here)), strategy)
    elif backend == "jax":
        import jax

        kind = "cpu" if jax.devices()[0].platform == "cpu" else "gpu"
        chosen = keras.distribution.list_devices()[:cards]
        if len(chosen) < 2:
            yield Devices(kind, 1)
            return
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=chosen))
        try:
            yield Devices(kind, len(chosen))
        finally:
            keras.distribution.set_distribution(None)
    else:
        import torch

        yield Devices("gpu" if torch.cuda.is_available() else "cpu", 1)


def synchronise(network: Any, on: bool) -> None:
    """Let batch norm of a network see the parts of a batch that other cards have, or no more.

    TensorFlow alone has a setting for it, which a file must not have: other backends refuse it.
    """
    import keras

    if keras.backend.backend() == "tensorflow":
        for layer in network._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = on


# ---------------------------------------------------------------- one batch a call


class Plain:
    """`train_on_batch` for each batch, on one device.

    Parameters
    ----------
    network : compiled.
    """

    per_call = 1
    resident = False

    def __init__(self, network: Any) -> None:
        self.network = network

    def train(self, stack: Stack, rates: Sequence[float]) -> tuple[float, float]:
        """Train by some batches of equal size.

        Parameters
        ----------
        stack : (K, B, H, W, C) uint8 or (K, B, …) float32; (K, B, C) targets; (K, B) weights.
        rates : K learning rates.

        Returns
        -------
        Mean loss and accuracy over the K · B images, each met before its step.
        """
        losses, right = 0.0, 0.0
        for step, rate in enumerate(rates):
            batch = [None if part is None else part[step] for part in stack]
            self.network.optimizer.learning_rate = rate
            said = self.network.train_on_batch(
                batch[0], batch[1], sample_weight=batch[2], return_dict=True
            )
            losses, right = losses + float(said["loss"]), right + float(said["accuracy"])
        return losses / len(rates), right / len(rates)

    def test(self, images: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
        """Loss and accuracy of a batch, without class weights."""
        said = self.network.test_on_batch(images, targets, return_dict=True)
        return float(said["loss"]), float(said["accuracy"])


def _make_variables(network: Any) -> None:
    """Make those of optimiser and metrics, before a graph in which none can come to be."""
    batch = [
        np.zeros((1, *shape[1:]), dtype)
        for shape, dtype in (
            (network.input_shape, network.input.dtype),
            (network.output_shape, "float32"),
        )
    ]
    network._symbolic_build(data_batch=(*batch, None))
    network.optimizer.build(network.trainable_variables)


# ---------------------------------------------------------------- TensorFlow


class OnTensorFlow:
    """Several steps in one graph, over the devices of the strategy that the network was built in.

    Parameters
    ----------
    network : compiled. devices : see `devices`. per_call : steps of one call at most.
    compile_ : by XLA. rows : (N, …) training rows to be put on the device, or None.
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

        def run(stack: Any, rates: Any) -> None:
            def body(step: Any) -> Any:
                images, targets, weights = (None if part is None else part[step] for part in stack)
                if held is not None:
                    images = tf.gather(held, images)
                self.rate.assign(rates[step])
                one((images, targets, weights))
                return (step + 1,)

            tf.while_loop(lambda step: step < tf.shape(rates)[0], body, (tf.constant(0),))

        def run_on_each(batch: Any, rate: Any) -> None:
            self.rate.assign(rate)
            self.strategy.run(one, args=(batch,))

        def run_test(batch: Any) -> None:
            self.strategy.run(lambda own: test(own) and None, args=(batch,))

        options = {"autograph": False, "reduce_retracing": True, "jit_compile": compile_}
        self._train = tf.function(run if devices.count == 1 else run_on_each, **options)
        self._test = tf.function(run_test, **options)
        with devices.scope():
            _make_variables(network)
        if devices.count > 1:
            _clip_sums(network.optimizer, tf)

    def train(self, stack: Stack, rates: Sequence[float]) -> tuple[float, float]:
        """As `Plain.train`; where rows are resident, (K, B) places in them stand for pixels."""
        self.network.reset_metrics()
        if self.devices.count == 1:
            with self._compiling():
                self._train(self._cut(stack, 1), np.asarray(rates, np.float32))
        else:  # a loop in the graph would let its sums over the devices overtake each other
            for step, rate in enumerate(rates):
                batch = [None if part is None else part[step] for part in stack]
                self._train(self._cut(batch, 0), np.float32(rate))
        return self._said()

    def test(self, images: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
        """As `Plain.test`."""
        self.network.reset_metrics()
        self._test(self._cut((images, targets, None), 0))
        return self._said()

    @contextlib.contextmanager
    def _compiling(self) -> Iterator[None]:
        """Say in a sentence what XLA cannot: the gradient of a max pool, deterministically."""
        import tensorflow as tf

        try:
            yield
        except tf.errors.UnimplementedError as error:
            if not self.compiled:
                raise
            said = str(error.message).splitlines()[0]
            raise UserError(
                f"compile: always: XLA cannot compile this network ({said}): leave it at auto"
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

    def _said(self) -> tuple[float, float]:
        said = self.network.get_metrics_result()
        return float(said["loss"]), float(said["accuracy"])


def _clip_sums(optimizer: Any, tf: Any) -> None:
    """Let an optimiser clip the gradient of the whole batch, not that of each part of it."""
    clip = optimizer._clip_gradients

    def summed(gradients: Any) -> Any:
        context = tf.distribute.get_replica_context()
        return clip(context.all_reduce(tf.distribute.ReduceOp.SUM, list(gradients)))

    optimizer._clip_gradients = summed
    optimizer._all_reduce_sum_gradients = list  # they are summed


# ---------------------------------------------------------------- JAX


class OnJax:
    """Several steps in one compiled scan, over the devices of the distribution that holds.

    Parameters
    ----------
    As for `OnTensorFlow`; JAX always compiles.
    """

    def __init__(self, network: Any, devices: Devices, per_call: int, rows: Any = None) -> None:
        import jax
        import keras

        self.network, self.devices, self.per_call = network, devices, per_call
        self.resident = rows is not None
        self.placed: list[Any] = []
        if devices.count > 1:
            mesh = keras.distribution.distribution().device_mesh.backend_mesh
            spec = jax.sharding.PartitionSpec
            (axis,) = mesh.axis_names
            self.placed = [
                jax.sharding.NamedSharding(mesh, spec(*s)) for s in ((axis,), (None, axis))
            ]
            self.placed.append(jax.sharding.NamedSharding(mesh, spec()))
        self.rows = jax.device_put(rows) if self.resident else None
        _make_variables(network)
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
                said, state = network.train_step(state, (images, targets, weights))
                return tuple(map(list, state)), said

            state, said = jax.lax.scan(body, state, (stack, rates))
            # what has been met up to each step: the last tells of all
            return jax.tree.map(lambda values: values[-1], said), state

        def test(state: Any, batch: Any) -> Any:
            said, state = network.test_step(state, batch)
            return said, tuple(map(list, state))

        # after a call too each device has all variables
        after = {"out_shardings": (None, self.placed[2])} if self.placed else {}
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
        """As `OnTensorFlow.train`."""
        self.network.reset_metrics()
        rate = np.asarray(rates, np.float32)
        said, state = self._train(self._state(), self.rows, self._cut(stack, 1), rate)
        for variables, values in zip(self._variables(), state, strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        return float(said["loss"]), float(said["accuracy"])

    def test(self, images: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
        """As `Plain.test`."""
        self.network.reset_metrics()
        trainable, rest, _, metrics = self._state()
        said, _ = self._test((trainable, rest, metrics), self._cut((images, targets, None), 0))
        return float(said["loss"]), float(said["accuracy"])

    def _cut(self, parts: Sequence[np.ndarray | None], axis: int) -> Any:
        """Each array laid over the devices by its batch, or whole on each."""
        import jax

        assert parts[0] is not None
        if not self.placed:
            return tuple(parts)
        even = parts[0].shape[axis] % self.devices.count == 0
        where = self.placed[axis if even else 2]
        return tuple(None if part is None else jax.device_put(part, where) for part in parts)


# ---------------------------------------------------------------- which way


Way = Plain | OnTensorFlow | OnJax


def choose(network: Any, settings: dict[str, Any], on: Devices, *, rows: np.ndarray | None) -> Way:
    """How a network is to be trained.

    Parameters
    ----------
    network : compiled. settings : `compile`, `steps_per_call` and `on_device` of a model.
    on : its devices. rows : (N, …) training rows, where all are held in memory and nothing
        changes them at random on the way; else None.

    Returns
    -------
    Steps with `per_call`, how many batches a call takes, and `resident`, whether places in
    `rows` stand for pixels.

    Raises
    ------
    UserError
        `compile: always` of TensorFlow over several GPUs; any of the three settings asked of
        PyTorch.
    """
    import keras

    backend = keras.backend.backend()
    if backend == "torch":
        _refuse_what_torch_has_not(settings)
    card = on.kind == "gpu"
    asked = settings.get("steps_per_call", "auto")
    per_call = (PER_CALL if card else 1) if asked == "auto" else int(asked)
    resident = settings.get("on_device", "auto")
    held = rows if resident == "always" or (resident == "auto" and card) else None
    if on.count > 1:
        held = None  # each card would hold and cut all of them
    compile_ = settings.get("compile", "auto") == "always"
    if compile_ and backend == "tensorflow" and on.count > 1:
        raise UserError(
            "compile: always: TensorFlow compiles for one card alone, and this training has "
            f"{on.count}: set compile: auto, or gpus: 1"
        )
    plain = per_call == 1 and held is None and on.count == 1 and not compile_
    if plain or backend == "torch":
        return Plain(network)
    if backend == "jax":
        return OnJax(network, on, per_call, held)
    return OnTensorFlow(network, on, per_call, compile_, held)


def _refuse_what_torch_has_not(settings: dict[str, Any]) -> None:
    for key in ("compile", "steps_per_call", "on_device"):
        value = settings.get(key, "auto")
        if value not in ("auto", "never", 1):
            raise UserError(
                f"{key}: {value}: with backend: torch Keras takes one plain step a call: leave it "
                "at auto"
            )
