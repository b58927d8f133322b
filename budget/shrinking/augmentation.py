"""More examples from few: shifted and mixed ones, which only the original can answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from budget.graph import Array
from budget.shrinking.examples import Examples

_SHIFT_RATIO = 0.06  # of an image's rows and columns, at most
_MIXED_RATIO = 0.5  # of the copies
_MIX = 0.4  # parameter of the Beta distribution, by which one of two examples prevails
UNKNOWN = -1
"""Label of an example of which nobody said what it is."""


def augmented(examples: Examples, copies: int, seed: int = 0) -> Examples:
    """Changed copies of examples, without the examples themselves.

    Images (and other inputs of three dimensions) are shifted by a few rows and columns; half of
    the copies are then mixed with another example (Zhang et al., "mixup", arXiv 1710.09412). They
    have no labels: the original says what it makes of them, whatever they are.

    Args:
        examples: with float inputs; integer inputs are copied as they are.
        copies: of each example.
        seed: of everything drawn.
    """
    count = len(examples)
    random = np.random.default_rng((seed, 1))
    parts: dict[str, list[Array]] = {name: [] for name in examples.inputs}
    for _ in range(copies):
        partner = random.permutation(count)
        share = random.beta(_MIX, _MIX, count)
        share = np.where(random.random(count) < _MIXED_RATIO, share, 1.0).astype(np.float32)
        for name, values in examples.inputs.items():
            if values.dtype.kind != "f":
                parts[name].append(values)
                continue
            moved = _shifted(np.asarray(values, np.float32), random)
            weight = share.reshape(-1, *[1] * (values.ndim - 1))
            parts[name].append(weight * moved + (1 - weight) * moved[partner])
    inputs = {name: np.concatenate(found) for name, found in parts.items()}
    return replace(examples, inputs=inputs, labels=None)


def joined(first: Examples, second: Examples) -> Examples:
    """Both, in this order; what has no label beside what has one is `UNKNOWN`."""
    inputs = {n: np.concatenate([v, second.inputs[n]]) for n, v in first.inputs.items()}
    if first.labels is None and second.labels is None:
        return replace(first, inputs=inputs)
    return replace(first, inputs=inputs, labels=np.concatenate([_labels(first), _labels(second)]))


def _labels(examples: Examples) -> NDArray[np.int64]:
    if examples.labels is None:
        return np.full(len(examples), UNKNOWN, np.int64)
    return examples.labels


def _shifted(values: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """Every image moved along its rows and columns; what comes in repeats the border."""
    if values.ndim != 4:
        return values
    found = values
    for axis in (1, 2):
        extent = values.shape[axis]
        reach = round(extent * _SHIFT_RATIO)
        steps = random.integers(-reach, reach + 1, len(values))
        places = np.clip(np.arange(extent)[None] + steps[:, None], 0, extent - 1)
        index = places[:, :, None, None] if axis == 1 else places[:, None, :, None]
        found = np.take_along_axis(found, index, axis)
    return found
