"""What values each tensor takes on representative data, and which part of them a scale covers.

min-max      everything that was seen
headroom     and an eighth more, for what was not
percentile   all but the outermost values of each side
mse          the part that makes the mean squared error of rounding and clipping least
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budget.errors import UsageError
from budget.graph import Array, DType, Graph, QuantParams
from budget.ops.interpreter import run

Sample = Mapping[str, Array]
"""One input: values by tensor name, in the graph's own shapes (batch 1)."""
METHODS = ("min-max", "headroom", "percentile", "mse")

_KEPT_VALUES = 1 << 15
_TAIL = 1e-5
# cutting more lessens the error of most values and loses the large ones that decide
_STEPS = np.linspace(1.0, 0.8, 21)
_WEIGHT_STEPS = np.linspace(1.0, 0.5, 26)


@dataclass(frozen=True, slots=True)
class Range:
    """Values a tensor takes; zero is always among them, for padding and sparsity.

    Attributes:
        low: smallest, at most 0.
        high: largest, at least 0.
    """

    low: float = 0.0
    high: float = 0.0

    def include(self, values: Array) -> Range:
        """The range widened to hold an array.

        Raises:
            UsageError: the array holds something that is not a number.
        """
        if not values.size:
            return self
        low, high = float(values.min()), float(values.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise UsageError(
                "the model computes values that are not finite numbers",
                hint="check the representative data",
            )
        return Range(min(self.low, low), max(self.high, high))

    def join(self, other: Range) -> Range:
        """The smallest range that holds both."""
        return Range(min(self.low, other.low), max(self.high, other.high))

    def scaled(self, factor: float) -> Range:
        """Both ends times a factor."""
        return Range(self.low * factor, self.high * factor)

    def fits(self, quant: QuantParams, dtype: DType = DType.INT8) -> bool:
        """Whether a scale covers the range, but for one step at its ends."""
        scale, zero = float(quant.scale[0]), int(quant.zero_point[0])
        half = 1 << (dtype.bits - 1)
        return (-half - 1 - zero) * scale <= self.low and self.high <= (half - zero) * scale

    def quant(self, dtype: DType = DType.INT8) -> QuantParams:
        """Scale and zero point that cover the range; zero is exact, 16 bits are symmetric."""
        if dtype is DType.INT16:
            spread, steps = max(self.high, -self.low), 32767
        else:
            spread, steps = self.high - self.low, 255
        scale = np.float32(spread / steps) if spread > 0 else np.float32(1)
        if scale < np.finfo(np.float32).tiny:
            scale = np.float32(1)
        if dtype is DType.INT16:
            return QuantParams.per_tensor(float(scale))
        zero = round(-128 - self.low / float(scale))
        return QuantParams.per_tensor(float(scale), min(max(zero, -128), 127))


class Observed:
    """What is remembered of one tensor's values: the extremes, and some of the values."""

    def __init__(self) -> None:
        self.range = Range()
        self._parts: list[NDArray[np.float32]] = []
        self._count = 0

    def add(self, values: Array, random: np.random.Generator) -> None:
        """Takes in one sample's values."""
        self.range = self.range.include(values)
        flat = values.reshape(-1)
        if flat.size > _KEPT_VALUES // 8:
            flat = flat[random.integers(0, flat.size, _KEPT_VALUES // 8)]
        self._parts.append(flat.astype(np.float32))
        self._count += flat.size
        if self._count > 4 * _KEPT_VALUES:
            together = np.concatenate(self._parts)
            self._parts = [together[random.integers(0, together.size, _KEPT_VALUES)]]
            self._count = _KEPT_VALUES

    def chosen(self, method: str) -> Range:
        """The part of the values that a scale shall cover."""
        if method == "min-max" or not self._count:
            return self.range
        if method == "headroom":
            return self.range.scaled(1.125)
        values = np.concatenate(self._parts)
        if method == "percentile":
            low, high = np.quantile(values, [_TAIL, 1 - _TAIL])
            return Range(min(float(low), 0.0), max(float(high), 0.0))
        return least_error(values, self.range)


def least_error(values: NDArray[np.float32], full: Range) -> Range:
    """The part of a range whose 256 steps round and clip values with the least squared error."""
    if len(values) > _KEPT_VALUES // 4:
        values = values[:: len(values) // (_KEPT_VALUES // 4)]
    best, least = full, _error(values, full)
    for _ in range(2):
        low, high = best.low, best.high
        for step in _STEPS:
            for tried in (Range(low * step, best.high), Range(best.low, high * step)):
                error = _error(values, tried)
                if error < least:
                    best, least = tried, error
    return best


def _error(values: NDArray[Any], tried: Range) -> float:
    quant = tried.quant()
    scale, zero = float(quant.scale[0]), int(quant.zero_point[0])
    stored = np.clip(np.rint(values / scale), -128 - zero, 127 - zero)
    return float(np.square(stored * scale - values).mean())


def observe(graph: Graph, values: Iterable[Sample], seed: int = 0) -> dict[str, Observed]:
    """What every float tensor that is computed or given was seen to be.

    Args:
        graph: in float.
        values: of all tensors by name, sample by sample (`Calibration.activations`).
        seed: for the choice of the values that are kept.

    Raises:
        UsageError: there are no samples, or they lead to values that are not finite.
    """
    random = np.random.default_rng(seed)
    found: dict[str, Observed] = {}
    for sample in values:
        for name, array in sample.items():
            if graph.type_of(name).dtype is DType.FLOAT32 and graph.constant(name) is None:
                found.setdefault(name, Observed()).add(array, random)
    if not found:
        raise UsageError("there is no representative data", hint="give at least one example")
    return found


def calibrate(graph: Graph, samples: Iterable[Sample]) -> dict[str, Range]:
    """The range of every float tensor that is computed or given, over all samples.

    Raises:
        UsageError: there are no samples, or they lead to values that are not finite.
    """
    every = ({**sample, **run(graph, sample, keep="all")} for sample in samples)
    return {name: seen.range for name, seen in observe(graph, every).items()}


def weight_scale(
    weights: NDArray[np.float64], axis: int | None, method: str
) -> NDArray[np.float64]:
    """Scales under which 8 bits hold weights: one, or one for each index of an axis.

    Args:
        weights: real.
        axis: of the channels; None for a single scale.
        method: ``min-max`` covers all of them, ``mse`` errs the least in the mean square.

    Returns:
        [1] or [channels]; 0 where all weights are zero.
    """
    rows = weights.reshape(1, -1) if axis is None else np.moveaxis(weights, axis, 0)
    rows = rows.reshape(len(rows), -1)
    full: NDArray[np.float64] = np.abs(rows).max(axis=1, initial=0.0) / 127
    if method == "min-max":
        return full
    safe = np.where(full > 0, full, 1.0)
    best, least = safe, np.full(len(rows), np.inf)
    for step in _WEIGHT_STEPS:
        tried = (safe * step)[:, None]
        error = np.square(np.clip(np.rint(rows / tried), -127, 127) * tried - rows).sum(1)
        best = np.where(error < least, tried[:, 0], best)
        least = np.minimum(error, least)
    return np.where(full > 0, best, 0.0)
