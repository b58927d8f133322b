"""C text: tables, literals, declarations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from budget.graph import Array, DType
from budget.ops import Activation

C_TYPES = {
    DType.INT8: "int8_t",
    DType.UINT8: "uint8_t",
    DType.BOOL: "uint8_t",
    DType.INT16: "int16_t",
    DType.INT32: "int32_t",
    DType.UINT32: "uint32_t",
    DType.INT64: "int64_t",
    DType.FLOAT32: "float",
}
_PER_LINE = {"int8_t": 16, "uint8_t": 16, "int16_t": 12, "uint16_t": 12, "int64_t": 4, "float": 6}
_WIDTHS = {"int8_t": 1, "uint8_t": 1, "int16_t": 2, "uint16_t": 2, "int64_t": 8}
_SMALLEST = {"int32_t": "(-2147483647 - 1)", "int64_t": "(-9223372036854775807 - 1)"}


@dataclass(frozen=True, slots=True)
class Table:
    """A constant array in flash.

    Attributes:
        name: C identifier, unique in the file.
        c_type: element type.
        values: elements, written row-major.
        comment: what they are and their shape.
    """

    name: str
    c_type: str
    values: Array
    comment: str

    @property
    def size_bytes(self) -> int:
        """Bytes in flash."""
        width = _WIDTHS.get(self.c_type, 4)
        return int(self.values.size) * width

    def declare(self, storage: str = "static", attribute: str = "") -> str:
        """The declaration without its end, such as ``static const int8_t weights[64]``."""
        after = f" {attribute}" if attribute else ""
        return f"{storage} const {self.c_type} {self.name}[{self.values.size}]{after}".lstrip()

    def render(self, storage: str = "static", attribute: str = "") -> str:
        """The definition.

        Args:
            storage: ``static``, or empty for a symbol that other files see.
            attribute: what the compiler is told of it, such as the section to place it in.
        """
        flat = self.values.ravel()
        lines = [f"/* {self.comment} */", f"{self.declare(storage, attribute)} = {{"]
        texts = [literal(value, self.c_type) for value in flat.tolist()]
        step = _PER_LINE.get(self.c_type, 8)
        for start in range(0, len(texts), step):
            lines.append("    " + ", ".join(texts[start : start + step]) + ",")
        lines.append("};")
        return "\n".join(lines)


def literal(value: float, c_type: str) -> str:
    """A number as C writes it; floats keep every bit."""
    if c_type == "float":
        if not np.isfinite(value):
            top = "0.0f" if np.isnan(value) else "1.0f" if value > 0 else "-1.0f"
            return f"({top} / 0.0f)"  # needs no header, and every compiler folds it
        text = f"{value:.9g}"
        return f"{text}f" if any(c in text for c in ".en") else f"{text}.0f"
    text = str(int(value))
    if c_type in _SMALLEST and int(value) == -(1 << (63 if c_type == "int64_t" else 31)):
        return _SMALLEST[c_type]
    return text


def float_bounds(activation: Activation) -> tuple[str, str]:
    """Smallest and largest real number that a fused activation leaves, as C expressions."""
    return {
        Activation.NONE: ("-INFINITY", "INFINITY"),
        Activation.RELU: ("0.0f", "INFINITY"),
        Activation.RELU6: ("0.0f", "6.0f"),
        Activation.RELU_N1_TO_1: ("-1.0f", "1.0f"),
    }[activation]


def shape_text(shape: tuple[int, ...]) -> str:
    """``[1][25][5][64]``; ``[]`` for a scalar."""
    return "".join(f"[{extent}]" for extent in shape) or "[]"
