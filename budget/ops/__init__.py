"""Canonical operators: shape rule, cost, float and integer meaning of each, declared once."""

from budget.ops.operator import (
    Activation,
    Case,
    Cost,
    NoAttributes,
    Operand,
    Operator,
    Padding,
    QuantizedCall,
    Rounding,
)
from budget.ops.registry import get, is_canonical, names

__all__ = [
    "Activation",
    "Case",
    "Cost",
    "NoAttributes",
    "Operand",
    "Operator",
    "Padding",
    "QuantizedCall",
    "Rounding",
    "get",
    "is_canonical",
    "names",
]
