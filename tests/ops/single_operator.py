"""One case of an operator as a graph with quantisation, data and a LiteRT interpreter."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from budget.graph import ABSENT, DType, Graph, GraphBuilder, QuantParams, TensorType, verify
from budget.ops.fixed_point import storage_range
from budget.ops.operator import Activation, Case, Operand, Operator, QuantizedCall, Rounding

QUANTIZED = (DType.INT8, DType.INT16)


@dataclass
class Single:
    """A case made concrete.

    Attributes:
        graph: the one node.
        types: of the operands, None where left out.
        outputs: types, quantisation included.
        constants: data of constant operands, None for the others.
    """

    operator: Operator
    case: Case
    dtype: DType
    graph: Graph
    types: tuple[TensorType | None, ...]
    outputs: tuple[TensorType, ...]
    constants: tuple[np.ndarray | None, ...]

    @property
    def is_quantized(self) -> bool:
        return self.dtype in QUANTIZED

    def run(self, x: list[np.ndarray | None], rounding: Rounding = Rounding.TFLITE):
        """Our own meaning."""
        if self.is_quantized:
            call = QuantizedCall(self.types, self.outputs, rounding)
            return self.operator.run_quantized(self.case.attributes, x, call)
        return self.operator.run_float(self.case.attributes, x)

    def litert(self, x: list[np.ndarray | None]) -> list[np.ndarray]:
        """What LiteRT's reference kernels make of it."""
        if not hasattr(self, "_interpreter"):
            self._interpreter = interpreter(self.graph)
        return invoke(
            self._interpreter,
            [
                value
                for value, known in zip(x, self.constants)
                if value is not None and known is None
            ],
        )


def interpreter(graph: Graph):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    from budget.writers.tflite import write_tflite

    made = Interpreter(
        model_content=write_tflite(graph),
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    made.allocate_tensors()
    return made


def invoke(made, values: list[np.ndarray]) -> list[np.ndarray]:
    for detail, value in zip(made.get_input_details(), values, strict=True):
        made.set_tensor(detail["index"], value)
    made.invoke()
    return [made.get_tensor(detail["index"]) for detail in made.get_output_details()]


def seeded(*key: object) -> np.random.Generator:
    """Random numbers that depend on nothing but ``key``."""
    return np.random.default_rng(zlib.crc32(repr(key).encode()))


def build(operator: Operator, case: Case, dtype: DType, random: np.random.Generator) -> Single:
    """A case with random weights and quantisation; the output's is chosen to fit its values."""
    types: list[TensorType | None] = []
    constants: list[np.ndarray | None] = []
    for operand in case.operands:
        type, data = (None, None) if operand is None else _operand(operand, dtype, types, random)
        if case.output_quant == "same" and type is not None and type.quant is not None:
            type = TensorType(type.shape, type.dtype, _shared_quant(types) or type.quant)
        types.append(type)
        constants.append(data)
    inferred = operator.infer(case.attributes, types)
    outputs = inferred
    if dtype in QUANTIZED:
        outputs = tuple(
            _with_quant(operator, case, index, type, types, constants, random)
            for index, type in enumerate(inferred)
        )
    graph = _graph(operator, case, types, outputs, constants)
    return Single(operator, case, dtype, verify(graph), tuple(types), outputs, tuple(constants))


def inputs(single: Single, random: np.random.Generator, count: int = 4) -> Iterator[list]:
    """Values for every operand: random ones, then extremes."""
    for _ in range(count):
        yield _filled(single, lambda type: _values(type, random))
    if single.is_quantized:
        for pick in (0, 1):
            yield _filled(
                single,
                lambda type, pick=pick: np.full(
                    type.shape, _extremes(type)[pick], type.dtype.numpy
                ),
            )
        yield _filled(
            single,
            lambda type: np.where(random.random(type.shape) < 0.5, *_extremes(type)).astype(
                type.dtype.numpy
            ),
        )


def _extremes(type: TensorType) -> tuple[float, float]:
    """The ends of an integer type; for a float ones that TFLite can still convert to 32 bits."""
    return (-1e4, 1e4) if type.dtype.is_float else storage_range(type.dtype)


def dequantized(value: np.ndarray, type: TensorType) -> np.ndarray:
    """Real values of stored ones."""
    if type.quant is None:
        return value
    shape = [1] * value.ndim
    if type.quant.axis is not None:
        shape[type.quant.axis] = -1
    scale = type.quant.scale.astype(np.float64).reshape(shape if value.ndim else ())
    zero_point = type.quant.zero_point.reshape(shape if value.ndim else ())
    return ((value.astype(np.float64) - zero_point) * scale).astype(np.float32)


def _filled(single: Single, fill) -> list[np.ndarray | None]:
    values: list[np.ndarray | None] = []
    for operand, type, known in zip(single.case.operands, single.types, single.constants):
        if operand is None or type is None:
            values.append(None)
        elif known is not None:
            values.append(known)
        elif operand.values is not None or operand.role == "raw":
            values.append(np.array(operand.values, type.dtype.numpy).reshape(type.shape))
        elif type.dtype is DType.BOOL:
            values.append(seeded(type.shape).random(type.shape) < 0.5)
        else:
            values.append(fill(type))
    return values


def _values(type: TensorType, random: np.random.Generator) -> np.ndarray:
    if type.dtype.is_float:
        return random.normal(0, 2, type.shape).astype(type.dtype.numpy)
    low, high = storage_range(type.dtype) if type.dtype in QUANTIZED else (-50, 50)
    return random.integers(low, high + 1, type.shape).astype(type.dtype.numpy)


def _operand(
    operand: Operand, dtype: DType, types: list[TensorType | None], random: np.random.Generator
) -> tuple[TensorType, np.ndarray | None]:
    element, quant = operand.dtype or dtype, None
    if dtype in QUANTIZED and operand.role != "raw":
        element, quant = _quantization(operand, dtype, types, random)
    elif operand.dtype is not None and operand.role in ("bias", "weights"):
        element = dtype  # a width that only integers have
    type = TensorType(operand.shape, element, quant)
    if not operand.is_constant:
        return type, None
    if operand.values is not None:
        real = np.array(operand.values).reshape(operand.shape)
        if quant is not None:
            low, high = storage_range(element)
            real = np.clip(
                np.round(real / float(quant.scale[0])) + int(quant.zero_point[0]), low, high
            )
        return type, real.astype(element.numpy)
    if operand.role == "bias" and quant is not None:
        bound = 40 * int(storage_range(dtype)[1])
        return type, random.integers(-bound, bound, operand.shape).astype(element.numpy)
    if operand.role == "weights" and quant is not None:
        return type, random.integers(-127, 128, operand.shape).astype(element.numpy)
    return type, _values(type, random)


def _quantization(
    operand: Operand, dtype: DType, types: list[TensorType | None], random: np.random.Generator
) -> tuple[DType, QuantParams | None]:
    if operand.role == "weights":
        if operand.axis is None:
            return operand.dtype or DType.INT8, QuantParams.per_tensor(_scale(random))
        count = operand.shape[operand.axis]
        scales = np.array([_scale(random) for _ in range(count)], np.float32)
        return operand.dtype or DType.INT8, QuantParams.per_channel(scales, operand.axis)
    if operand.role == "bias":
        x, weights = types[0], types[1]
        assert x is not None and weights is not None
        assert x.quant is not None and weights.quant is not None
        scale = x.quant.scale[0] * weights.quant.scale
        axis = None if weights.quant.axis is None else 0
        element = operand.dtype or (DType.INT64 if dtype is DType.INT16 else DType.INT32)
        return element, QuantParams(scale, np.zeros(scale.shape, np.int64), axis)
    element = operand.dtype or dtype
    if element not in QUANTIZED:
        return element, None
    return element, _per_tensor(element, _scale(random), random)


def _per_tensor(element: DType, scale: float, random: np.random.Generator) -> QuantParams:
    if element is DType.INT16:  # TFLite's 16-bit tensors are symmetric
        return QuantParams.per_tensor(scale / 128)
    return QuantParams.per_tensor(scale, int(random.integers(-128, 128)))


def _shared_quant(types: list[TensorType | None]) -> QuantParams | None:
    return next((type.quant for type in types if type is not None and type.quant is not None), None)


def _scale(random: np.random.Generator) -> float:
    return float(np.exp(random.uniform(np.log(0.004), np.log(0.1))))


def _with_quant(
    operator: Operator,
    case: Case,
    index: int,
    inferred: TensorType,
    types: list[TensorType | None],
    constants: list[np.ndarray | None],
    random: np.random.Generator,
) -> TensorType:
    """The output's type with a scale under which its values neither all saturate nor vanish."""
    if inferred.dtype not in QUANTIZED:
        return TensorType(inferred.shape, inferred.dtype)
    if case.output_quant == "same":
        return TensorType(inferred.shape, inferred.dtype, _shared_quant(types))
    if isinstance(case.output_quant, tuple):
        scale, zero_point = case.output_quant
        if inferred.dtype is DType.INT16:
            scale, zero_point = scale / 128 if scale > 2**-12 else scale, 0
        return TensorType(inferred.shape, inferred.dtype, QuantParams.per_tensor(scale, zero_point))
    probe = Single(operator, case, inferred.dtype, None, tuple(types), (), tuple(constants))  # type: ignore[arg-type]
    reals = [
        None if value is None or type is None else dequantized(value, type)
        for value, type in zip(next(inputs(probe, random, 1)), types)
    ]
    attributes = case.attributes
    if hasattr(attributes, "activation"):
        attributes = dataclasses.replace(attributes, activation=Activation.NONE)
    result = np.asarray(operator.run_float(attributes, reals)[index], np.float64)
    finite = result[np.isfinite(result)]
    # a scale far below the operands' would need multipliers that no converter makes
    floor = max(
        [1e-3, *(0.05 * np.abs(real).max(initial=0) for real in reals[:1] if real is not None)]
    )
    low, high = min(0.0, finite.min(initial=0)), max(0.0, finite.max(initial=0))
    if inferred.dtype is DType.INT16:
        quant = QuantParams.per_tensor(max(high, -low, floor) / 32767 * random.uniform(0.7, 1.2))
    else:
        scale = np.float32(max(high - low, floor) * random.uniform(0.7, 1.2) / 255)
        quant = QuantParams.per_tensor(
            float(scale), int(np.clip(round(-128 - low / float(scale)), -128, 127))
        )
    return TensorType(inferred.shape, inferred.dtype, quant)


def _graph(
    operator: Operator,
    case: Case,
    types: list[TensorType | None],
    outputs: tuple[TensorType, ...],
    constants: list[np.ndarray | None],
) -> Graph:
    builder = GraphBuilder(operator.name)
    names = []
    for index, (type, data) in enumerate(zip(types, constants)):
        if type is None:
            names.append(ABSENT)
        elif data is None:
            names.append(builder.input(f"input_{index}", type))
        else:
            names.append(builder.constant(f"constant_{index}", data, type.quant))
    results = [builder.tensor(f"output_{i}", type) for i, type in enumerate(outputs)]
    builder.node(operator.name, names, results, case.attributes)
    builder.output(*results)
    return builder.build()
