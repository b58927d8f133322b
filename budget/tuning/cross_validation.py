"""What the latency model says of measurements that it has not seen.

Left out together are all rows of one architecture on one (runtime, core): a new model on a known
pair; or all rows of one board: a new board of a known core. Sizes and heads of an architecture
count as one. The spread of what is left out decides how wide intervals must be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from budget.tuning.latency_model import LatencyModel, Sample, Spread
from budget.tuning.measurements import Measurement, latencies, published
from budget.tuning.samples import samples

Z90 = 1.645
# How many rows of other runtimes weigh as much as one of the same runtime and core.
_STRANGER_WEIGHT = 0.1


@dataclass(frozen=True)
class HeldOut:
    """One measurement and what a fit without it says.

    Attributes:
        row: the measurement.
        cycles: predicted, the median.
        sigma: the model's own, of the logarithm.
        widening: by which other left-out rows say the model's sigma must be multiplied.
        parts: predicted cycles by price.
    """

    row: Measurement
    cycles: float
    sigma: float
    widening: float = 1.0
    parts: tuple[float, ...] = ()

    @property
    def log_error(self) -> float:
        """Logarithm of measured over predicted."""
        return math.log(self.row.cycles / self.cycles)

    @property
    def error_ratio(self) -> float:
        """How far the prediction is off, relative to the measurement."""
        return abs(self.cycles / self.row.cycles - 1.0)

    @property
    def reach_ratio(self) -> float:
        """The 90 % interval is predicted cycles divided and multiplied by this."""
        return math.exp(Z90 * self.sigma * self.widening)

    @property
    def is_inside(self) -> bool:
        """Whether the measurement lies in the 90 % interval."""
        return abs(self.log_error) <= Z90 * self.sigma * self.widening


def left_out_models(rows: Sequence[Measurement], spread: Spread | None = None) -> list[HeldOut]:
    """Each row predicted without its architecture on its (runtime, core).

    Rows of a pair that has no other architecture are left out of the answer.
    """
    return _widened(
        _held_out(
            rows,
            lambda row: (row.runtime, row.core, row.architecture),
            lambda row, kept: any((k.runtime, k.core) == (row.runtime, row.core) for k in kept),
            spread,
        )
    )


def left_out_boards(rows: Sequence[Measurement], spread: Spread | None = None) -> list[HeldOut]:
    """Each row predicted without its board, where another board has the same core."""
    return _widened(
        _held_out(
            rows,
            lambda row: row.board,
            lambda row, kept: any(k.core == row.core for k in kept),
            spread,
        )
    )


@lru_cache(maxsize=1)
def shipped() -> tuple[tuple[HeldOut, ...], tuple[HeldOut, ...]]:
    """Left-out models and left-out boards of the rows that ship; some seconds of work."""
    rows = latencies(published())
    return tuple(left_out_models(rows)), tuple(left_out_boards(rows))


def widening(held: Sequence[HeldOut], runtime: str, core: str, *, without: str = "") -> float:
    """By how much the model's sigma falls short of what left-out rows show.

    The 90th percentile of |error| / sigma over 1.645; rows of the same runtime and core count
    most, those of the same runtime or core less, all others a little.

    Args:
        held: left-out rows.
        runtime: asked about.
        core: asked about.
        without: an architecture whose rows must not count.
    """
    scored = []
    for item in held:
        row = item.row
        if row.architecture == without:
            continue
        alike = (row.runtime == runtime) + (row.core == core)
        weight = (_STRANGER_WEIGHT, 0.3, 1.0)[alike]
        scored.append((abs(item.log_error) / item.sigma, weight))
    scored.sort()
    if not scored:
        return 1.0
    total, reached = sum(weight for _, weight in scored), 0.0
    for ratio, weight in scored:
        reached += weight
        if reached >= 0.9 * total:
            return max(0.5, ratio / Z90)
    return max(0.5, scored[-1][0] / Z90)


def _held_out(
    rows: Sequence[Measurement],
    key: Callable[[Measurement], Hashable],
    is_known: Callable[[Measurement, Sequence[Measurement]], bool],
    spread: Spread | None,
) -> list[HeldOut]:
    everything = samples(rows)
    full = LatencyModel(everything, spread)
    keys = [key(row) for row in rows]
    found = []
    for left in dict.fromkeys(keys):
        kept = [i for i, k in enumerate(keys) if k != left]
        asked = [
            i
            for i, k in enumerate(keys)
            if k == left and is_known(rows[i], [rows[j] for j in kept])
        ]
        if not asked or not kept:
            continue
        model = LatencyModel([everything[i] for i in kept], spread, start=full)
        found += [_predicted(rows[i], everything[i], model) for i in asked]
    return found


def _predicted(row: Measurement, sample: Sample, model: LatencyModel) -> HeldOut:
    prediction = model.predict(sample.runtime, sample.core, sample.work)
    return HeldOut(row, prediction.cycles, prediction.sigma, 1.0, prediction.parts)


def _widened(held: list[HeldOut]) -> list[HeldOut]:
    return [
        HeldOut(
            item.row,
            item.cycles,
            item.sigma,
            widening(held, item.row.runtime, item.row.core, without=item.row.architecture),
            item.parts,
        )
        for item in held
    ]
