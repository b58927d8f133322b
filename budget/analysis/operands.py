"""What the operands of each operator are for, as its test cases declare it."""

from __future__ import annotations

from functools import cache

from budget.ops import registry


@cache
def operand_roles(op: str) -> dict[int, str]:
    """What each operand of an operator is: ``weights``, ``bias`` … by its index."""
    return {index: role for index, (role, _) in _operands(op).items()}


@cache
def weight_axes(op: str) -> dict[int, int | None]:
    """The channel axis along which each operand may be quantised, by its index."""
    return {index: axis for index, (_, axis) in _operands(op).items()}


@cache
def _operands(op: str) -> dict[int, tuple[str, int | None]]:
    found: dict[int, tuple[str, int | None]] = {}
    for case in registry.get(op).cases():
        for index, operand in enumerate(case.operands):
            if operand is not None:
                found.setdefault(index, (operand.role, operand.axis))
    return found
