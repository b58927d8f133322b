"""Energy-neutral sizes: against theory, against the simulation, and against each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from budget.api.check import Estimate, estimate
from budget.api.models import prepare
from budget.api.question import Question, device_of, question_of
from budget.api.size import size
from budget.errors import UsageError
from budget.scenario.deployment import load_w
from budget.scenario.outcome import simulate_store
from budget.scenario.profiles_of_day import day_trace
from budget.scenario.schema import Scenario, Source
from budget.scenario.simulation import Segments
from budget.scenario.sizing import (
    Site,
    kansal_bounds,
    least,
    pareto_front,
    smallest_area,
    smallest_storage,
)
from budget.scenario.store import Store


def asked(storage: str = "100J", source: str = "amorphous-500lx") -> tuple[Estimate, Question]:
    scenario = Scenario(
        rate_hz=1 / 60,
        storage=storage,
        source=Source(harvester=source, area_m2=20e-4, converter="bq25570"),
    )
    question = question_of(scenario)
    model = prepare("zoo:digits")
    return estimate(model, device_of("stm32u575"), runtime=None, question=question), question


@pytest.fixture(scope="module")
def site() -> Site:
    estimated, question = asked()
    assert question.storage is not None
    return Site(estimated.cycle(question), question.storage, day_trace("office-light", 7))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(60, 1e5), st.floats(0, 1e-3)), min_size=2, max_size=20),
    st.floats(0.1, 1.0),
)
def test_kansals_storage_is_enough(rows: list[tuple[float, float]], share: float) -> None:
    duration, power = (np.array(column) for column in zip(*rows))
    bounds = kansal_bounds(duration, power)
    load = share * bounds.mean_w
    if load < 1e-9 or bounds.below_j < 1e-9:
        return
    # begins with what the theorem asks for, and holds no more
    full = bounds.below_j * (1 + 1e-9) + 1e-12
    store = Store(full_j=full, on_j=full * 0.999)
    twice = [np.tile(column, 3) for column in (duration, power)]
    ones = np.ones_like(twice[0])
    segments = Segments(twice[0], twice[1], twice[1], load * ones, ones)
    assert simulate_store(store, segments, full).brown_outs == 0


def test_kansals_storage_is_needed_by_the_load_that_takes_all() -> None:
    duration, power = np.array([8.0, 16.0]) * 3600, np.array([90e-6, 0.0])
    bounds = kansal_bounds(duration, power)
    assert bounds.mean_w == pytest.approx(30e-6)
    assert bounds.below_j == pytest.approx(16 * 3600 * 30e-6)
    assert bounds.above_j == pytest.approx(8 * 3600 * 60e-6)
    full = bounds.below_j * 0.99
    store = Store(full_j=full, on_j=full * 0.5)
    ones = np.ones(6)
    segments = Segments(
        np.tile(duration, 3), np.tile(power, 3), np.tile(power, 3), bounds.mean_w * ones, ones
    )
    assert simulate_store(store, segments, full).brown_outs > 0


def test_the_smallest_storage_is_enough_and_no_smaller_is(site: Site) -> None:
    found = smallest_storage(site, 1 / 60)
    supply = site.supply()
    assert site.neutral(supply, 1 / 60, found.storage_ratio)
    assert not site.neutral(supply, 1 / 60, found.storage_ratio * 0.999)
    # without leakage it is the deepest fall of what comes in less what goes out
    load = load_w(site.cycle, 1 / 60) + supply.standing_w
    course = np.concatenate([[0.0], np.cumsum((supply.charge_w - load) * supply.duration_s)])
    deepest = float(np.max(np.maximum.accumulate(course) - course))
    assert found.storage_j == pytest.approx(deepest, rel=1e-4)
    assert found.storage_j <= kansal_bounds(supply.duration_s, supply.charge_w).below_j


def test_the_smallest_area_is_enough_and_no_smaller_is(site: Site) -> None:
    area = smallest_area(site, 1 / 60)
    assert site.neutral(site.supply(area), 1 / 60, 1.0)
    assert not site.neutral(site.supply(area * 0.999), 1 / 60, 1.0)


def test_nothing_on_the_front_is_beaten(site: Site) -> None:
    front = pareto_front(site, [5e-4, 10e-4, 20e-4, 40e-4], [1 / 120, 1 / 60])
    assert front
    for one in front:
        for other in front:
            if one is other:
                continue
            assert not (
                other.area_m2 <= one.area_m2
                and other.storage_j < one.storage_j * (1 - 1e-5)
                and other.rate_hz >= one.rate_hz
            )
    at_rate = [sizes for sizes in front if sizes.rate_hz == 1 / 60]
    assert [s.storage_j for s in at_rate] == sorted((s.storage_j for s in at_rate), reverse=True)


def test_leaking_storage_can_be_too_large() -> None:
    result = size(
        "zoo:digits", device="stm32u575", rate_hz=1 / 60, source="amorphous-500lx", area_m2=20e-4,
        converter="bq25570", storage="supercap-7.5f", day="office-light", days=7,
    )  # fmt: skip
    assert 0 < result.storage.storage_ratio < 1
    assert result.to_json()["storage_ratio"] == result.storage.storage_ratio
    assert result.area_m2 and result.area_m2 > 20e-4 and result.front


def test_least_of_what_is_enough_in_the_middle_only() -> None:
    assert least(lambda x: 3 < x < 1000, 1e-3, 1e6) == pytest.approx(3, rel=1e-5)
    assert least(lambda x: True, 1e-3, 1e6) == 1e-3
    assert least(lambda x: False, 1e-3, 1e6) == math.inf


def test_what_cannot_be_sized() -> None:
    estimated, question = asked(source="beeby-vibration")
    assert question.storage is not None
    vibrating = Site(estimated.cycle(question), question.storage, day_trace("always", 1))
    with pytest.raises(UsageError, match="area is not a choice"):
        smallest_area(vibrating, 1.0)
    with pytest.raises(UsageError, match="sizes need a source"):
        size("zoo:digits", device="stm32u575", rate_hz=1.0, storage="cr2032", day="always")
