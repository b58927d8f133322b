"""Trains a graph against labels, against another network's outputs, or both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from budget.errors import UsageError
from budget.graph import Array
from budget.tf.regime import Regime
from budget.tf.trainable import Rounded, Trainable, logits_of

Progress = Callable[[int, float], None]
"""Called after each epoch with its number, from 1, and the mean loss."""

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-7
_WARM_UP = 0.05
_CLIP_NORM = 2.0


@dataclass(frozen=True)
class Lesson:
    """What a network is to learn.

    Attributes:
        inputs: by name, [example][...] as `Trainable` takes them.
        labels: class of each example, negative where it is not known; None where none is.
        taught: what the original computes in front of its softmax (or as its output, where there
            is none), [example][...]; None to learn from labels alone.
    """

    inputs: Mapping[str, Array]
    labels: NDArray[np.int64] | None = None
    taught: NDArray[np.float32] | None = None


@dataclass
class State:
    """Where training stands; enough to go on from there.

    Attributes:
        epoch: passes done.
        values: of the variables, by name.
        means: Adam's running means of gradients.
        squares: and of their squares.
    """

    epoch: int
    values: dict[str, NDArray[np.float32]]
    means: dict[str, NDArray[np.float32]]
    squares: dict[str, NDArray[np.float32]]


def train(
    model: Trainable,
    lesson: Lesson,
    regime: Regime,
    *,
    rounded: Rounded | None = None,
    progress: Progress | None = None,
    start: State | None = None,
    keep: Callable[[State], None] | None = None,
) -> list[float]:
    """Trains a model in place.

    Args:
        model: its variables change.
        lesson: examples and what they should give.
        regime: how.
        rounded: train as if quantised so.
        progress: called after each epoch.
        start: of an earlier, interrupted training with the same arguments.
        keep: called after each epoch with what `start` needs.

    Returns:
        The mean loss of each epoch that was run here.

    Raises:
        UsageError: there is nothing to learn from, or the loss is not a finite number.
    """
    step, state = _prepared(model, lesson, regime, rounded, start)
    losses = []
    for epoch in range(0 if start is None else start.epoch, regime.epochs):
        total, count = 0.0, 0
        for number, batch in _batches(lesson, regime, epoch):
            total, count = total + float(step(number, batch)), count + 1
        mean = total / max(count, 1)
        if not np.isfinite(mean):
            raise UsageError(
                f"the loss is not a number after {epoch + 1} passes over the data",
                where=model.graph.source.name or model.graph.name,
                hint=f"lower --learning-rate (it is {regime.rate:g}), or look for values in the "
                "data that are not finite",
            )
        losses.append(mean)
        if progress is not None:
            progress(epoch + 1, mean)
        if keep is not None:
            keep(state(epoch + 1))
    return losses


def _prepared(
    model: Trainable,
    lesson: Lesson,
    regime: Regime,
    rounded: Rounded | None,
    start: State | None,
) -> tuple[Callable[[int, Any], Any], Callable[[int], State]]:
    """A function that makes one step, and one that says where training stands."""
    if lesson.labels is None and lesson.taught is None:
        raise UsageError("there is nothing to learn from: no labels and no original")
    variables = list(model.variables.values())
    means = [tf.Variable(tf.zeros_like(v)) for v in variables]
    squares = [tf.Variable(tf.zeros_like(v)) for v in variables]
    if start is not None:
        model.assign(start.values)
        for mean, square, name in zip(means, squares, model.variables, strict=True):
            mean.assign(start.means[name])
            square.assign(start.squares[name])
    name, kind = logits_of(model.graph)
    steps = max(1, regime.epochs * _steps(lesson, regime))

    def step(number: Any, inputs: Any, labels: Any, taught: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = model(inputs, (name,), rounded)[name]
            loss = _loss(kind, logits, labels, taught, regime)
        gradients = tape.gradient(
            loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        gradients, _ = tf.clip_by_global_norm(gradients, _CLIP_NORM)
        share = number / steps
        rate = regime.rate * tf.minimum(
            share / _WARM_UP, 0.5 * (1.0 + tf.cos(np.pi * tf.minimum(share, 1.0)))
        )
        rate *= tf.sqrt(1.0 - _BETA2**number) / (1.0 - _BETA1**number)
        for v, g, mean, square in zip(variables, gradients, means, squares, strict=True):
            mean.assign(_BETA1 * mean + (1.0 - _BETA1) * g)
            square.assign(_BETA2 * square + (1.0 - _BETA2) * tf.square(g))
            v.assign_sub(rate * mean / (tf.sqrt(square) + _EPSILON))
        return loss

    compiled = tf.function(step, autograph=False)

    def run(number: int, batch: Any) -> Any:
        return compiled(tf.constant(float(number)), *batch)

    def state(epoch: int) -> State:
        names = list(model.variables)
        return State(
            epoch,
            model.values(),
            {n: m.numpy() for n, m in zip(names, means, strict=True)},
            {n: s.numpy() for n, s in zip(names, squares, strict=True)},
        )

    return run, state


def _loss(kind: str, logits: Any, labels: Any, taught: Any, regime: Regime) -> Any:
    parts = []
    share = regime.label_share if taught is not None else 1.0
    if labels is not None:
        flat = tf.reshape(logits, [tf.shape(labels)[0], -1])
        known = tf.cast(labels >= 0, tf.float32)
        named = tf.maximum(labels, 0)
        if flat.shape[-1] == 1:
            target = tf.cast(named, tf.float32)
            loss = tf.nn.sigmoid_cross_entropy_with_logits(target, flat[:, 0])
        else:
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(named, flat)
        parts.append(share * tf.reduce_mean(known * loss))
    if taught is not None:
        weight = 1.0 - share if labels is not None else 1.0
        parts.append(weight * _distance(kind, logits, taught, regime.temperature))
    return tf.add_n(parts)


def _distance(kind: str, logits: Any, taught: Any, temperature: float) -> Any:
    """How far outputs are from the original's.

    Softened cross-entropy times the temperature squared, less what the original itself has of it
    (Hinton et al., arXiv 1503.02531); for outputs that are no classes the mean squared error over
    the variance of the original's.
    """
    if kind == "softmax":
        soft = tf.nn.softmax(taught / temperature)
        ours = tf.nn.log_softmax(logits / temperature)
        own = tf.nn.log_softmax(taught / temperature)
        distance = tf.reduce_sum(soft * (own - ours), -1)
        return temperature**2 * tf.reduce_mean(distance)
    if kind == "logistic":
        soft = tf.sigmoid(taught)
        loss = tf.nn.sigmoid_cross_entropy_with_logits(soft, logits)
        return tf.reduce_mean(loss)
    spread = tf.math.reduce_variance(taught) + 1e-12
    return tf.reduce_mean(tf.square(logits - taught)) / spread


def _steps(lesson: Lesson, regime: Regime) -> int:
    count = len(next(iter(lesson.inputs.values())))
    return -(-count // regime.batch)


def _batches(lesson: Lesson, regime: Regime, epoch: int) -> Iterator[tuple[int, Any]]:
    """Steps of one epoch, numbered from 1 over all epochs; a short last batch is filled up."""
    count = len(next(iter(lesson.inputs.values())))
    steps = _steps(lesson, regime)
    order = np.random.default_rng((regime.seed, epoch)).permutation(count)
    order = np.resize(order, steps * min(regime.batch, count))
    for i, chosen in enumerate(np.split(order, steps)):
        inputs = {name: tf.constant(values[chosen]) for name, values in lesson.inputs.items()}
        labels = None if lesson.labels is None else tf.constant(lesson.labels[chosen])
        taught = None if lesson.taught is None else tf.constant(lesson.taught[chosen])
        yield epoch * steps + i + 1, (inputs, labels, taught)
