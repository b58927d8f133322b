"""Between real numbers, quantised integers and plain numbers of other types."""

from __future__ import annotations

from dataclasses import dataclass

from budget.graph.types import DType


@dataclass(frozen=True, slots=True)
class ConversionAttributes:
    """Attributes of `Quantize`, `Requantize` and `Cast`.

    Attributes:
        dtype: element type of the output.
    """

    dtype: DType
