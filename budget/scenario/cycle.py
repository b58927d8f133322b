"""One cycle of a sensing device: sleep, wake, sense, pre-process, infer, decide, transmit, sleep.

    period · average = sleep · (period − busy) + Σ steps + standing losses · period
    average          = standing + rate · cycle

The second form is the same sum with everything that does not stop taken together, which is what
an inverse question needs. Every function works on arrays of rates, areas and energies.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

import numpy as np

from budget.estimate.inference import InferenceEstimate
from budget.hardware.device_profiles import Device, Sleep
from budget.hardware.energy_profiles import Radio, Sensor
from budget.hardware.figure import Figure, Kind, Quantity, Real, Reference, exact, total
from budget.hardware.runtime_profiles import Runtime
from budget.ops.operator import Cost
from budget.plan.planner import OWN_RUNTIME
from budget.records import record
from budget.scenario.ledger import Entry, Ledger
from budget.scenario.source import Chain, at_least_zero, headroom, plain, smallest

if TYPE_CHECKING:
    from budget.features import FeatureSpec

CYCLES_PER_OPERATION = Figure(
    "front end/cycles_per_operation",
    2.5,
    1.5,
    5.0,
    "cycles",
    Kind.ASSUMED,
    Reference("front-end-code", "Loads, stores and arithmetic of scalar integer code"),
    "additions, shifts, comparisons and table look-ups of a front end in C",
)
"""What an operation that is no multiplication takes on any core."""

TABLE_ERROR = 1.05
"""Of tabled cycles: the table's own error and what a compiler's version changes."""


@record
class Duties:
    """What a scenario has a device do in a cycle besides inferring.

    Attributes:
        sensor: what it senses with; None: the data are there already.
        sensor_mode: mode while it senses; empty: the sensor's own choice.
        sense_s: how long it senses for one inference.
        readings: readings for one inference, of a mode that is priced by reading.
        sense_w: power of what runs beside the sensor meanwhile, such as an analog converter.
        sense_running: whether the processor runs while the sensor does; else it sleeps meanwhile.
        front_end: arithmetic of the pre-processing, once a cycle.
        specification: of the front end, where it is one that we emit.
        radio: None: nothing is sent.
        payload_bytes: of one message.
        message_ratio: messages for each cycle; 0.01: one in a hundred cycles has something to say.
    """

    sensor: Sensor | None = None
    sensor_mode: str = ""
    sense_s: float = 0.0
    readings: float = 1.0
    sense_w: float = 0.0
    sense_running: bool = False
    front_end: Cost | None = None
    specification: FeatureSpec | None = None
    radio: Radio | None = None
    payload_bytes: int = 0
    message_ratio: float = 1.0


@record
class Activity:
    """What a cycle does besides the inference.

    Attributes:
        duties: of the scenario.
        second: a larger network that the first one wakes.
        second_ratio: share of cycles in which it does.
        decide_operations: operations behind the network: largest output, threshold.
    """

    duties: Duties = field(default_factory=Duties)
    second: InferenceEstimate | None = None
    second_ratio: Real = 0.0
    decide_operations: int = 0


@record
class Cycle:
    """A device's cycle with everything priced; `ledger` spreads it over a period.

    Attributes:
        steps: of one cycle, in order, as seen at the supply pin.
        busy: time of one cycle in which the processor does not sleep. [s]
        latency: from the data to the decision; None on an engine without throughput. [s]
        sleep: power between cycles, RAM kept. [W]
        sleep_mode: its name; empty if there is none.
        always: power of what waits beside the processor, by name: sensor, radio. [W]
        chain: where the energy comes from.
        notes: what was left out.
    """

    steps: tuple[Entry, ...]
    busy: Quantity
    latency: Quantity | None
    sleep: Quantity
    sleep_mode: str
    always: tuple[tuple[str, str, Quantity], ...]
    chain: Chain
    notes: tuple[str, ...] = ()

    @property
    def steps_j(self) -> Quantity:
        """Energy of one cycle's steps at the supply pin. [J]"""
        return total((step.energy for step in self.steps), "J")

    @property
    def duration(self) -> Quantity:
        """Time of one cycle's steps one after the other, sensing included. [s]"""
        return total((step.time for step in self.steps if step.time is not None), "s")

    @property
    def cycle_j(self) -> Quantity:
        """Energy that one more cycle takes out of the storage, above sleeping through it. [J]"""
        above = at_least_zero(self.steps_j - self.sleep * self.busy)
        return (above / self.chain.output_ratio).as_unit("J")

    @property
    def standing_w(self) -> Quantity:
        """Power out of the storage without any cycle. [W]"""
        waiting = total((self.sleep, *(power for _, _, power in self.always)), "W")
        return total((waiting / self.chain.output_ratio, self.chain.standing_w), "W")

    @property
    def fastest_hz(self) -> Quantity | None:
        """Cycles per second if the device never slept; None where no step has a time. [1/s]"""
        if not np.all(np.asarray(self.busy.value) > 0):
            return None
        return (1.0 / self.busy).as_unit("1/s")

    def average_w(self, rate_hz: Real) -> Quantity:
        """Average power out of the storage: ``standing + rate · cycle``. [W]"""
        return (self.standing_w + self.cycle_j * rate_hz).as_unit("W")

    def sustainable_hz(self, have_w: Quantity | None = None) -> Quantity:
        """Highest rate that a power sustains, and that leaves time for every cycle. [1/s]

        Args:
            have_w: into the storage; default: what the chain charges on average.
        """
        have = self.chain.charging_w if have_w is None else have_w
        rate = (headroom(have, self.standing_w) / self.cycle_j).as_unit("1/s")
        fastest = self.fastest_hz
        return rate if fastest is None else smallest((rate, fastest)).as_unit("1/s")

    def ledger(self, rate_hz: Real) -> Ledger:
        """Energies of one period at a rate of cycles; sums to the average power."""
        period = np.divide(1.0, rate_hz)
        asleep = at_least_zero(Quantity(plain(period), "s") - self.busy).as_unit("s")
        entries = [
            Entry("sleep", self.sleep_mode, (self.sleep * asleep).as_unit("J"), asleep, True)
        ]
        entries += [
            Entry(name, detail, (power * plain(period)).as_unit("J"), None, True)
            for name, detail, power in self.always
        ]
        entries += self.steps
        chain = self.chain
        if chain.converter is not None and chain.converter.output_efficiency_ratio is not None:
            used = total((entry.energy for entry in entries), "J")
            lost = (used * ((1.0 - chain.output_ratio) / chain.output_ratio)).as_unit("J")
            one = exact(1.0, "ratio")
            shown = (used * headroom(one, chain.output_ratio) / chain.output_ratio).as_unit("J")
            entries.append(Entry("conversion", chain.converter.id, lost, shown=shown))
        for name, owner, power in (
            ("converter", chain.converter, chain.quiescent_w),
            ("leakage", chain.storage, chain.leakage_w),
        ):
            if owner is not None:
                joules = (power * plain(period)).as_unit("J")
                entries.append(Entry(name, owner.id, joules, None, True))
        return Ledger(rate_hz, tuple(entries))


def build_cycle(
    device: Device,
    runtime: Runtime,
    inference: InferenceEstimate,
    activity: Activity | None = None,
    chain: Chain | None = None,
) -> Cycle:
    """Prices a cycle.

    The sleep mode is the one of least power that keeps the RAM in use; where none keeps that
    much, the one that keeps most. While it wakes, the device is taken to draw its running power.

    Args:
        device: what the inference was estimated for.
        runtime: prices the front end's arithmetic.
        inference: of the network, or of the first of two.
        activity: the rest of the cycle; None: nothing but sleep and inference.
        chain: where the energy comes from; None: a wire.
    """
    activity, chain = activity or Activity(), chain or Chain()
    need = int(float(inference.ram.value))
    if activity.second is not None:
        need = max(need, int(float(activity.second.ram.value)))
    mode, sleep, notes = _sleep(device, need)
    name = mode[0] if mode else ""
    steps: list[Entry] = []
    if mode is not None and mode[1].wake_s is not None and inference.power is not None:
        steps.append(_running("wake", name, mode[1].wake_s.quantity, inference.power))
    duties = activity.duties
    sensing = _sense(duties, inference)
    computing = [
        *_front_end(duties, device, runtime, inference),
        Entry("infer", "", inference.energy, inference.latency),
        *_second(activity),
        *_decide(activity, inference),
    ]
    steps += [*sensing, *computing, *_transmit(duties)]
    busy = total((s.time for s in steps if s.time is not None and s.name != "sense"), "s")
    if duties.sense_running:
        busy = total((busy, *(s.time for s in sensing if s.time is not None)), "s")
    latency = None
    if inference.latency is not None:
        latency = total(
            (s.time for s in computing if s.time is not None and s.name != "second"), "s"
        )
    always = _waiting(duties, sensing)
    notes += [*inference.notes, *(activity.second.notes if activity.second else ())]
    return Cycle(tuple(steps), busy, latency, sleep, name, always, chain, (*notes, *chain.notes))


def _sleep(device: Device, need_bytes: int) -> tuple[tuple[str, Sleep] | None, Quantity, list[str]]:
    mode = device.sleep_mode(need_bytes)
    if mode is None and device.sleep:
        name = max(device.sleep, key=lambda n: _retained(device.sleep[n]))
        note = f"no sleep mode is known to keep all RAM in use: {name} is assumed to"
        return (name, device.sleep[name]), device.sleep[name].power_w, [note]
    if mode is None:
        note = "the profile has no sleep mode: power between inferences is not counted"
        return None, exact(0.0, "W"), [note] if device.category == "mcu" else []
    return mode, mode[1].power_w, []


def _retained(mode: Sleep) -> float:
    return mode.retained_bytes.value if mode.retained_bytes else 0.0


def _running(name: str, detail: str, seconds: Quantity, power: Quantity) -> Entry:
    return Entry(name, detail, (seconds * power).as_unit("J"), seconds.as_unit("s"))


def _sense(duties: Duties, inference: InferenceEstimate) -> list[Entry]:
    sensor = duties.sensor
    if sensor is None:
        return []
    mode = sensor.mode(duties.sensor_mode or sensor.active)
    detail = f"{sensor.id} {duties.sensor_mode or sensor.active}"
    seconds = exact(duties.sense_s, "s")
    joules = exact(0.0, "J")
    if mode.reading_j is not None and not duties.sense_s:
        joules = mode.reading_j.quantity * duties.readings
        if mode.reading_s is not None:
            seconds = mode.reading_s.quantity * duties.readings
    elif mode.power is not None:
        if sensor.startup_s is not None:
            seconds = seconds + sensor.startup_s.quantity
        # standby goes on being counted beside it, so only the difference is added
        joules = at_least_zero(mode.power - sensor.standby_w) * seconds
    if duties.sense_w:
        joules = joules + seconds * duties.sense_w
    if duties.sense_running and inference.power is not None:
        joules = joules + inference.power * seconds
    return [Entry("sense", detail, joules.as_unit("J"), seconds.as_unit("s"))]


def _front_end(
    duties: Duties, device: Device, runtime: Runtime, inference: InferenceEstimate
) -> list[Entry]:
    cost = duties.front_end
    if cost is None:
        return []
    if inference.clock_hz is None or inference.power is None:
        joules = (device.mac_energy_j("conv") * (cost.macs + cost.alu)).as_unit("J")
        macs_per_s = device.engine.macs_per_s if device.engine else None
        seconds = None
        if macs_per_s is not None:
            seconds = ((cost.macs + cost.alu) / macs_per_s.quantity).as_unit("s")
        return [Entry("pre-process", "front end", joules, seconds)]
    cycles = front_end_cycles(cost, device, runtime, duties.specification)
    return [_running("pre-process", "front end", (cycles / inference.clock_hz), inference.power)]


def front_end_cycles(
    cost: Cost, device: Device, runtime: Runtime, specification: FeatureSpec | None = None
) -> Quantity:
    """Cycles of a front end, priced like layers: its multiplications as a convolution's.

    Its other operations have a price of their own: kernels hide them, a front end does not. What
    we emit for a core whose cycles are tabled is looked up instead.
    """
    if specification is not None and runtime.id == OWN_RUNTIME:
        from budget.features.cycles import CLOCKED_CORE, predict_front_end

        if device.core == CLOCKED_CORE:
            cycles = float(predict_front_end(specification).cycles)
            return Figure(
                "front end/cycles",
                cycles,
                cycles / TABLE_ERROR,
                cycles * TABLE_ERROR,
                "cycles",
                Kind.FITTED,
                Reference("front-end-table", "Emitted front ends on the virtual Cortex-M4"),
                "docs/front_ends.md",
                "no wait states",
            ).quantity
    table = runtime.on(device.core)
    priced = table.mac("conv") * cost.macs + CYCLES_PER_OPERATION.quantity * cost.alu
    return priced.as_unit("cycles")


def _second(activity: Activity) -> list[Entry]:
    second = activity.second
    if second is None:
        return []
    joules = (second.energy * activity.second_ratio).as_unit("J")
    seconds = None if second.latency is None else second.latency * activity.second_ratio
    return [Entry("second", "larger network", joules, seconds)]


def _decide(activity: Activity, inference: InferenceEstimate) -> list[Entry]:
    if not activity.decide_operations or inference.clock_hz is None or inference.power is None:
        return []
    cycles = CYCLES_PER_OPERATION.quantity * activity.decide_operations
    return [_running("decide", "", cycles / inference.clock_hz, inference.power)]


def _transmit(duties: Duties) -> list[Entry]:
    radio = duties.radio
    if radio is None:
        return []
    joules = (radio.message_j(duties.payload_bytes) * duties.message_ratio).as_unit("J")
    seconds = radio.message_s(duties.payload_bytes)
    if seconds is not None:
        seconds = (seconds * duties.message_ratio).as_unit("s")
    return [Entry("transmit", radio.id, joules, seconds)]


def _waiting(duties: Duties, sensing: list[Entry]) -> tuple[tuple[str, str, Quantity], ...]:
    found = []
    if duties.sensor is not None and duties.sensor.standby:
        mode = duties.sensor.standby
        found.append(("sensor waits", f"{duties.sensor.id} {mode}", duties.sensor.standby_w))
    if duties.radio is not None and duties.radio.sleep_w is not None:
        found.append(("radio waits", duties.radio.id, duties.radio.sleep_w.quantity))
    return tuple(found)
