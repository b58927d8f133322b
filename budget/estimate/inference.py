"""Cycles, latency, energy, flash and RAM of one inference of a program on a device.

    cycles  = residual · (inference + Σ steps stall[kind] · (layer + outputs · output
                                                             + MACs · mac[kind]))
    stall   = 1 + flash wait states at the clock · stall per wait state (0 for code in a cache)
    latency = cycles / clock
    energy  = power while running · latency, or on an engine Σ MACs · energy per MAC
            or, of our own kernels, what budget.plan.kernel_cycles says of the step
    flash   = weights + code base + operator types · operator + steps · step
    RAM     = arena · arena ratio + base + steps · step + tensors · tensor
              + channels · channel + stack

The coefficients are figures of the runtime's and device's profiles; their intervals, and the
spread of the runtime's residuals, become the interval of the result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from budget.errors import ProfileError
from budget.estimate.stalls import NO_STALLS, Stalls, stalls_of
from budget.estimate.work import layer_of, operator_kind
from budget.hardware.device_profiles import Device
from budget.hardware.figure import Figure, Quantity, exact, total
from budget.hardware.runtime_profiles import Runtime, StepCycles
from budget.plan.planner import OWN_RUNTIME
from budget.plan.program import Program, Step
from budget.records import record

_PLANNING_BYTES = 130
_ARENA_ALIGNMENT_BYTES = 16


@record
class LayerEstimate:
    """One step's part in the whole.

    Attributes:
        step: of the program.
        cycles: None on an engine that only counts joules.
        latency: None where the device has no time.
        energy: of this step; None where it is not known.
        share_ratio: of the inference's cycles (of its energy on an engine).
        live_bytes: RAM alive while the step runs.
    """

    step: Step
    cycles: Quantity | None
    latency: Quantity | None
    energy: Quantity | None
    share_ratio: float
    live_bytes: int


@record
class InferenceEstimate:
    """What one inference takes.

    Attributes:
        clock_hz: core clock; None for an engine without one.
        voltage_v: supply; None where the profile has none.
        cycles: None on an engine.
        latency: None where the device has no time.
        power: while it runs; None where only an energy per MAC is known.
        energy: at ``boundary``.
        boundary: what the energy includes: ``datapath``, ``core`` or ``board``.
        flash: need; None where the runtime's code is not known.
        ram: need; None on a device without RAM of its own.
        layers: one for each step that runs.
        notes: what was borrowed or left out.
    """

    clock_hz: float | None
    voltage_v: float | None
    cycles: Quantity | None
    latency: Quantity | None
    power: Quantity | None
    energy: Quantity
    boundary: str
    flash: Quantity
    ram: Quantity
    layers: tuple[LayerEstimate, ...]
    notes: tuple[str, ...] = ()


def estimate_inference(
    program: Program,
    device: Device,
    runtime: Runtime,
    *,
    clock_hz: float | None = None,
    voltage_v: float | None = None,
    supply: str = "",
    code: Quantity | None = None,
) -> InferenceEstimate:
    """Estimates one inference.

    Args:
        program: planned for this runtime.
        device: a microcontroller or a compute engine.
        runtime: its kernels are priced for the device's core; not used on an engine.
        clock_hz: default: the device's highest.
        voltage_v: default: the profile's.
        supply: one of the device's supplies; empty: the usual one.
        code: flash besides the weights, where it is known better than by the profile. [bytes]

    Raises:
        ProfileError: clock or voltage out of range, or a runtime that does not know the core.
    """
    live = live_bytes_by_step(program)
    flash = flash_need(program, runtime, code)
    ram = ram_need(program, runtime)
    if device.category == "engine":
        return _on_engine(program, device, flash, ram, live)
    if device.max_hz is None:
        raise ProfileError(
            "a microcontroller needs a clock", where=device.id, hint="add clock.max_hz"
        )
    clock = device.max_hz if clock_hz is None else clock_hz
    power = device.power_w(clock_hz, voltage_v, supply)
    table = runtime.on(device.core)
    stalls = NO_STALLS if runtime.includes_stalls else stalls_of(device, clock)
    prices = _Prices(program, table, stalls)
    per_step = {step.index: prices.of(step) for step in program.steps}
    cycles = total([table.inference, *per_step.values()], "cycles")
    residual = table.table.residual_ratio or runtime.residual_ratio
    if residual is not None:
        cycles = (cycles * residual.quantity).as_unit("cycles")
    latency = (cycles / clock).as_unit("s")
    energy = (latency * power).as_unit("J")
    whole = float(cycles.value) or 1.0
    # equal steps share their quantities
    taken = {
        id(each): ((each / clock).as_unit("s"), (each / clock * power).as_unit("J"))
        for each in {id(each): each for each in per_step.values()}.values()
    }
    layers = tuple(
        LayerEstimate(
            step,
            per_step[step.index],
            *taken[id(per_step[step.index])],
            float(per_step[step.index].value) / whole,
            live[step.index],
        )
        for step in program.steps
        if step.kernel
    )
    voltage = voltage_v or (device.supply.voltage_v.value if device.supply else None)
    return InferenceEstimate(
        clock, voltage, cycles, latency, power, energy, device.boundary, flash, ram, layers,
        _borrowed(runtime, table, device, stalls),
    )  # fmt: skip


def step_cycles(
    step: Step, program: Program, table: StepCycles, stalls: Stalls = NO_STALLS
) -> Quantity:
    """Cycles of one step on the core that ``table`` is for; exactly zero for a view."""
    return _Prices(program, table, stalls).of(step)


def measured_cycles(
    step: Step, program: Program, table: StepCycles, stalls: Stalls = NO_STALLS
) -> Quantity | None:
    """From the table of measured kernels; None where that prices no step or lacks the kernel."""
    return _Prices(program, table, stalls).measured(step)


class _Prices:
    """Cycles of a program's steps; what equal steps take is calculated once."""

    def __init__(self, program: Program, table: StepCycles, stalls: Stalls) -> None:
        self.program, self.table, self.stalls = program, table, stalls
        self.nothing = exact(0.0, "cycles")
        self.known: dict[tuple[object, ...], Quantity] = {}

    def of(self, step: Step) -> Quantity:
        """See `step_cycles`."""
        if not step.kernel:
            return self.nothing
        measured = self.measured(step)
        if measured is not None:
            return measured
        layer = layer_of(step, self.program)
        is_float = self.program.types[step.node.outputs[0]].dtype.is_float
        key = (layer.kind, step.cost.macs, layer.elements, step.cost.flops, is_float)
        return self._once(self._of_profile, *key)

    def measured(self, step: Step) -> Quantity | None:
        """See `measured_cycles`."""
        if not self.table.table.kernel_table or self.program.runtime != OWN_RUNTIME:
            return None
        from budget.plan.kernel_cycles import predicted_cycles  # only our own runtime pays for it

        found = predicted_cycles(step, self.program)
        if found is None:
            return None
        kind = operator_kind(step, self.program)
        return self._once(self._of_table, kind, found.cycles, found.wait_cycles)

    def _once(self, price: Callable[..., Quantity], *key: object) -> Quantity:
        if key not in self.known:
            self.known[key] = price(*key)
        return self.known[key]

    def _of_table(self, kind: str, cycles: float, wait_cycles: float) -> Quantity:
        if self.stalls.is_cached:  # what a small cache makes wait does not, but for weights
            cycles *= self.stalls.ratio(kind)
        else:
            cycles += self.stalls.states * wait_cycles
        return (self.table.ratio * cycles).as_unit("cycles")

    def _of_profile(
        self, kind: str, macs: int, outputs: int, flops: int, is_float: bool
    ) -> Quantity:
        cycles = self.table.step(kind, macs=macs, outputs=outputs, flops=flops, is_float=is_float)
        return (cycles * self.stalls.ratio(kind)).as_unit("cycles")


def live_bytes_by_step(program: Program) -> list[int]:
    """RAM alive during each step: buffers written before or in it and read in it or later.

    Bytes that an output shares with the input it replaces count once.
    """
    return program.live_bytes


def flash_need(program: Program, runtime: Runtime, known: Quantity | None = None) -> Quantity:
    """Weights, and the runtime's code: what is known of it, else as its profile says. [bytes]"""
    if known is not None:
        return (known + program.weight_bytes).as_unit("bytes")
    running = [step for step in program.steps if step.kernel]
    types = len({step.node.op for step in running})
    code = runtime.code
    parts: Mapping[Figure | None, int] = {
        code.base_bytes: 1,
        code.operator_bytes: types,
        code.step_bytes: len(running),
    }
    return _sum_bytes(program.weight_bytes, parts)


def ram_need(program: Program, runtime: Runtime) -> Quantity:
    """Arena, the runtime's structures where the arena does not hold them, and stack. [bytes]"""
    overhead = runtime.ram
    if program.persistent_bytes:
        # the plan counted the runtime's structures one by one
        return _sum_bytes(program.arena_bytes, {overhead.stack_bytes: 1})
    running = [step for step in program.steps if step.kernel]
    channels = sum(
        program.types[step.node.outputs[0]].shape[-1]
        for step in running
        if operator_kind(step, program) in {"conv", "shallow_conv", "pointwise", "depthwise"}
    )
    parts = {
        overhead.base_bytes: 1,
        overhead.step_bytes: len(running),
        overhead.tensor_bytes: len(program.types),
        overhead.channel_bytes: channels,
        overhead.stack_bytes: 1,
    }
    structures = _sum_bytes(0, parts)
    if overhead.arena_ratio is None:
        return (structures + program.arena_bytes).as_unit("bytes")
    arena = overhead.arena_ratio.quantity * program.arena_bytes
    return (structures + arena).as_unit("bytes")


def tensor_arena_bytes(program: Program) -> int | None:
    """What to set TFLM's ``tensor_arena_size`` to; None for a runtime without such an arena.

    The arena in use, and room to align it. While AllocateTensors plans, the place of the
    activations holds its notes on every buffer, which a small network's are larger than: 130 bytes
    each on a 64-bit host (least arena of MLPerf Tiny's autoencoder with the package tflite-micro),
    less on a microcontroller.
    """
    if not program.persistent_bytes:
        return None
    activations = program.arena_bytes - program.persistent_bytes
    notes = _PLANNING_BYTES * len(program.buffers)
    size = program.persistent_bytes + max(activations, notes) + _ARENA_ALIGNMENT_BYTES
    return -(-size // _ARENA_ALIGNMENT_BYTES) * _ARENA_ALIGNMENT_BYTES


def _sum_bytes(counted: int, parts: Mapping[Figure | None, int]) -> Quantity:
    quantities = [f.quantity * times for f, times in parts.items() if f is not None]
    return total([exact(float(counted), "bytes"), *quantities], "bytes")


def _on_engine(
    program: Program, device: Device, flash: Quantity, ram: Quantity, live: list[int]
) -> InferenceEstimate:
    """An engine counts joules per MAC, and seconds where its throughput is known."""
    energies = {
        step.index: (device.mac_energy_j(operator_kind(step, program)) * step.cost.macs).as_unit(
            "J"
        )
        for step in program.steps
        if step.kernel
    }
    energy = total(energies.values(), "J")
    macs_per_s = device.engine.macs_per_s if device.engine else None
    latency = None
    if macs_per_s is not None:
        latency = (program.cost.macs / macs_per_s.quantity).as_unit("s")
    whole = float(energy.value) or 1.0
    layers = tuple(
        LayerEstimate(
            step,
            None,
            None if macs_per_s is None else (step.cost.macs / macs_per_s.quantity).as_unit("s"),
            energies[step.index],
            float(energies[step.index].value) / whole,
            live[step.index],
        )
        for step in program.steps
        if step.kernel
    )
    notes = ("energy counts multiply-accumulates only: the device is a compute engine",)
    return InferenceEstimate(
        None, None, None, latency, None, energy, device.boundary, flash, ram, layers, notes
    )


def _borrowed(
    runtime: Runtime, table: StepCycles, device: Device, stalls: Stalls
) -> tuple[str, ...]:
    notes = []
    if device.core not in runtime.cycles:
        notes.append(
            f"{runtime.id} has no figures of its own for {device.core}: its general ones are used"
        )
    elif table.lineage:
        notes.append(
            f"{runtime.id} was not measured on {device.core}: it borrows {table.lineage}, "
            "with a wider interval"
        )
    if stalls.is_assumed and stalls.states:
        notes.append(
            f"the profile of {device.id} has no flash wait states: {stalls.states} assumed, "
            f"as is usual for {device.core}"
        )
    return tuple(notes)
