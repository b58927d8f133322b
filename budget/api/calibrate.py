"""A user's own measurements make a runtime profile that is sharper on their board."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from budget.api.files import write_folder
from budget.api.models import prepare
from budget.errors import UsageError
from budget.estimate.stalls import NO_STALLS, stalls_of
from budget.estimate.work import Layer, layer_of
from budget.hardware import library
from budget.hardware.device_profiles import Device
from budget.hardware.figure import Quantity
from budget.hardware.runtime_profiles import Runtime
from budget.plan import plan
from budget.tuning.calibrate import Calibrated, Comparison
from budget.tuning.calibrate import calibrate as fit
from budget.tuning.exports import Export, Reading, read_export
from budget.tuning.latency_model import OWN, Sample
from budget.tuning.measurements import features
from budget.tuning.prices import REFERENCE, REFERENCE_TITLE, to_toml
from budget.tuning.refit import CORES


@dataclass(frozen=True)
class Calibration:
    """What the measurements changed.

    Attributes:
        output: the runtime profile that was written.
        runtime: it was made from.
        device: the measurements were made on.
        format: of the file: ``table``, ``ppk2``, ``joulescope`` or ``energyrunner``.
        result: prices, and errors before and after.
        measured_power_w: median of energy over latency; None without energies.
        profile_power: the device profile's, at the same clock and supply.
        device_output: the device profile that was written, if asked for.
    """

    output: Path
    runtime: Runtime
    device: Device
    format: str
    result: Calibrated
    measured_power_w: float | None
    profile_power: Quantity | None
    device_output: Path | None

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """One for each measurement."""
        return self.result.comparisons

    def to_json(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        from budget.api.documents import SCHEMA

        power = self.profile_power
        return {
            "schema": SCHEMA,
            "command": "calibrate",
            "output": str(self.output),
            "runtime": self.runtime.id,
            "device": self.device.id,
            "format": self.format,
            "reach_before_ratio": self.result.reach_before,
            "reach_after_ratio": self.result.reach_after,
            "measurements": [
                {
                    "model": c.network,
                    "measured_cycles": c.measured,
                    "before_cycles": c.before,
                    "after_cycles": c.after,
                    "before_ratio": c.before_ratio,
                    "after_ratio": c.after_ratio,
                }
                for c in self.comparisons
            ],
            "measured_power_w": self.measured_power_w,
            "profile_power": power.to_json() if power is not None else None,
            "device_output": str(self.device_output) if self.device_output else None,
        }


def calibrate(
    measurements: str | Path,
    output: str | Path,
    *,
    runtime: str,
    device: str | None = None,
    model: str | None = None,
    clock_hz: float | None = None,
    voltage_v: float | None = None,
    device_output: str | Path | None = None,
) -> Calibration:
    """Fits a runtime to a user's measurements and writes its profile.

    Args:
        measurements: a table, or an instrument's export (`budget.tuning.exports`).
        output: the TOML file to write; its stem becomes the runtime's id.
        runtime: what ran, one of the fitted runtimes.
        device: where, unless the table says.
        model: what ran, unless the table says.
        clock_hz: unless the table says; default: the device's highest. [Hz]
        voltage_v: supply, for instruments that log the current alone. [V]
        device_output: a TOML file for the device with the measured power.

    Raises:
        BudgetError: a file, profile or model that is not usable, or measurements of two devices.
    """
    based_on = library.runtime(runtime)
    if based_on.plan_id not in CORES:
        raise UsageError(
            f"{based_on.id} is not a fitted runtime",
            where="--runtime",
            hint=f"choose one of {', '.join(sorted(CORES))}",
        )
    path = Path(output)
    if path.suffix != ".toml":
        raise UsageError("a profile is a .toml file", where="-o", hint="as in -o my_runtime.toml")
    export = read_export(Path(measurements), supply_v=voltage_v)
    where = library.device(_one_device(export, device))
    mine = [_sample(r, where, based_on, model, clock_hz) for r in export.readings]
    result = fit(mine, based_on.plan_id)
    power_w, profile_power = _power(export, where, clock_hz, voltage_v)
    files = {path: _runtime_toml(path.stem, based_on, where, result)}
    device_path = Path(device_output) if device_output else None
    if device_path is not None:
        files[device_path] = _device_toml(device_path.stem, where, export, power_w, clock_hz)
    for file, text in files.items():
        _write(file, text)
    return Calibration(
        path, based_on, where, export.format, result, power_w, profile_power, device_path
    )


def _one_device(export: Export, device: str | None) -> str:
    named = {reading.device for reading in export.readings if reading.device} or {device or ""}
    if len(named) != 1 or "" in named:
        raise UsageError(
            "the measurements must be of one device" if len(named) > 1 else "no device is named",
            where="--device",
            hint="one profile is for one board: name it, and give each its own file",
        )
    return named.pop()


def _sample(
    reading: Reading, device: Device, runtime: Runtime, model: str | None, clock_hz: float | None
) -> Sample:
    name = reading.model or model
    if not name:
        raise UsageError("no model is named", where=reading.where, hint="add --model")
    clock = reading.clock_hz or clock_hz or device.max_hz
    if clock is None:
        raise UsageError(
            f"{device.id} has no clock", where=reading.where, hint="choose a microcontroller"
        )
    cycles = reading.cycles or (reading.latency_s or 0.0) * clock
    stalls = NO_STALLS if runtime.includes_stalls else stalls_of(device, clock)
    work = features(_layers(name, runtime), stalls)
    return Sample(runtime.plan_id, device.core, f"{OWN}{device.id}", name, work, cycles)


def _layers(model: str, runtime: Runtime) -> Sequence[Layer]:
    prepared = prepare(model)
    program = plan(
        prepared.graph,
        runtime=runtime.plan_id,
        precision=prepared.precision,
        remove_constant_channels=runtime.removes_constant_channels,
    )
    return [layer_of(step, program) for step in program.steps if step.kernel]


def _power(
    export: Export, device: Device, clock_hz: float | None, voltage_v: float | None
) -> tuple[float | None, Quantity | None]:
    import statistics

    powers = [r.energy_j / r.latency_s for r in export.readings if r.energy_j and r.latency_s]
    if not powers:
        return None, None
    first = next(r for r in export.readings if r.energy_j)
    supply = first.supply_v or voltage_v
    return statistics.median(powers), device.power_w(first.clock_hz or clock_hz, supply)


def _runtime_toml(id: str, based_on: Runtime, device: Device, result: Calibrated) -> str:
    return (
        f"id = {json.dumps(id)}\n"
        f"extends = {json.dumps(based_on.id)}\n"
        f"based_on = {json.dumps(based_on.plan_id)}\n"
        f"name = {json.dumps(f'{based_on.name}, calibrated on {device.id}')}\n\n"
        f"[references.{REFERENCE}]\n"
        f"title = {json.dumps(REFERENCE_TITLE)}\n\n" + to_toml(result.prices)
    )


def _device_toml(
    id: str, device: Device, export: Export, power_w: float | None, clock_hz: float | None
) -> str:
    if power_w is None:
        raise UsageError(
            "the measurements hold no energies", where="--device-output", hint="leave it out"
        )
    first = next(r for r in export.readings if r.energy_j)
    clock = first.clock_hz or clock_hz or device.max_hz or math.nan
    supply = first.supply_v or (device.supply.voltage_v.value if device.supply else math.nan)
    figure = '{{ value = "{}", kind = "measured", reference = "own" }}'
    return (
        f"id = {json.dumps(id)}\nextends = {json.dumps(device.id)}\n\n"
        '[references.own]\ntitle = "your own measurements"\n\n[power]\nboundary = "core"\n'
        f"network_w = {figure.format(f'{power_w:.6g}W')}\n"
        f"network_hz = {figure.format(f'{clock:.6g}Hz')}\n"
        f"network_v = {figure.format(f'{supply:.6g}V')}\n"
    )


def _write(path: Path, text: str) -> None:
    write_folder(path.parent, {path.name: text.encode("utf-8")})
