"""What a step's writer is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from budget.codegen.c import C_TYPES, Table, shape_text
from budget.codegen.options import EmitOptions
from budget.errors import UnsupportedModelError
from budget.graph import ABSENT, Array, DType, TensorType
from budget.ops.quantized import per_tensor as quantization
from budget.plan.program import Program, Step

SUFFIXES = {DType.INT8: "s8", DType.INT16: "s16", DType.FLOAT32: "f32"}


@dataclass(frozen=True, slots=True)
class StepCode:
    """The body of one step's function.

    Attributes:
        kernels: kernel files that it calls.
        statements: C statements; operands are ``x0``, ``x1`` … , results ``y0`` …, scratch ``s``.
        tables: constant arrays that the statements name.
        functions: kernels written for this step's shapes; steps with the same text share one.
    """

    kernels: tuple[str, ...]
    statements: tuple[str, ...]
    tables: tuple[Table, ...] = ()
    functions: tuple[str, ...] = ()


@dataclass
class StepContext:
    """One step of a program, seen by its writer.

    Attributes:
        program: the whole.
        step: the one to write.
        options: what the user decided.
        tables: constants that the writer has asked for so far.
        known: C names of the whole program's tables by type and contents, so that constants which
            several steps read lie in flash once.
    """

    program: Program
    step: Step
    options: EmitOptions
    tables: list[Table] = field(default_factory=list)
    known: dict[tuple[str, str, bytes], str] = field(default_factory=dict)

    @property
    def attributes(self) -> Any:
        """The node's attributes."""
        return self.step.node.attributes

    def has(self, index: int) -> bool:
        """Whether operand ``index`` is given."""
        inputs = self.step.node.inputs
        return index < len(inputs) and inputs[index] != ABSENT

    def type(self, index: int) -> TensorType:
        """Type of operand ``index``."""
        return self.program.types[self.step.node.inputs[index]]

    def output_type(self, index: int = 0) -> TensorType:
        """Type of result ``index``."""
        return self.program.types[self.step.node.outputs[index]]

    def constant(self, index: int) -> Array:
        """Data of a constant operand.

        Raises:
            UnsupportedModelError: it is computed at run time.
        """
        data = self.program.graph.constant(self.step.node.inputs[index])
        if data is None:
            raise self.refuse(f"operand {index} must be a constant")
        return data

    def operand(self, index: int, suffix: str = "", what: str = "constant operand") -> str:
        """C expression for operand ``index``: ``x0`` …, or a table if it is constant.

        Args:
            index: of the operand.
            suffix: of the table's name.
            what: the table's comment.
        """
        name = self.step.node.inputs[index]
        data = self.program.graph.constant(name)
        if data is None:
            return f"x{index}"
        type = self.program.types[name]
        return self.table(suffix or f"x{index}", C_TYPES[type.dtype], data, what)

    def table(self, suffix: str, c_type: str, values: Any, what: str) -> str:
        """Adds a constant array, if there is none like it yet, and returns its C name."""
        array = np.asarray(values)
        name = f"step_{self.step.index:02d}_{suffix}"
        known = self.known.setdefault((c_type, array.dtype.str, array.tobytes()), name)
        if known != name:
            return known
        text = f"{what}: {shape_text(array.shape)}"
        self.tables.append(Table(name, c_type, array, text))
        return name

    def code(self, kernel: str | Sequence[str], *statements: str) -> StepCode:
        """The finished body: the kernel files, the statements, and all tables asked for."""
        kernels = (kernel,) if isinstance(kernel, str) else tuple(kernel)
        return StepCode(kernels, statements, tuple(self.tables))

    def call(self, kernel: str, function: str, *arguments: object) -> StepCode:
        """A body that is one call: C expressions and numbers in the order of the parameters."""
        return self.code(kernel, f"{function}({', '.join(map(str, arguments))});")

    def suffix(self, *allowed: DType) -> str:
        """``s8``, ``s16`` or ``f32``, after the first operand's element type.

        Raises:
            UnsupportedModelError: the type is none of those allowed (all three by default).
        """
        dtype = self.type(0).dtype
        if dtype not in (allowed or SUFFIXES):
            raise self.refuse(f"{dtype.value} cannot be emitted here")
        return SUFFIXES[dtype]

    def refuse(self, why: str) -> UnsupportedModelError:
        """The error for a step that cannot be written; all of a model's are collected."""
        node = self.step.node
        return UnsupportedModelError(f"{node.op} '{self.step.layer}': {why}")


def per_tensor(type: TensorType) -> tuple[float, int]:
    """Scale and zero point of an activation.

    Raises:
        ModelError: it has none, or one for each channel.
    """
    quant = quantization(type)
    return quant.scale, quant.zero_point
