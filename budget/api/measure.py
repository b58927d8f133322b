"""Emitted firmware on a virtual core: cycles, memory and exactness of one inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from budget.api.firmware import Firmware
from budget.api.measurement import MeasuredLayer, Measurement
from budget.core.build import OPTIMISE_FLAGS, Compiler, build, find_compiler
from budget.core.elf import Elf, Symbol, load_elf
from budget.core.flash import FlashTiming, Waits
from budget.core.machine import Machine
from budget.core.profile import Count
from budget.core.timed import Timed, timed_call
from budget.core.timing import CORES, timing_of
from budget.errors import UsageError
from budget.hardware import library
from budget.hardware.device_profiles import Device
from budget.hardware.figure import Figure, Kind, Quantity, Reference, exact

_SILICON = Reference(
    "mlperf-tiny-microtvm",
    "MLPerf Tiny v1.0, microTVM on NUCLEO-L4R5ZI, rebuilt and timed on the virtual core",
    "https://github.com/mlcommons/tiny_results_v1.0",
)
_ARENA = "memory"  # the name that emitted C gives its static arena
# 5th and 95th percentile of silicon's cycles over ours, see docs/virtual_core.md
_ERRORS: Mapping[str, tuple[float, float, Kind]] = {
    "cortex-m4": (0.97, 1.08, Kind.MEASURED),
    "cortex-m3": (0.90, 1.15, Kind.ASSUMED),
    "cortex-m0plus": (0.90, 1.15, Kind.ASSUMED),
    "cortex-m33": (0.70, 1.40, Kind.ASSUMED),
    "cortex-m7": (0.80, 1.80, Kind.ASSUMED),
}
_FLOAT_LOW = 0.80  # floating-point code on Cortex-M4: one build, 16 % fewer cycles on silicon
_WAITS_HIGH = 1.29  # where waiting for flash is not in our cycles: seven builds, 3 to 29 % more
_FLOAT_SHARE = 0.05  # of the instructions, from which a program counts as floating-point code


@dataclass(frozen=True)
class Target:
    """Where and how to measure; see `measure`."""

    core: str
    device: Device | None = None
    clock_hz: float | None = None
    compiler: Compiler | None = None
    flags: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


def measure(
    program: str | Path,
    *,
    core: str | None = None,
    device: str | None = None,
    clock_hz: float | None = None,
    compiler: str | None = None,
    flags: Sequence[str] = (),
    symbol: str | None = None,
    setup: Sequence[str] = (),
    optimise: str = "balanced",
    precision: str | None = None,
    rounding: str = "tflite",
    autotune: bool = False,
) -> Measurement:
    """Runs one inference on a virtual core.

    Args:
        program: a model (path or ``zoo:NAME``), a folder that `emit` wrote, or an ELF file.
        core: such as ``cortex-m4``; if not given the device's, else what the folder was emitted
            for, else Cortex-M4.
        device: whose clock, flash and power to use.
        clock_hz: default: the device's highest.
        compiler: ``gcc`` or ``zig``; the first that is present if not given.
        flags: more for the compiler.
        symbol: function to call, for an ELF file.
        setup: functions to call before it, not timed.
        optimise: for a model: what to emit for.
        precision: for a model: as for `emit`.
        rounding: for a model: as for `emit`.
        autotune: for a model: as for `emit`.

    Raises:
        UsageError: an argument is missing or makes no sense.
        MissingToolError: the emulator, or a compiler where one is needed, is not installed.
        ModelError: the program or model cannot be used.
        FirmwareError: it did not run to its end.
        BuildError: the C does not compile.
    """
    profile = library.device(device) if device is not None else None
    path = Path(program)
    firmware = Firmware.read(path) if path.is_dir() else None
    chosen = core or (profile.core if profile is not None else _written_for(firmware))
    timing_of(chosen)  # an unknown core is told of before anything is built
    target = Target(
        chosen,
        profile,
        _clock(profile, clock_hz),
        None,
        tuple(flags),
        {
            "optimise": optimise,
            "precision": precision,
            "rounding": rounding,
            "autotune": autotune,
        },
    )
    if not str(program).startswith("zoo:") and path.is_file():
        data = path.read_bytes()
        if data[:4] == b"\x7fELF":
            return _measure_elf(load_elf(data, path.name), symbol, setup, target)
    if symbol is not None:
        raise UsageError(
            "only a linked program has symbols to choose from", where="--symbol",
            hint="give an ELF file; a model's NAME_invoke is found without",
        )  # fmt: skip
    firmware = firmware or _emit(program, target)
    return measure_firmware(firmware, replace(target, compiler=find_compiler(compiler)))


def measure_firmware(firmware: Firmware, target: Target) -> Measurement:
    """Builds emitted files and runs one inference of them."""
    flags = (*OPTIMISE_FLAGS[firmware.optimise], *target.flags)
    image = build(
        firmware.sources,
        target.core,
        keep=firmware.entry_points,
        compiler=target.compiler,
        flags=flags,
    )
    elf = load_elf(image.data, firmware.name)
    machine = Machine(elf)
    arena = elf.symbols.get(_ARENA)
    paint = machine.paint(arena.address, arena.size_bytes) if arena else None
    steps = [_functions(elf, layer["function"]) for layer in firmware.layers]
    timed = timed_call(
        machine,
        f"{firmware.name}_invoke",
        partial(firmware.prepare, machine),
        timing_of(target.core),
        scopes=[found[0] for found in steps if found],
        flash=_flash_timing(target),
    )
    used = machine.painted_bytes(paint)[1] if paint else None
    return _finish(
        target,
        elf,
        timed,
        name=firmware.name,
        compiler=image.compiler.version,
        flags=image.flags,
        macs=firmware.macs,
        layers=_layers(firmware, elf, timed, steps),
        io_bytes=firmware.io_bytes,
        arena_bytes=firmware.arena_bytes,
        arena_used_bytes=used,
        outputs_agree=_selftest(firmware, target, flags),
        tolerant=firmware.has_real_outputs,
        notes=()
        if firmware.target in {"portable", target.core}
        else (f"the C was emitted for {firmware.target}, not for {target.core}",),
    )


def _measure_elf(elf: Elf, symbol: str | None, setup: Sequence[str], target: Target) -> Measurement:
    if symbol is None:
        elf_functions = ", ".join(sorted(n for n, s in elf.symbols.items() if s.is_function)[:8])
        raise UsageError(
            "which function is to be timed?",
            where=elf.name,
            hint=f"--symbol NAME; it has {elf_functions or 'no symbols'}",
        )
    machine = Machine(elf)

    def prepare() -> list[int]:
        for function in setup:
            machine.call(function)
        return []

    timing = timing_of(target.core)
    timed = timed_call(machine, symbol, prepare, timing, flash=_flash_timing(target))
    notes = (f"returned {timed.run.result}",)
    return _finish(target, elf, timed, name=f"{elf.name}:{symbol}", notes=notes)


def _flash_timing(target: Target) -> FlashTiming | None:
    """What the device's profile says of waiting for flash; None where it says nothing or none."""
    if target.device is None or target.clock_hz is None:
        return None
    states, flash = target.device.wait_states(target.clock_hz), target.device.flash
    if not states or flash is None or flash.word_bytes is None:
        return None
    word = int(flash.word_bytes.value)

    def size(figure: Figure | None, default: int = 0) -> int:
        return default if figure is None else int(figure.value)

    return FlashTiming(
        states,
        word,
        size(flash.line_bytes, word),
        size(flash.instruction_cache_bytes),
        size(flash.data_cache_bytes),
    )


def _emit(program: str | Path, target: Target) -> Firmware:
    from budget.api.emit import emit

    emission = emit(
        program,
        None,
        target=target.core,
        device=target.device,
        clock_hz=target.clock_hz,
        **target.options,
    )
    return Firmware(emission.files, emission.manifest)


def _written_for(firmware: Firmware | None) -> str:
    target = "" if firmware is None else firmware.target
    return target if target in CORES else "cortex-m4"


def _clock(device: Device | None, clock_hz: float | None) -> float | None:
    if device is None:
        if clock_hz is not None:
            raise UsageError("a clock needs a device", where="--clock", hint="give --device ID")
        return None
    return clock_hz if clock_hz is not None else device.max_hz


def _functions(elf: Elf, name: str) -> list[Symbol]:
    """A step's function and what the compiler split off it (``.constprop.0``, ``.part.0``)."""
    found = [
        s
        for n, s in elf.symbols.items()
        if s.is_function and (n == name or n.startswith(f"{name}."))
    ]
    return sorted(found, key=lambda s: (".part" in s.name, s.name))


def _selftest(firmware: Firmware, target: Target, flags: Sequence[str]) -> bool | None:
    """Runs the recorded inferences; None where the firmware brings none."""
    sources = firmware.selftest_sources
    if not sources:
        return None
    symbol = f"{firmware.name}_selftest"
    image = build(sources, target.core, keep=(symbol,), compiler=target.compiler, flags=flags)
    machine = Machine(load_elf(image.data, f"{firmware.name}_selftest"))
    return machine.call(symbol, [0]).result == 0


def _layers(
    firmware: Firmware, elf: Elf, timed: Timed, steps: Sequence[Sequence[Symbol]]
) -> tuple[MeasuredLayer, ...]:
    counted: dict[str, Count] = {}
    waited: dict[str, Waits] = {}
    # the first scope is what ran outside all layers
    scopes = timed.profile.scopes
    waits = timed.waits or [Waits()] * (len(scopes) + 1)
    for (name, count), wait in zip(scopes, waits[1:], strict=True):
        counted[name] = counted.get(name, Count()) + count
        waited[name] = waited.get(name, Waits()) + wait
    whole = max(timed.cycles, 1)
    rows = []
    for layer, symbols in zip(firmware.layers, steps):
        tables = [elf.symbols[t["name"]] for t in layer["tables"] if t["name"] in elf.symbols]
        entry = symbols[0].name if symbols else ""
        count, wait = counted.get(entry, Count()), waited.get(entry, Waits())
        rows.append(
            MeasuredLayer(
                layer["index"],
                layer["layer"],
                layer["operator"],
                layer["macs"],
                count,
                wait,
                sum(symbol.size_bytes for symbol in (*symbols, *tables)),
                (count.cycles + wait.cycles) / whole,
            )
        )
    return tuple(rows)


def _finish(
    target: Target,
    elf: Elf,
    timed: Timed,
    *,
    name: str,
    notes: tuple[str, ...] = (),
    **known: Any,
) -> Measurement:
    """Joins what was counted with the device's clock and power."""
    timing = timing_of(target.core)
    device, clock = target.device, target.clock_hz
    count = timed.profile.total
    cycles = exact(float(timed.cycles), "cycles")
    latency = energy = None
    if device is not None and clock is not None:
        waited = timed.waits is not None or device.wait_states(clock) == 0
        cycles = _against_silicon(cycles, target, count, waited)
        latency = (cycles / clock).as_unit("s")
        energy = (latency * device.power_w(clock)).as_unit("J")
    flash = {"code": 0, "constants": 0, "data": 0}
    for section in elf.sections:
        if section.memory != "bss":
            flash[section.memory] += section.size_bytes
    return Measurement(
        name=name,
        core=target.core,
        timing=timing.source,
        count=count,
        wait_states=None if device is None or clock is None else device.wait_states(clock),
        waits=sum(timed.waits or (), Waits()),
        cycles=cycles,
        functions=timed.profile.functions,
        flash_bytes=flash,
        static_ram_bytes=elf.ram_bytes,
        stack_bytes=timed.run.stack_bytes,
        device=device,
        clock_hz=clock,
        latency=latency,
        energy=energy,
        notes=(*notes, *_notes(target, timed.waits is not None)),
        **known,
    )


def _notes(target: Target, waited: bool) -> tuple[str, ...]:
    if target.device is None or target.clock_hz is None:
        return ("no device given: cycles are those of zero wait states",)
    states = target.device.wait_states(target.clock_hz)
    notes = []
    if target.core != target.device.core:
        notes.append(f"{target.device.id} has a {target.device.core}, not a {target.core}")
    if not waited and states != 0:
        missing = "how its flash keeps up" if states is None else "the caches of its flash"
        notes.append(
            f"the profile of {target.device.id} does not say {missing}: "
            "waiting for flash is not in the cycles"
        )
    if _ERRORS[target.core][2] is Kind.ASSUMED:
        notes.append(f"the model of {target.core} was not compared with silicon")
    return tuple(notes)


def _against_silicon(cycles: Quantity, target: Target, count: Count, waited: bool) -> Quantity:
    """The cycles with the interval that comparing with silicon gave."""
    low, high, kind = _ERRORS[target.core]
    if count.float_instructions > _FLOAT_SHARE * count.instructions:
        low = min(low, _FLOAT_LOW)
    if not waited:
        high = max(high, _WAITS_HIGH)
    figure = Figure(
        key=f"virtual-core/{target.core}",
        value=1.0,
        low=low,
        high=high,
        unit="ratio",
        kind=kind,
        reference=_SILICON if kind is Kind.MEASURED else None,
        where="eight builds for STM32L4R5, five flash wait states",
    )
    return (cycles * figure.quantity).as_unit("cycles")
