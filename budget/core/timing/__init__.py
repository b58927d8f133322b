"""Instruction timings of the cores, one module each."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from budget.core.timing.rules import Price, Timing
from budget.errors import UsageError

_MODULES = {
    "cortex-m0plus": "cortex_m0plus",
    "cortex-m3": "cortex_m3",
    "cortex-m4": "cortex_m4",
    "cortex-m7": "cortex_m7",
    "cortex-m33": "cortex_m33",
}
CORES = tuple(_MODULES)

__all__ = ["CORES", "Price", "Timing", "timing_of"]


def timing_of(core: str) -> Timing:
    """The timings of a core.

    Raises:
        UsageError: there is no model of it.
    """
    if core not in _MODULES:
        raise UsageError(
            f"there is no virtual {core!r}", where="--core", hint=f"one of {', '.join(CORES)}"
        )
    return cast(Timing, import_module(f"{__name__}.{_MODULES[core]}").TIMING)
