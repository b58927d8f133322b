"""What an operator declares about itself, once, for every part of the program that asks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from budget.errors import ModelError
from budget.graph.types import Array, DType, TensorType
from budget.records import record


class Activation(StrEnum):
    """A function fused behind an operator."""

    NONE = "none"
    RELU = "relu"
    RELU6 = "relu6"
    RELU_N1_TO_1 = "relu_n1_to_1"


class Rounding(StrEnum):
    """Which of TensorFlow Lite's two families of integer kernels to equal (docs/rounding.md).

    TFLITE: the host's reference kernels, which round once in fully connected layers.
    TFLM: the microcontroller kernels, which round twice everywhere.
    """

    TFLITE = "tflite"
    TFLM = "tflm"


@record
class Padding:
    """Rows and columns added around an image before a window slides over it."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0


NO_PADDING = Padding()


@dataclass(frozen=True, slots=True)
class Cost:
    """What one execution of an operator does.

    Attributes:
        macs: multiply-accumulates of the dense formula; taps that fall on padding are counted.
        macs_run: those that remain when taps on padding are skipped.
        alu: other arithmetic, one for each compare, add, shift-and-round, or table look-up.
        flops: by the rules of TensorFlow's profiler (docs/counting.md); 2 for each MAC.
        read_bytes: inputs and weights, each byte once.
        write_bytes: outputs.
    """

    macs: int = 0
    macs_run: int = 0
    alu: int = 0
    flops: int = 0
    read_bytes: int = 0
    write_bytes: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.macs + other.macs,
            self.macs_run + other.macs_run,
            self.alu + other.alu,
            self.flops + other.flops,
            self.read_bytes + other.read_bytes,
            self.write_bytes + other.write_bytes,
        )


@record
class Operand:
    """One input of a test case.

    Attributes:
        shape: of the tensor.
        is_constant: whether the model file holds it (weights, bias) rather than the caller.
        dtype: where it is not the case's own element type (indices, 32-bit bias).
        role: ``activation``, ``weights`` (symmetric, per channel where the operator allows),
            ``bias`` (scale = input scale · weight scale) or ``raw`` (integers as they are).
        axis: the channel axis of weights that are quantised per channel.
        values: fixed contents, where random ones make no sense.
    """

    shape: tuple[int, ...]
    is_constant: bool = False
    dtype: DType | None = None
    role: str = "activation"
    axis: int | None = None
    values: tuple[Any, ...] | None = None


@record
class Case:
    """One use of an operator, for the contract tests: every registered operator × type × case.

    Attributes:
        label: unique for the operator; appears in the test's name.
        attributes: the operator's Attributes.
        operands: its inputs in order; None where an optional one is left out.
        dtypes: activation types that the case makes sense for.
        output_quant: (scale, zero point) the int8 output must have, where TFLite fixes it;
            "same" where it must equal the first input's.
    """

    label: str
    attributes: Any
    operands: tuple[Operand | None, ...]
    dtypes: tuple[DType, ...] = (DType.FLOAT32, DType.INT8, DType.INT16)
    output_quant: tuple[float, int] | str | None = None


@record
class NoAttributes:
    """Attributes of an operator that has none."""


@record
class QuantizedCall:
    """Everything an integer kernel needs beside the numbers.

    Attributes:
        inputs: types, quantisation included; None where an operand is left out.
        outputs: types, quantisation included.
        rounding: which family of kernels to equal.
    """

    inputs: tuple[TensorType | None, ...]
    outputs: tuple[TensorType, ...]
    rounding: Rounding = Rounding.TFLITE


class Operator(ABC):
    """Base of all canonical operators; an instance has no state, one exists per operator.

    A subclass sets the class attributes, and overrides `infer`, `cost`, `run_float` and, where
    TFLite has an integer kernel, `run_quantized`, and `cases`.

    Class attributes:
        name: canonical name, snake case.
        Attributes: frozen dataclass; every field is typed and resolved (no "SAME" padding).
        witness: which other program checks it: ``litert``, ``tensorflow``, ``numpy``.
        integer_witnesses: the same by element type, where integers are checked over several
            inferences (tests/ops/test_recurrent.py) rather than case by case.
        overwrites: indices of inputs in whose memory output 0 may be computed, because element i
            of the output depends on no input element behind i. Shapes and widths must agree.
        is_view: the output is the first input's bytes under another shape.
    """

    name: ClassVar[str] = ""
    Attributes: ClassVar[type] = NoAttributes
    witness: ClassVar[str] = "litert"
    integer_witnesses: ClassVar[dict[DType, str]] = {}
    overwrites: ClassVar[tuple[int, ...]] = ()
    is_view: ClassVar[bool] = False

    @abstractmethod
    def infer(self, attributes: Any, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
        """Shapes and element types of the outputs (quantisation is not inferred).

        Raises:
            ModelError: the inputs do not go together.
        """

    @abstractmethod
    def cost(
        self, attributes: Any, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]
    ) -> Cost:
        """Arithmetic and traffic of one execution."""

    @abstractmethod
    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """Meaning on real numbers, in numpy; float32 in, float32 out."""

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """Meaning on quantised integers, bit-exact with TFLite's reference kernels.

        Raises:
            ModelError: TFLite has no integer kernel, or the numbers have no meaning to it.
        """
        kind = call.outputs[0].dtype.value
        raise ModelError(f"there is no integer arithmetic for {kind} here")

    def reach_bytes(
        self,
        attributes: Any,
        inputs: Sequence[TensorType | None],
        outputs: Sequence[TensorType],
        lookahead: int = 0,
    ) -> int | None:
        """Bytes by which output 0 must start below input 0 to be written over it.

        For kernels that compute the output's elements in memory order, each with all its channels
        before the next pixel or row (budget.ops.reach).

        Args:
            attributes: of the node.
            inputs: types.
            outputs: types.
            lookahead: pixels or rows behind the current one that a kernel may have written.

        Returns:
            At least 0; None if the output must not lie over the input.
        """
        return None

    def part_offsets(self, attributes: Any, x: TensorType) -> tuple[int, ...] | None:
        """Where each output begins in input 0, if its elements are a run of the input's.

        Args:
            attributes: of the node.
            x: type of input 0.

        Returns:
            In elements; None if some output is no run of unchanged elements.
        """
        return None

    def joined_offsets(
        self, attributes: Any, inputs: Sequence[TensorType | None]
    ) -> tuple[int, ...] | None:
        """Where each input begins in output 0, if the output is the inputs laid end to end.

        Returns:
            In elements; None if it is not.
        """
        return None

    def cases(self) -> Iterator[Case]:
        """Uses that cover every attribute value, odd sizes, borders and batch above 1."""
        return iter(())


def traffic_bytes(types: Sequence[TensorType | None]) -> int:
    """Bytes of all tensors present, each once."""
    return sum(type.size_bytes for type in types if type is not None)
