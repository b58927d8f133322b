"""Random days, the same for the same seed.

Outdoors every day has a clearness that remembers the day before, and every hour its clouds.
Indoors and at work days are a little brighter or busier than others, and some fall out. The
parameters are assumptions; what they do to the mean is tested.
"""

from __future__ import annotations

import numpy as np

from budget.scenario.profiles_of_day import OUTDOOR
from budget.scenario.simulation import DAY_S
from budget.scenario.store import Array
from budget.scenario.traces import Trace

CLEARNESS_MEAN = 0.6
"""Share of the clear sky's light that arrives over the years at middle latitudes."""
_MEMORY = 0.5  # correlation of neighbouring days
_SPREAD = 1.3  # of the log-odds of a day's clearness
_CLOUD_SPREAD = 0.25  # logarithm, within an hour
_LEAST_CLEARNESS = 0.06  # the darkest overcast lets this much through
_ABSENT_RATIO = 0.03  # holidays and illness
_DAY_SPREAD = 0.2  # logarithm


def with_weather(trace: Trace, seed: int) -> Trace:
    """A trace whose days differ as days do.

    Args:
        trace: outdoor light by the clear sky, or anything else.
        seed: the same seed gives the same weather.
    """
    rng = np.random.default_rng(seed)
    ends = np.cumsum(trace.duration_s)
    middle = ends - trace.duration_s / 2
    day = np.floor(middle / DAY_S).astype(np.intp)
    days = int(day[-1]) + 1
    if trace.name.partition(":")[0] == OUTDOOR:
        hour = np.floor(middle / 3600.0).astype(np.intp)
        clouds = np.exp(rng.normal(0.0, _CLOUD_SPREAD, int(hour[-1]) + 1) - _CLOUD_SPREAD**2 / 2)
        factor = np.minimum(clearness(days, rng)[day] * clouds[hour], 1.0)
    else:
        kept = (rng.random(days) >= _ABSENT_RATIO) / (1 - _ABSENT_RATIO)
        factor = (kept * np.exp(rng.normal(0.0, _DAY_SPREAD, days) - _DAY_SPREAD**2 / 2))[day]
    return Trace(trace.name, trace.meaning, trace.duration_s, trace.value * factor)


def clearness(days: int, rng: np.random.Generator) -> Array:
    """Clearness of consecutive days, up to 1; `CLEARNESS_MEAN` over many."""
    noise = rng.normal(0.0, 1.0, days)
    state = np.empty(days)
    state[0] = noise[0]
    fresh = np.sqrt(1 - _MEMORY**2)
    for i in range(1, days):
        state[i] = _MEMORY * state[i - 1] + fresh * noise[i]
    # the odds at which the mean of the logistic, taken over the spread, is what it should be
    centre = _centre((CLEARNESS_MEAN - _LEAST_CLEARNESS) / (1 - _LEAST_CLEARNESS))
    share = 1 / (1 + np.exp(-(centre + _SPREAD * state)))
    return np.asarray(_LEAST_CLEARNESS + (1 - _LEAST_CLEARNESS) * share)


def _centre(mean: float) -> float:
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights = weights / weights.sum()
    low, high = -10.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        found = float(np.sum(weights / (1 + np.exp(-(middle + _SPREAD * nodes)))))
        low, high = (middle, high) if found < mean else (low, middle)
    return (low + high) / 2
