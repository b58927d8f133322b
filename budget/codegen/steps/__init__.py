"""One writer for each canonical operator: from a step of the program to a call of a kernel."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module

from budget.codegen.context import StepCode, StepContext

StepWriter = Callable[[StepContext], StepCode]

_WRITERS: dict[str, str] = {
    # canonical operator: module under budget.codegen.steps, and the function in it
    "conv_2d": "convolution:write_conv_2d",
    "depthwise_conv_2d": "convolution:write_depthwise_conv_2d",
    "fully_connected": "fully_connected:write_fully_connected",
    "add": "elementwise:write_add",
    "sub": "elementwise:write_add",
    "softmax": "softmax:write_softmax",
    "average_pool_2d": "pooling:write_pool",
    "max_pool_2d": "pooling:write_pool",
}


def can_write(op: str) -> bool:
    """Whether an operator has a writer at all (it may still refuse an element type)."""
    return op in _WRITERS


@cache
def writer(op: str) -> StepWriter:
    """The writer of a canonical operator."""
    module, function = _WRITERS[op].split(":")
    found: StepWriter = getattr(import_module(f"{__name__}.{module}"), function)
    return found
