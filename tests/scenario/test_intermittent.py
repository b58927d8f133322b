"""Inference from a capacitor: against exhaustive search, a walk through charges, closed forms."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from budget.api.intermittent import FromCapacitor, from_capacitor
from budget.errors import UsageError
from budget.hardware import library
from budget.hardware.figure import exact
from budget.scenario.intermittent import _cover, border_bytes, charge_of, step_energies
from budget.scenario.schema import Scenario, Source
from budget.scenario.source import Chain

energy = st.floats(0.1, 5.0)


@cache
def made(storage: str, source: str = "", device: str = "stm32u575") -> FromCapacitor:
    life = Scenario(
        model="zoo:hotword", device=device, storage=storage, source=Source(harvester=source)
    )
    return from_capacitor(scenario=life)


@settings(max_examples=200, deadline=None)
@given(
    energies=st.lists(energy, min_size=1, max_size=7),
    data=st.data(),
    boot=st.floats(0.0, 1.0),
    charge=st.floats(1.0, 20.0),
)
def test_the_cover_is_the_best_of_all(
    energies: list[float], data: st.DataObject, boot: float, charge: float
) -> None:
    count = len(energies)
    costs = st.lists(st.floats(0.0, 1.0), min_size=count, max_size=count)
    saves, restores = data.draw(costs), data.draw(costs)

    def price(cuts: tuple[int, ...]) -> tuple[int, float] | None:
        """Runs and checkpoint energy of one way to cut, None if a run passes the charge."""
        starts, stops = (0, *cuts), (*cuts, count)
        spent = 0.0
        for start, stop in zip(starts, stops):
            restore = restores[start - 1] if start else 0.0
            save = saves[stop - 1] if stop < count else 0.0
            if boot + restore + sum(energies[start:stop]) + save > charge * (1 + 1e-12):
                return None
            spent += restore + save
        return len(stops), spent

    ways = [
        cuts
        for size in range(count)
        for cuts in itertools.combinations(range(1, count), size)
        if price(cuts) is not None
    ]
    found = _cover(energies, saves, restores, boot, charge)
    if found is None:
        tight = [w for w in ways if price(w) is not None]
        assert not tight or _on_the_edge(energies, charge)
        return
    priced = price(tuple(border + 1 for border in found[:-1]))
    assert priced is not None and ways
    best = min(p for p in (price(way) for way in ways) if p is not None)
    assert priced[0] == best[0]
    assert priced[1] == pytest.approx(best[1])


def _on_the_edge(energies: list[float], charge: float) -> bool:
    """Whether rounding may decide."""
    return any(
        math.isclose(sum(energies[a:b]), charge, rel_tol=1e-6)
        for a in range(len(energies))
        for b in range(a + 1, len(energies) + 1)
    )


def test_borders_hold_what_is_read_later() -> None:
    program = made("1F:3.3V:1.8V").estimate.program
    for border, size in enumerate(border_bytes(program)):
        alive = 0
        for buffer in program.buffers.values():
            written = max(buffer.first_step, 0) <= border
            read_later = buffer.last_step > border
            alive += buffer.size_bytes if written and read_later else 0
        assert size == alive
        # what the next steps read of RAM is in it, tensor by tensor
        later = {
            program.locations[name].buffer
            for step in program.steps[border + 1 :]
            for name in step.node.present_inputs
            if name in program.locations
        }
        before = {
            program.locations[name].buffer
            for step in program.steps[: border + 1]
            for name in step.node.outputs
        }
        needed = sum(program.buffers[name].size_bytes for name in later & before)
        assert size >= needed


def test_steps_sum_to_the_inference() -> None:
    found = made("1F:3.3V:1.8V").estimate
    steps = step_energies(found.program, found.inference)
    assert sum(float(step.value) for step in steps) == pytest.approx(
        float(found.inference.energy.value)
    )


@settings(max_examples=50, deadline=None)
@given(farads=st.floats(1e-6, 1.0), high=st.floats(2.5, 5.0), low=st.floats(1.6, 2.4))
def test_a_charge_is_half_c_v_squared(farads: float, high: float, low: float) -> None:
    from budget.api.question import storage_of

    storage = storage_of(f"{farads!r}F:{high!r}V:{low!r}V")
    charge = charge_of(Chain(library.harvester("beeby-vibration"), None, None, storage), 5e-3)
    by_hand = farads * (high**2 - low**2) / 2
    assert float(charge.energy.value) == pytest.approx(by_hand)
    assert float(charge.refill.value) == pytest.approx(by_hand / 46e-6)


def test_resistance_and_leakage_take_their_part() -> None:
    storage = library.storage("tantalum-10uf")
    chain = Chain(library.harvester("beeby-vibration"), None, None, storage)
    charge = charge_of(chain, 20e-3)
    assert charge.brown_out_v == pytest.approx(1.8 + 20e-3 * 3.0)
    filled = 10e-6 * (4.5**2 - 1.8**2) / 2
    assert float(charge.refill.value) == pytest.approx(filled / (46e-6 - 0.23e-6 * 4.5))
    dark = charge_of(replace(chain, source=None), 0.0)
    assert dark.refill.value == math.inf


def test_a_large_capacitor_needs_no_checkpoint() -> None:
    found = made("100mF:3.3V:1.8V")
    assert found.exit_code == 0
    for split in found.result.splits:
        assert split.power_cycles == (1, 1, 1)
        assert split.borders == () and split.save.value == 0 and split.checkpoint_bytes == 0
    assert float(found.result.inferences.value) > 1


def test_a_small_capacitor_is_walked_through_charge_by_charge() -> None:
    found = made("150uF:3.3V:1.8V", "1mW")
    program = found.estimate.program
    steps = [float(e.value) for e in step_energies(program, found.estimate.inference)]
    sizes = border_bytes(program)
    run_w = 25e-3
    inflow = 1e-3 / run_w
    capacitor = 150e-6 * (3.3**2 - 1.8**2) / 2
    for split in found.result.splits:
        memory = split.memory
        assert split.feasible
        runs = [-1, *split.borders, len(steps) - 1]
        assert split.power_cycles[0] == len(runs) - 1
        saved = 0.0
        for before, last in itertools.pairwise(runs):
            boot = memory.boot_j.value if memory.boot_j else 0.0
            boot = memory.boot_s.value * run_w if memory.boot_s else boot
            restore = save = 0.0
            if before >= 0 and not memory.retained:
                restore = float(memory.restore_j(sizes[before]).value)
            if last < len(steps) - 1 and not memory.retained:
                save = float(memory.save_j(sizes[last]).value)
            used = boot + restore + save + sum(steps[before + 1 : last + 1]) * (1 - inflow)
            assert used <= capacitor * (1 + 1e-9)
            saved += restore + save
        assert float(split.save.value) == pytest.approx(saved)
        assert math.isfinite(float(split.duration.value))
    kept = next(s for s in found.result.splits if s.memory.retained)
    fram = next(s for s in found.result.splits if s.memory.id == "fram")
    flash = next(s for s in found.result.splits if s.memory.id == "flash")
    assert kept.save.value == 0
    assert (kept.power_cycles[0] or 0) <= (fram.power_cycles[0] or 0)
    assert float(flash.spare_ratio.value) < float(fram.spare_ratio.value)


def test_a_piece_larger_than_a_charge_is_infeasible() -> None:
    found = made("1uF:3.3V:1.8V", "1mW")
    assert found.exit_code == 1
    for split in found.result.splits:
        assert not split.feasible and split.duration.value == math.inf
        assert float(split.spare_ratio.value) < 1
    document = found.to_json()
    assert document["checkpoints"][0]["power_cycles"]["value"] is None
    assert document["checkpoints"][0]["duration"] is None


def test_spare_tells_where_it_ends() -> None:
    """At a capacitor just large enough for the largest piece the inference ends."""
    retained = Scenario(model="zoo:hotword", device="stm32u575", storage="100uF:3.3V:1.8V")
    probe = from_capacitor(scenario=retained, memories=["fram"])
    spare = float(probe.result.splits[0].spare_ratio.value)
    for factor, feasible in ((1.0001, True), (0.9999, False)):
        storage = f"{100e-6 / spare * factor!r}F:3.3V:1.8V"
        found = from_capacitor(scenario=replace(retained, storage=storage), memories=["fram"])
        assert found.result.splits[0].feasible is feasible


def test_a_source_that_loses_to_leakage_never_refills() -> None:
    found = made("mlcc-100uf", "10nW")
    assert found.result.charge.refill.value == math.inf
    assert found.to_json()["refill"] is None


def test_too_close_to_call() -> None:
    pieces = made("100uF:3.3V:1.8V").result.splits
    fram = next(split for split in pieces if split.memory.id == "fram")
    size = 100e-6 / float(fram.spare_ratio.value)
    found = made(f"{size!r}F:3.3V:1.8V")
    assert found.exit_code == 6


def test_an_engine_runs_from_a_capacitor_too() -> None:
    found = made("100uF:3.3V:1.8V", device="dsp-20pj")
    assert found.result.splits[0].feasible


def test_only_capacitors() -> None:
    with pytest.raises(UsageError, match="no capacitor") as error:
        made("lipo-12mah")
    assert "470uF" in error.value.hint
    with pytest.raises(UsageError, match="no storage"):
        from_capacitor("zoo:hotword", device="stm32u575")


def test_checkpoint_energies_of_the_literature() -> None:
    """16 KiB: about 5.5 µJ in FRAM, about 520 µJ in flash with its erased pages."""
    assert float(library.checkpoint("fram").save_j(16384).value) == pytest.approx(5.5e-6, rel=0.01)
    flash = library.checkpoint("flash")
    assert float(flash.save_j(16384).value) == pytest.approx(520e-6, rel=0.01)
    assert float(flash.save_s(16384).value) == pytest.approx(4096 * 10.9e-6 + 2 * 12.9e-3, rel=0.01)
    assert float(flash.save_j(0).value) == 0
    assert exact(0.0, "J").value == library.checkpoint("retained-ram").save_j(10).value


def test_what_does_not_fit_in_ram_does_not_run_from_a_capacitor() -> None:
    life = Scenario(model="zoo:tiny-vww", device="msp430fr5994", storage="100mF:3.3V:1.8V")
    found = from_capacitor(scenario=replace(life, runtime="rule-of-thumb"))
    assert found.result.splits[0].feasible
    assert found.exit_code == 1  # 8 KiB of RAM
