"""What waiting for the flash adds to a layer's cycles.

    ratio = 1 + wait states · stall per wait state

Code and weights are fetched alike, and a cache of a few kilobytes holds a kernel's inner loop but
never the weights of a fully connected layer, each of which is used once: such a layer waits
whatever the cache.
"""

from __future__ import annotations

from budget.hardware.device_profiles import Device
from budget.records import record

# Per wait state. Code: a Cortex-M4 (STM32L4R5, 120 MHz, 5 wait states, 1 KiB instruction cache)
# takes 1.18 to 1.21 times the cycles of the same binaries emulated without wait states. Weights:
# copied to RAM, MLPerf Tiny's autoencoder is 1.20 to 1.25 times as fast on the STM32L4R5, U575,
# F746 and H7A3, at 4 to 7 wait states (Bosch HALE 1.0.175, MLPerf Tiny v1.2).
CODE_RATIO = 0.038
STREAMED_RATIO = 0.045

CACHE_THAT_HOLDS_LOOPS_BYTES = 4096
_CORES_WITH_CACHE = frozenset({"cortex-m7", "cortex-m33", "cortex-m55", "cortex-m85"})
# where a profile has no table of wait states: what parts of that core have at their highest clock
_USUAL_STATES = {
    "cortex-m0plus": 2,
    "cortex-m3": 2,
    "cortex-m4": 5,
    "cortex-m33": 4,
    "cortex-m7": 6,
}


@record
class Stalls:
    """Wait states of the flash at a clock, and whether a cache hides those of code.

    Attributes:
        states: wait states.
        is_cached: whether a cache holds inner loops.
        is_assumed: whether the states are those usual for the core, not the device's own.
    """

    states: int
    is_cached: bool
    is_assumed: bool = False

    def ratio(self, kind: str) -> float:
        """Cycles with the stalls, over cycles without.

        Args:
            kind: of the layer, see `budget.estimate.work.Layer`.
        """
        if kind == "fully_connected":
            return 1.0 + self.states * STREAMED_RATIO
        return 1.0 + (0.0 if self.is_cached else self.states * CODE_RATIO)


NO_STALLS = Stalls(0, True)


def stalls_of(device: Device, clock_hz: float) -> Stalls:
    """Stalls of a device at a clock."""
    states = device.wait_states(clock_hz)
    size = device.memory.cache_bytes if device.memory else None
    cached = device.core in _CORES_WITH_CACHE
    if size is not None:
        cached = size.value >= CACHE_THAT_HOLDS_LOOPS_BYTES
    if states is not None:
        return Stalls(states, cached)
    share = clock_hz / device.max_hz if device.max_hz else 1.0
    return Stalls(round(usual_states(device.core) * share), cached, True)


def usual_states(core: str) -> int:
    """Wait states usual for a core at its highest clock."""
    return _USUAL_STATES.get(core, 0)
