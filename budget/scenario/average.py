"""Average power of a device that sleeps, wakes at a steady rate, infers and sleeps again."""

from __future__ import annotations

from dataclasses import dataclass

from budget.estimate.inference import InferenceEstimate
from budget.hardware.device_profiles import Device
from budget.hardware.figure import Quantity, exact


@dataclass(frozen=True)
class AveragePower:
    """P = sleep + rate · (inference + wake).

    Attributes:
        rate_hz: inferences per second.
        sleep: power between inferences, RAM kept; exactly zero where the profile has no sleep mode.
        sleep_mode: its name; empty if there is none.
        per_inference: energy of one inference, waking included, above sleep.
        average: of the whole.
        notes: what was left out.
    """

    rate_hz: float
    sleep: Quantity
    sleep_mode: str
    per_inference: Quantity
    average: Quantity
    notes: tuple[str, ...] = ()


def average_power(device: Device, inference: InferenceEstimate, rate_hz: float) -> AveragePower:
    """Average power at a rate of inferences.

    The sleep mode is the one of least power that keeps the RAM in use; where none keeps that
    much, the one that keeps most. While it wakes, the device is taken to draw its running power.
    """
    notes: list[str] = []
    mode = device.sleep_mode(int(float(inference.ram.value)))
    if mode is None and device.sleep:
        name = max(device.sleep, key=lambda n: _retained(device, n))
        mode = name, device.sleep[name]
        notes.append(f"no sleep mode is known to keep all RAM in use: {name} is assumed to")
    if mode is None:
        sleep, name = exact(0.0, "W"), ""
        if device.category == "mcu":
            notes.append("the profile has no sleep mode: power between inferences is not counted")
    else:
        name, sleep = mode[0], mode[1].power_w
    energy = inference.energy
    if mode is not None and mode[1].wake_s is not None and inference.power is not None:
        energy = energy + mode[1].wake_s.quantity * inference.power
    energy = energy.as_unit("J")
    return AveragePower(
        rate_hz, sleep, name, energy, (sleep + energy * rate_hz).as_unit("W"), tuple(notes)
    )


def _retained(device: Device, mode: str) -> float:
    retained = device.sleep[mode].retained_bytes
    return retained.value if retained else 0.0
