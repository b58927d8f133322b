"""Rules of the dialect ``tfl`` for fused recurrent layers and for variables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from budget.graph import ABSENT, DType, Node, QuantParams, TensorType
from budget.ops.operator import Activation
from budget.transforms.lower.tflite import Lowering, Refused, Rule
from budget.transforms.lower.tflite_elementwise import activation_of, check_operands
from budget.transforms.lower.tflite_folding import real_values

_GATES = ("input", "forget", "cell", "output")
_HYBRID = (
    "weights stored in 8 bits meet activations in floating point: they are taken as float32 "
    "(the host's runtime would round such activations to 8 bits on the fly)"
)
_FUNCTIONS = {"NONE": "linear", "RELU": "relu", "TANH": "tanh"}


def _present(node: Node, index: int) -> bool:
    return index < len(node.inputs) and node.inputs[index] != ABSENT


def _state(lowering: Lowering, node: Node, index: int) -> str:
    name = node.inputs[index] if _present(node, index) else ABSENT
    if name == ABSENT or not lowering.tensors[name].is_variable:
        raise Refused("its state is no variable")
    return name


def _function(node: Node) -> str:
    name = str(node.attributes.get("fused_activation_function", "NONE"))
    if name not in _FUNCTIONS:
        raise Refused(f"the activation {name} is fused into it")
    return _FUNCTIONS[name]


def _joined(lowering: Lowering, node: Node, indices: Sequence[int], what: str) -> str:
    """The gates' constants, one below the other; 8-bit ones are widened for float activations."""
    tensors = [lowering.tensors[node.inputs[index]] for index in indices]
    arrays = []
    for tensor in tensors:
        if tensor.data is None:
            raise Refused(f"its {what} is computed")
        arrays.append(tensor.data)
    if any(array.shape[1:] != arrays[0].shape[1:] for array in arrays):
        raise Refused(f"its {what} differ in shape")
    types = {tensor.type.dtype for tensor in tensors}
    is_float = lowering.type(node.inputs[0]).dtype.is_float
    quants = [tensor.type.quant for tensor in tensors]
    quant = None
    if is_float and types != {DType.FLOAT32}:
        lowering.note(_HYBRID)
        arrays = [
            array.astype(np.float32) if q is None else real_values(array, q)
            for array, q in zip(arrays, quants)
        ]
    elif not is_float:
        if len(types) != 1 or any(q is None or len(q.scale) != 1 for q in quants):
            raise Refused(f"its {what} are not quantised gate by gate")
        scales = [
            np.full(len(array), q.scale[0], np.float32)
            for array, q in zip(arrays, quants)
            if q is not None
        ]
        quant = QuantParams.per_channel(np.concatenate(scales), 0)
    data = np.ascontiguousarray(np.concatenate(arrays))
    type = TensorType(data.shape, DType(data.dtype.name), quant)
    return lowering.add_tensor(f"{node.name}/{what}", type, data)


def _lstm(lowering: Lowering, node: Node) -> None:
    """Operands as in tensorflow/lite/kernels/lstm_shared.h."""
    if len(node.inputs) not in (20, 24) or len(node.outputs) != 1:
        raise Refused(f"it has {len(node.inputs)} operands")
    for what, indices in (
        ("it has peepholes", (9, 10, 11)),
        ("it has a projection", (16, 17)),
        ("it normalises its gates", (20, 21, 22, 23)),
    ):
        if any(_present(node, index) for index in indices):
            raise Refused(what)
    if not all(_present(node, index) for index in (1, 5, 12)):
        raise Refused("its input and forget gates are coupled")
    if node.attributes.get("diagonal_recurrent_tensors"):
        raise Refused("its recurrent weights are diagonals")
    states = (_state(lowering, node, 18), _state(lowering, node, 19))
    operands = [
        node.inputs[0],
        _joined(lowering, node, range(1, 5), "weights"),
        _joined(lowering, node, range(5, 9), "recurrent weights"),
        _joined(lowering, node, range(12, 16), "biases"),
    ]
    x = lowering.type(node.inputs[0])
    hidden = None
    if not x.dtype.is_float:
        hidden = _hidden(lowering, node)
    lowering.emit(
        "lstm",
        [*operands, *states],
        [*node.outputs, *states],
        node,
        function=_function(node),
        cell_clip=float(node.attributes.get("cell_clip", 0.0)),
        time_major=bool(node.attributes.get("time_major", False)),
        hidden=hidden,
    )


def _hidden(lowering: Lowering, node: Node) -> tuple[float, int] | None:
    """Scale and zero point of the fifth intermediate tensor; gates keep 12 bits of a fraction."""
    names = node.attributes.get("intermediates", ())
    quants = [lowering.type(name).quant if name else None for name in names]
    if len(quants) < 5 or quants[4] is None:
        return None
    return float(quants[4].scale[0]), int(quants[4].zero_point[0])


def _rnn(lowering: Lowering, node: Node) -> None:
    check_operands(node, 5)
    if not lowering.type(node.inputs[0]).dtype.is_float:
        raise Refused("integer recurrent layers of this kind have no canonical form")
    state = _state(lowering, node, 4)
    weights = [_joined(lowering, node, (index,), f"weights {index}") for index in (1, 2)]
    lowering.emit(
        "simple_rnn",
        [node.inputs[0], *weights, node.inputs[3], state],
        [*node.outputs, state],
        node,
        function=_function(node),
        time_major=bool(node.attributes.get("time_major", False)),
    )


def _svdf(lowering: Lowering, node: Node) -> None:
    check_operands(node, 3, 5)
    if len(node.inputs) < 5:
        raise Refused("it has no state")
    state = _state(lowering, node, 4)
    if lowering.type(node.inputs[0]).dtype.is_float:
        weights = [_joined(lowering, node, (index,), f"weights {index}") for index in (1, 2)]
    else:
        weights = list(node.inputs[1:3])
    activation = activation_of(node)
    if not lowering.type(node.inputs[0]).dtype.is_float:
        activation = Activation.NONE  # the integer kernel ignores it
    lowering.emit(
        "svdf",
        [node.inputs[0], *weights, node.inputs[3], state],
        [*node.outputs, state],
        node,
        rank=int(node.attributes.get("rank", 0)),
        activation=activation,
    )


# --- variables ------------------------------------------------------------------------------------
def _handle(lowering: Lowering, node: Node) -> None:
    if len(node.outputs) != 1:
        raise Refused(f"it has {len(node.outputs)} results")
    key = (str(node.attributes.get("container", "")), str(node.attributes.get("shared_name", "")))
    lowering.handles[node.outputs[0]] = "/".join(filter(None, key)) or node.outputs[0]


def _variable(lowering: Lowering, handle: str, type: TensorType) -> str:
    """The tensor that keeps a variable's value."""
    if handle not in lowering.handles:
        raise Refused("its variable comes from elsewhere")
    name = f"variable/{lowering.handles[handle]}"
    known = lowering.tensors.get(name)
    if known is None:
        lowering.tensors[name] = replace(
            lowering.tensors[handle], name=name, type=type, is_variable=True
        )
    elif (known.type.shape, known.type.dtype) != (type.shape, type.dtype):
        raise Refused("its variable changes its shape")
    return name


def _read(lowering: Lowering, node: Node) -> None:
    check_operands(node, 1)
    type = lowering.type(node.outputs[0])
    name = _variable(lowering, node.inputs[0], type)
    lowering.emit("reshape", (name,), node.outputs, node, shape=type.shape)


def _assign(lowering: Lowering, node: Node) -> None:
    check_operands(node, 2, outputs=0)
    type = lowering.type(node.inputs[1])
    name = _variable(lowering, node.inputs[0], type)
    if any(name in other.outputs for other in lowering.nodes):
        raise Refused("its variable is written twice")
    lowering.emit("reshape", (node.inputs[1],), (name,), node, shape=type.shape)


def _call_once(lowering: Lowering, node: Node) -> None:
    """Start values: nothing is left to do where they are zero."""
    bodies = {graph.name: graph for graph in lowering.graph.walk()}
    for name in node.subgraphs:
        body = bodies[name]
        for inner in body.nodes:
            if inner.op == "tfl.VAR_HANDLE":
                continue
            value = body.constant(inner.inputs[1]) if inner.op == "tfl.ASSIGN_VARIABLE" else None
            if value is None or value.any():
                raise Refused("variables start with values other than zero")


RULES: dict[str, Rule] = {
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm,
    "UNIDIRECTIONAL_SEQUENCE_RNN": _rnn,
    "SVDF": _svdf,
    "VAR_HANDLE": _handle,
    "READ_VARIABLE": _read,
    "ASSIGN_VARIABLE": _assign,
    "CALL_ONCE": _call_once,
}
