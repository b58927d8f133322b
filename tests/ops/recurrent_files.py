"""TensorFlow Lite files of one fused recurrent operator each, and what runs them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from budget.formats.tflite_schema import OPERATORS
from budget.graph import DType, Graph, QuantParams, Tensor, TensorType
from budget.ops.interpreter import run
from budget.ops.operator import Rounding
from budget.writers.flatbuffer import encode_model
from budget.writers.tflite import option_number, tensor_entry

Random = np.random.Generator

LSTMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "batch": {"batch": 2, "depth": 3},
    "time-major": {"time_major": True, "batch": 2},
    "clipped": {"clip": 0.5, "steps": 6},
    "no-zeros": {"zeros": (0, 0)},
    "far-zeros": {"zeros": (-128, 60), "units": 9},
}
SVDFS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rank-1": {"rank": 1, "batch": 1},
    "relu": {"activation": "RELU"},
    "long": {"memory": 12, "depth": 16, "filters": 8},
}


def inputs(graph: Graph, random: np.random.Generator, count: int = 5) -> list[np.ndarray]:
    type = graph.type_of(graph.inputs[0])
    if type.dtype.is_float:
        return [random.normal(size=type.shape).astype(np.float32) for _ in range(count)]
    info = np.iinfo(type.dtype.numpy)
    return [
        random.integers(info.min, info.max + 1, type.shape).astype(type.dtype.numpy)
        for _ in range(count)
    ]


def stream(
    graph: Graph, xs: Sequence[np.ndarray], rounding: Rounding = Rounding.TFLITE
) -> list[np.ndarray]:
    """Outputs of one inference after the other; states go from each to the next."""
    states = [name for name, tensor in graph.tensors.items() if tensor.is_variable]
    kept: dict[str, np.ndarray] = {}
    found = []
    for x in xs:
        values = run(graph, {graph.inputs[0]: x, **kept}, rounding=rounding, keep="all")
        kept = {name: values[name] for name in states}
        found.append(values[graph.outputs[0]])
    return found


class File:
    """Tensors by name, and one operator."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: DType,
        quant: QuantParams | None = None,
        data: np.ndarray | None = None,
        *,
        is_variable: bool = False,
    ) -> int:
        type = TensorType(tuple(shape), dtype, quant)
        self.tensors.append(Tensor(name, type, data, is_variable))
        return len(self.tensors) - 1

    def encode(
        self,
        builtin: str,
        table: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        intermediates: Sequence[int] = (),
        version: int = 1,
        **options: Any,
    ) -> bytes:
        """The file; its first operand is its input."""
        buffers: list[dict[str, Any]] = [{}]
        number = OPERATORS.index(builtin)
        operator = {
            "inputs": list(inputs),
            "outputs": list(outputs),
            "builtin_options_type": option_number(table),
            "builtin_options": (table, options),
        }
        if intermediates:
            operator["intermediates"] = list(intermediates)
        code = {"deprecated_builtin_code": number, "builtin_code": number, "version": version}
        graph = {
            "name": "main",
            "tensors": [tensor_entry(tensor, buffers) for tensor in self.tensors],
            "inputs": [inputs[0]],
            "outputs": list(outputs),
            "operators": [operator],
        }
        return encode_model(
            {
                "version": 3,
                "operator_codes": [code],
                "subgraphs": [graph],
                "description": "test",
                "buffers": buffers,
            }
        )


def int8(random: Random, shape: Sequence[int]) -> np.ndarray:
    return random.integers(-127, 128, tuple(shape)).astype(np.int8)


def lstm(
    random: Random,
    dtype: DType,
    *,
    batch: int = 1,
    steps: int = 4,
    depth: int = 5,
    units: int = 6,
    time_major: bool = False,
    clip: float = 0.0,
    zeros: tuple[int, int] = (3, -7),
) -> bytes:
    """Long short-term memory in float, in 8 bits or with 16-bit activations."""
    file, scale = File(), QuantParams.per_tensor
    is_float = dtype is DType.FLOAT32
    is_wide = dtype is DType.INT16
    x_zero, y_zero = (0, 0) if is_wide else zeros
    x_scale = 0.05 / (128 if is_wide else 1)
    y_scale = 1 / 128 / (256 if is_wide else 1)
    shape = (steps, batch, depth) if time_major else (batch, steps, depth)
    x_quant = None if is_float else scale(x_scale, x_zero)
    y_quant = None if is_float else scale(y_scale, y_zero)
    x = file.tensor("x", shape, dtype, x_quant)
    operands = [x]
    scales = []
    for kind, columns in (("input", depth), ("recurrent", units)):
        for gate in "ifgo":
            own = float(random.uniform(0.004, 0.012))
            scales.append(own)
            data = int8(random, (units, columns))
            if is_float:
                real = (data * own).astype(np.float32)
                operands.append(file.tensor(f"{kind}_{gate}", real.shape, dtype, None, real))
            else:
                operands.append(
                    file.tensor(f"{kind}_{gate}", data.shape, DType.INT8, scale(own), data)
                )
    operands += [-1] * 3
    for gate in range(4):
        real_bias = random.normal(0, 0.5, units)
        if is_float:
            data = real_bias.astype(np.float32)
            operands.append(file.tensor(f"bias_{gate}", (units,), dtype, None, data))
            continue
        own = x_scale * scales[gate]
        data = np.round(real_bias / own).astype(np.int64 if is_wide else np.int32)
        bias_type = DType.INT64 if is_wide else DType.INT32
        operands.append(file.tensor(f"bias_{gate}", (units,), bias_type, scale(own), data))
    operands += [-1, -1]
    operands.append(file.tensor("h", (batch, units), dtype, y_quant, is_variable=True))
    cell_type = dtype if is_float else DType.INT16
    cell_quant = None if is_float else scale(2.0**-11)
    operands.append(file.tensor("c", (batch, units), cell_type, cell_quant, is_variable=True))
    operands += [-1] * 4
    y = file.tensor("y", (*shape[:2], units), dtype, y_quant)
    intermediates: list[int] = []
    if not is_float:
        for index in range(4):
            intermediates.append(file.tensor(f"gate_{index}", (0,), DType.INT16, scale(2.0**-12)))
        intermediates.append(file.tensor("hidden", (0,), DType.INT8, scale(y_scale, y_zero)))
    return file.encode(
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        "UnidirectionalSequenceLSTMOptions",
        operands,
        [y],
        intermediates,
        version=3,
        fused_activation_function="TANH",
        cell_clip=clip,
        time_major=time_major,
    )


def svdf(
    random: Random,
    dtype: DType,
    *,
    batch: int = 2,
    depth: int = 7,
    filters: int = 6,
    memory: int = 5,
    rank: int = 2,
    activation: str = "NONE",
) -> bytes:
    """A low-rank layer over a window of time, in float or 8 bits."""
    file, scale = File(), QuantParams.per_tensor
    is_float = dtype is DType.FLOAT32
    units = filters // rank
    features, times = int8(random, (filters, depth)), random.integers(-900, 900, (filters, memory))
    if is_float:
        operands = [
            file.tensor("x", (batch, depth), dtype),
            file.tensor("f", features.shape, dtype, None, (features * 0.01).astype(np.float32)),
            file.tensor("t", times.shape, dtype, None, (times * 0.001).astype(np.float32)),
            file.tensor("b", (units,), dtype, None, random.normal(size=units).astype(np.float32)),
            file.tensor("s", (batch, filters * memory), dtype, is_variable=True),
        ]
        y = file.tensor("y", (batch, units), dtype)
    else:
        operands = [
            file.tensor("x", (batch, depth), dtype, scale(0.04, 5)),
            file.tensor("f", features.shape, DType.INT8, scale(0.01), features),
            file.tensor("t", times.shape, DType.INT16, scale(0.001), times.astype(np.int16)),
            file.tensor("b", (units,), DType.INT32, scale(5e-7),
                        random.integers(-200000, 200000, units).astype(np.int32)),
            file.tensor("s", (batch, filters * memory), DType.INT16, scale(5e-4),
                        is_variable=True),
        ]  # fmt: skip
        y = file.tensor("y", (batch, units), dtype, scale(0.05, -9))
    return file.encode(
        "SVDF", "SVDFOptions", operands, [y], version=3 if not is_float else 1,
        rank=rank, fused_activation_function=activation,
    )  # fmt: skip


def litert(data: bytes, xs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What LiteRT's reference kernels answer to one input after the other."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    made = Interpreter(
        model_content=data,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    made.allocate_tensors()
    made.reset_all_variables()
    given, wanted = made.get_input_details()[0]["index"], made.get_output_details()[0]["index"]
    found = []
    for x in xs:
        made.set_tensor(given, x)
        made.invoke()
        found.append(made.get_tensor(wanted))
    return found


def microcontroller(data: bytes, xs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What TensorFlow Lite Micro answers."""
    from tflite_micro import runtime

    made = runtime.Interpreter.from_bytes(data)
    found = []
    for x in xs:
        made.set_input(x, 0)
        made.invoke()
        found.append(made.get_output(0))
    return found
