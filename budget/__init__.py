"""Tells before a board is bought whether a neural network will run there, and on what energy.

The public functions are imported on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "measure": "budget.api.measure",
    "load": "budget.api.models",
    "lower": "budget.api.models",
    "summarize": "budget.api.summarize",
    "calibrate": "budget.api.calibrate",
    "check": "budget.api.check",
    "compare": "budget.api.compare",
    "harvest": "budget.api.harvest",
    "simulate": "budget.api.simulate",
    "scoreboard": "budget.api.scoreboard",
    "shrink": "budget.api.shrink",
    "size": "budget.api.size",
    "solve": "budget.api.solve",
    "sweep": "budget.api.sweep",
    "transform": "budget.api.transform",
    "run": "budget.api.run",
    "diff": "budget.api.diff",
    "transmit": "budget.api.transmit",
    "from_capacitor": "budget.api.intermittent",
    "emit": "budget.api.emit",
}

__all__ = sorted([*_PUBLIC, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'budget' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
