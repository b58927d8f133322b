"""What a device leaves to a network, as the choice of implementations takes it."""

from __future__ import annotations

from budget.estimate.stalls import stalls_of
from budget.hardware.device_profiles import Device
from budget.plan.chooser import NO_LIMITS, Limits


def limits_of(
    device: Device | None,
    clock_hz: float | None = None,
    flash_bytes: int | None = None,
    ram_bytes: int | None = None,
) -> Limits:
    """The limits of a device at a clock.

    Args:
        device: a microcontroller, if one is known.
        clock_hz: default: the device's highest.
        flash_bytes: less flash than it has, for the network alone.
        ram_bytes: less RAM than it has.
    """
    if device is None or device.max_hz is None:
        return Limits(NO_LIMITS.wait_states, flash_bytes, ram_bytes)
    stalls = stalls_of(device, device.max_hz if clock_hz is None else clock_hz)
    memory = device.memory
    flash, ram = (
        None if figure is None else int(figure.value)
        for figure in (
            (memory.flash_bytes, memory.ram_bytes) if memory is not None else (None, None)
        )
    )
    return Limits(
        # a cache that holds whole loops hides what the table's small one does not
        0 if stalls.is_cached else stalls.states,
        flash if flash_bytes is None else flash_bytes,
        ram if ram_bytes is None else ram_bytes,
    )
