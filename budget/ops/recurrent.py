"""Layers that carry a state from one time step to the next, and from one inference to the next.

Every such operator takes its first state as an operand and returns its last one. A state that is a
variable of the graph stands on both sides under one name and so lives on until the next inference;
an operand left out is zero.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from budget.errors import ModelError
from budget.graph.types import Array, DType, TensorType
from budget.ops.operator import (
    Case,
    Cost,
    Operand,
    Operator,
    QuantizedCall,
    traffic_bytes,
)
from budget.ops.requantize import has_operand, operand, operand_type
from budget.records import record

Floats = NDArray[np.float32]

FUNCTIONS: dict[str, Callable[[Floats], Floats]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, np.float32(0)),
    "sigmoid": lambda x: np.asarray(1 / (1 + np.exp(-np.clip(x, -80, 80))), np.float32),
    "tanh": lambda x: np.tanh(x).astype(np.float32),
}
"""Functions that a gate or a state may pass through."""


@record
class RnnAttributes:
    """Attributes of `SimpleRnn`.

    Attributes:
        function: a name in `FUNCTIONS`.
        time_major: x is [time][batch][in], and so is a sequence of outputs.
        sequences: the outputs of all steps are returned, not only the last one.
    """

    function: str = "tanh"
    time_major: bool = False
    sequences: bool = True


@record
class GruAttributes(RnnAttributes):
    """Attributes of `Gru`.

    Attributes:
        gate_function: of the gates.
        reset_after: the reset gate acts on the product of state and weights, not on the state.
    """

    gate_function: str = "sigmoid"
    reset_after: bool = True


@record
class LstmAttributes(RnnAttributes):
    """Attributes of `Lstm`.

    Attributes:
        gate_function: of the gates.
        cell_clip: largest magnitude of the cell's state; 0 where there is no bound.
        hidden: scale and zero point of the integer kernel's result before it is stored (the fifth
            intermediate tensor of the file); the output's own unless given.
    """

    gate_function: str = "sigmoid"
    cell_clip: float = 0.0
    hidden: tuple[float, int] | None = None


class _Recurrent(Operator):
    """Base: operands x, weights [gates·units][in], recurrent weights [gates·units][units], bias…"""

    witness = "tensorflow"
    gates = 1
    biases = 1
    states = 1

    def infer(self, attributes: Any, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
        """Outputs, then one state for each that the layer has: [batch][units].

        Raises:
            ModelError: weights, biases or states do not fit together.
        """
        x, weights, recurrent = (operand_type(inputs, index) for index in range(3))
        rows, units = recurrent.shape if len(recurrent.shape) == 2 else (0, 0)
        if not units or rows != self.gates * units:
            raise ModelError(f"recurrent weights of shape {recurrent.shape} are not square by gate")
        if len(x.shape) != 3 or weights.shape != (rows, x.shape[2]):
            raise ModelError(f"weights of shape {weights.shape} do not fit inputs of {x.shape}")
        for index in range(3, 3 + self.biases):
            if has_operand(inputs, index) and operand_type(inputs, index).element_count != rows:
                raise ModelError(f"{rows} rows of weights need as many biases")
        batch = x.shape[1] if attributes.time_major else x.shape[0]
        for index in range(3 + self.biases, 3 + self.biases + self.states):
            if has_operand(inputs, index) and operand_type(inputs, index).shape != (batch, units):
                raise ModelError(f"a state is not [{batch}][{units}]")
        shape = (*x.shape[:2], units) if attributes.sequences else (batch, units)
        state = TensorType((batch, units), x.dtype)
        return (TensorType(shape, x.dtype), state, *self._further(state))

    def _further(self, state: TensorType) -> tuple[TensorType, ...]:
        return ()

    def cost(
        self, attributes: Any, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]
    ) -> Cost:
        """Per step and example a MAC for each weight, and about four operations for each gate.

        FLOPs besides those are the sums and products of the gates; their functions count none.
        """
        x, weights, recurrent = (operand_type(inputs, index) for index in range(3))
        times = x.shape[0] * x.shape[1]
        macs = times * (weights.element_count + recurrent.element_count)
        rows = times * weights.shape[0]
        return Cost(
            macs=macs,
            macs_run=macs,
            alu=4 * rows,
            flops=2 * macs
            + rows * sum(has_operand(inputs, 3 + i) for i in range(self.biases))
            + times * recurrent.shape[1] * self._gate_flops(attributes),
            read_bytes=traffic_bytes(inputs),
            write_bytes=traffic_bytes(outputs),
        )

    def _gate_flops(self, attributes: Any) -> int:
        """Sums and products of one unit in one step, besides those of weights and biases."""
        return 1  # W x and U h are added

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """Step by step in float32."""
        x, weights, recurrent = (operand(inputs, index) for index in range(3))
        steps = x if attributes.time_major else x.transpose(1, 0, 2)
        units = recurrent.shape[1]
        first = 3 + self.biases
        states = tuple(
            operand(inputs, index).astype(np.float32)
            if has_operand(inputs, index)
            else np.zeros((steps.shape[1], units), np.float32)
            for index in range(first, first + self.states)
        )
        biases = [
            operand(inputs, index).reshape(-1) if has_operand(inputs, index) else np.float32(0)
            for index in range(3, first)
        ]
        found = []
        for step in steps:
            states = self._step(attributes, step @ weights.T + biases[0], recurrent, biases, states)
            found.append(states[0])
        return (sequence(found, attributes), *states)

    @abstractmethod
    def _step(
        self, attributes: Any, from_x: Any, recurrent: Any, biases: list[Any], states: Any
    ) -> tuple[Floats, ...]:
        """The states behind one step, the output first."""

    def cases(self) -> Iterator[Case]:
        """Both orders of dimensions, with and without bias and first state, each function."""
        kind = self.Attributes
        real = (DType.FLOAT32,)
        yield Case("plain", kind(), self._operands((2, 5, 3), 4), real)
        yield Case("last", kind(sequences=False), self._operands((1, 6, 7), 3), real)
        yield Case("time-major", kind(time_major=True), self._operands((5, 2, 3), 4), real)
        yield Case("no-bias", kind(), self._operands((1, 4, 2), 5, with_bias=False), real)
        yield Case("state", kind(), self._operands((2, 3, 3), 4, with_state=True), real)
        yield Case("relu", kind(function="relu"), self._operands((1, 3, 3), 2), real)

    def _operands(
        self,
        x: tuple[int, int, int],
        units: int,
        *,
        with_bias: bool = True,
        with_state: bool = False,
    ) -> tuple[Operand | None, ...]:
        rows, batch = self.gates * units, x[0]
        bias = Operand((rows,), is_constant=True, role="bias") if with_bias else None
        return (
            Operand(x),
            Operand((rows, x[2]), is_constant=True, role="weights"),
            Operand((rows, units), is_constant=True, role="weights"),
            *[bias] * self.biases,
            *[Operand((batch, units)) if with_state else None] * self.states,
        )


def sequence(found: Sequence[Any], attributes: RnnAttributes) -> Any:
    """Outputs of all steps in the wanted order, or the last one's."""
    if not attributes.sequences:
        return found[-1]
    stacked = np.stack(found)
    return stacked if attributes.time_major else np.ascontiguousarray(stacked.transpose(1, 0, 2))


class SimpleRnn(_Recurrent):
    """h = f(W x + U h + b); outputs y and the last h."""

    name = "simple_rnn"
    Attributes = RnnAttributes

    def _step(
        self, attributes: Any, from_x: Any, recurrent: Any, biases: list[Any], states: Any
    ) -> tuple[Floats, ...]:
        return (FUNCTIONS[attributes.function](from_x + states[0] @ recurrent.T),)


class Gru(_Recurrent):
    """Gates update, reset and candidate by rows of weights; outputs y and the last state."""

    name = "gru"
    Attributes = GruAttributes
    gates = 3
    biases = 2

    def _gate_flops(self, attributes: Any) -> int:
        return 3 + 1 + 4  # sums of three gates, reset, and the mean of two states

    def _step(
        self, attributes: Any, from_x: Any, recurrent: Any, biases: list[Any], states: Any
    ) -> tuple[Floats, ...]:
        """The second bias belongs to the recurrent product."""
        (h,) = states
        units = h.shape[1]
        gate = FUNCTIONS[attributes.gate_function]
        own = from_x[:, 2 * units :]
        bias = np.broadcast_to(biases[1], (3 * units,))
        two = from_x[:, : 2 * units] + (h @ recurrent[: 2 * units].T + bias[: 2 * units])
        update, reset = gate(two[:, :units]), gate(two[:, units:])
        last = recurrent[2 * units :].T
        if attributes.reset_after:
            own = own + reset * (h @ last + bias[2 * units :])
        else:
            own = own + ((reset * h) @ last + bias[2 * units :])
        candidate = FUNCTIONS[attributes.function](own)
        return (update * h + (1 - update) * candidate,)

    def cases(self) -> Iterator[Case]:
        """Those of all recurrent layers, and the reset gate in its two places."""
        yield from super().cases()
        attributes = GruAttributes(reset_after=False)
        yield Case("reset-before", attributes, self._operands((2, 4, 3), 5), (DType.FLOAT32,))


class Lstm(_Recurrent):
    """Gates input, forget, cell and output by rows of weights; outputs y, last output, last cell.

    In integers x and y have 8 or 16 bits, weights 8 with one scale for each gate, and the cell 16
    with a power of two as its scale.
    """

    name = "lstm"
    integer_witnesses: ClassVar[dict[DType, str]] = {DType.INT8: "litert", DType.INT16: "tflm"}
    Attributes = LstmAttributes
    gates = 4
    states = 2

    def _gate_flops(self, attributes: Any) -> int:
        clip = 2 if attributes.cell_clip > 0 else 0
        return 4 + 3 + clip + 1  # sums of four gates, cell, bounds, output

    def _further(self, state: TensorType) -> tuple[TensorType, ...]:
        is_integer = state.dtype.is_integer
        return (TensorType(state.shape, DType.INT16 if is_integer else state.dtype),)

    def _step(
        self, attributes: Any, from_x: Any, recurrent: Any, biases: list[Any], states: Any
    ) -> tuple[Floats, ...]:
        h, c = states
        gate = FUNCTIONS[attributes.gate_function]
        function = FUNCTIONS[attributes.function]
        i, f, g, o = np.split(from_x + h @ recurrent.T, 4, axis=1)
        c = gate(f) * c + gate(i) * function(g)
        if attributes.cell_clip > 0:
            c = np.clip(c, -np.float32(attributes.cell_clip), np.float32(attributes.cell_clip))
        return gate(o) * function(c), c

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """Gates in 16 bits with 12 behind the point; see budget.ops.lstm_integer."""
        from budget.ops.lstm_integer import run_integer

        return run_integer(attributes, inputs, call)

    def cases(self) -> Iterator[Case]:
        """Those of all recurrent layers, and a bound on the cell."""
        yield from super().cases()
        attributes = LstmAttributes(cell_clip=0.5)
        yield Case("clipped", attributes, self._operands((1, 6, 3), 4), (DType.FLOAT32,))


OPERATORS = (SimpleRnn(), Gru(), Lstm())
