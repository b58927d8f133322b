"""Inference from a capacitor that is charged, spent and charged again.

    charge  = ½ · C · (V_on² − (V_off + I · R)²) · output efficiency
    a run   = boot + restore + steps + save    must fit one charge, less what flows in meanwhile
    cycles  = the fewest runs that cover all steps, in order; each step is atomic

A checkpoint holds the buffers that are alive at the border between two steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from budget.estimate.inference import InferenceEstimate
from budget.hardware.energy_profiles import Checkpoint, Storage
from budget.hardware.figure import Quantity, exact
from budget.plan.program import Program
from budget.records import record
from budget.scenario.source import Chain, headroom


@record
class Charge:
    """One filling of the storage.

    Attributes:
        turn_on_v: voltage at which the device starts.
        brown_out_v: at which it stops, the drop over the storage's resistance included.
        energy: that reaches the device from one to the other. [J]
        refill: time from brown-out to turn-on with the device off; infinite if it never is. [s]
    """

    turn_on_v: float
    brown_out_v: float
    energy: Quantity
    refill: Quantity


@record
class Split:
    """An inference spread over charges.

    Attributes:
        memory: where checkpoints go.
        power_cycles: charges that one inference takes: at the middle, at best and at worst of the
            90 % intervals; None where some step is larger than a charge.
        borders: steps behind which a checkpoint is taken.
        checkpoint_bytes: the largest checkpoint.
        save: energy of all checkpoints of one inference, saving and restoring. [J]
        duration: of one inference, recharging between its runs included. [s]
        spare_ratio: charge over the largest piece that may not be interrupted, with its
            boot, restore and save.
    """

    memory: Checkpoint
    power_cycles: tuple[int | None, int | None, int | None]
    borders: tuple[int, ...]
    checkpoint_bytes: int
    save: Quantity
    duration: Quantity
    spare_ratio: Quantity

    @property
    def feasible(self) -> bool:
        """Whether an inference ends at all, at the middle of the intervals."""
        return self.power_cycles[0] is not None


@record
class Intermittent:
    """What a capacitor means for a network.

    Attributes:
        charge: of the storage.
        inferences: for each charge, without splitting; below 1 it must be split.
        largest_step: index of the step that takes most energy.
        largest: its energy. [J]
        splits: one for each checkpoint memory.
    """

    charge: Charge
    inferences: Quantity
    largest_step: int
    largest: Quantity
    splits: tuple[Split, ...]


def charge_of(chain: Chain, current_a: float) -> Charge:
    """One filling of the chain's capacitor.

    Args:
        chain: its storage is a capacitor.
        current_a: drawn while the device runs; its drop over the storage's resistance is lost.
    """
    storage = chain.storage
    assert storage is not None and storage.capacitance_f is not None
    high, low = voltages(storage)
    resistance = storage.resistance_ohm.value if storage.resistance_ohm else 0.0
    end = min(low + current_a * resistance, high)
    capacitance = storage.capacitance_f.quantity
    energy = capacitance * ((high**2 - end**2) / 2) * chain.output_ratio
    net = headroom(chain.charging_now_w, chain.standing_w)
    filled = capacitance * ((high**2 - low**2) / 2)
    refill = exact(math.inf, "s")
    if float(net.value) > 0:
        refill = (filled / net).as_unit("s")
    return Charge(high, end, energy.as_unit("J"), refill)


def voltages(storage: Storage) -> tuple[float, float]:
    """Highest and lowest voltage of use. [V]"""
    high = storage.max_v.value if storage.max_v else storage.voltage_v.value
    return high, storage.min_v.value if storage.min_v else 0.0


def border_bytes(program: Program) -> list[int]:
    """Bytes alive behind each step: written in it or before, read after it.

    Returns:
        One for each step; behind the last one, what holds the outputs.
    """
    count = len(program.steps)
    change = [0] * (count + 1)
    for buffer in program.buffers.values():
        first, last = max(buffer.first_step, 0), min(buffer.last_step, count)
        if first < last:
            change[first] += buffer.size_bytes
            change[last] -= buffer.size_bytes
    return list(np.cumsum(change[:count]).tolist())


def step_energies(program: Program, inference: InferenceEstimate) -> list[Quantity]:
    """Energy of each step, scaled so that they sum to the inference's. [J]"""
    found = [exact(0.0, "J")] * len(program.steps)
    for layer in inference.layers:
        if layer.energy is not None:
            found[layer.step.index] = layer.energy
    whole = sum(float(energy.value) for energy in found)
    if not whole:
        return found
    return [(inference.energy * (float(e.value) / whole)).as_unit("J") for e in found]


def intermittent(
    program: Program, inference: InferenceEstimate, chain: Chain, memories: Sequence[Checkpoint],
    sleep_w: Quantity,
) -> Intermittent:  # fmt: skip
    """Runs a program from a capacitor.

    Args:
        program: its steps are the pieces that are never interrupted.
        inference: priced on the device.
        chain: its storage is a capacitor; its source recharges it, also while the device runs.
        memories: for checkpoints.
        sleep_w: power asleep with RAM kept, for memories that are retained RAM.
    """
    volts = inference.voltage_v or voltages(_capacitor(chain))[1]
    current = float(inference.power.value) / volts if inference.power is not None else 0.0
    charge = charge_of(chain, current)
    energies = step_energies(program, inference)
    largest = max(range(len(energies)), key=lambda i: float(energies[i].value))
    splits = tuple(
        _split(program, inference, chain, charge, energies, memory, sleep_w) for memory in memories
    )
    inferences = (charge.energy / inference.energy).as_unit("")
    return Intermittent(charge, inferences, largest, energies[largest], splits)


def _capacitor(chain: Chain) -> Storage:
    assert chain.storage is not None
    return chain.storage


def _split(
    program: Program,
    inference: InferenceEstimate,
    chain: Chain,
    charge: Charge,
    energies: Sequence[Quantity],
    memory: Checkpoint,
    sleep_w: Quantity,
) -> Split:
    sizes = [0 if memory.retained else size for size in border_bytes(program)]
    boot = _boot(memory, inference)
    inflow = _inflow_ratio(chain, inference)
    cover = [
        _cover(
            [_at(energy, side) * (1 - inflow) for energy in energies],
            [_at(memory.save_j(size), side) for size in sizes],
            [_at(memory.restore_j(size), side) for size in sizes],
            _at(boot, side),
            _at(charge.energy, -side),
        )
        for side in (0, -1, 1)
    ]
    borders = cover[0] or ()
    inner = [sizes[border] for border in borders[:-1]]
    save = exact(0.0, "J")
    seconds = inference.latency or exact(0.0, "s")
    for size in inner:
        save = save + memory.save_j(size) + memory.restore_j(size)
        seconds = seconds + memory.save_s(size)
    refill = charge.refill
    if memory.retained:
        filled = charge.refill * headroom(chain.charging_now_w, chain.standing_w)
        net = headroom(chain.charging_now_w, chain.standing_w + sleep_w)
        refill = filled / net if float(net.value) > 0 else exact(math.inf, "s")
    if inner:
        seconds = seconds + refill * len(inner)
    piece = max(
        (
            boot + energies[i] * (1 - inflow) + memory.save_j(size) + memory.restore_j(before)
            for i, (before, size) in enumerate(zip([0, *sizes], [*sizes[:-1], 0]))
        ),
        key=lambda quantity: float(quantity.value),
    )
    best, worst = cover[1], cover[2]
    return Split(
        memory,
        (_count(cover[0]), _count(best), _count(worst)),
        tuple(borders[:-1]),
        max(inner, default=0),
        save.as_unit("J"),
        seconds.as_unit("s") if cover[0] is not None else exact(math.inf, "s"),
        (charge.energy / piece).as_unit("ratio"),
    )


def _boot(memory: Checkpoint, inference: InferenceEstimate) -> Quantity:
    if memory.boot_j is not None:
        return memory.boot_j.quantity
    if memory.boot_s is not None and inference.power is not None:
        return (memory.boot_s.quantity * inference.power).as_unit("J")
    return exact(0.0, "J")


def _inflow_ratio(chain: Chain, inference: InferenceEstimate) -> float:
    """Share of the running power that flows in meanwhile; all of it at most."""
    if inference.power is None or not float(inference.power.value):
        return 0.0
    net = float(headroom(chain.charging_now_w, chain.standing_w).value)
    return min(1.0, net * float(chain.output_ratio.value) / float(inference.power.value))


def _at(quantity: Quantity, side: int) -> float:
    chosen = {-1: quantity.low, 0: quantity.value, 1: quantity.high}[side]
    return float(chosen)


def _count(borders: tuple[int, ...] | None) -> int | None:
    return None if borders is None else len(borders)


def _cover(
    energies: Sequence[float],
    saves: Sequence[float],
    restores: Sequence[float],
    boot: float,
    charge: float,
) -> tuple[int, ...] | None:
    """Fewest runs of steps that each fit a charge, and of those the least energy.

    Args:
        energies: of each step.
        saves: of a checkpoint behind each step; the one behind the last is not taken.
        restores: of reading it back.
        boot: of each run.
        charge: that a run may take.

    Returns:
        The last step of each run; None where some step alone takes more than a charge.
    """
    count = len(energies)
    sums = np.concatenate([[0.0], np.cumsum(energies)])
    best: list[tuple[float, float, int]] = [(0, 0.0, -1)] + [(math.inf, math.inf, -1)] * count
    for start in range(count):
        runs, spent, _ = best[start]
        if math.isinf(runs):
            continue
        restore = restores[start - 1] if start else 0.0
        for stop in range(start + 1, count + 1):
            steps = float(sums[stop] - sums[start])
            if boot + restore + steps > charge:
                break
            save = saves[stop - 1] if stop < count else 0.0
            if boot + restore + steps + save <= charge:
                candidate = (runs + 1, spent + restore + save, start)
                best[stop] = min(best[stop], candidate)
    if math.isinf(best[count][0]):
        return None
    borders, stop = [], count
    while stop > 0:
        borders.append(stop - 1)
        stop = best[stop][2]
    return tuple(reversed(borders))
