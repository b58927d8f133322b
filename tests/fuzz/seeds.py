"""Small sound inputs from which mutations start; made here, so that none need be kept."""

from __future__ import annotations

import io
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from loop_seeds import loops
from mutators import zipped

from budget.graph import DType, Graph, GraphBuilder, QuantParams, TensorType

SAVED_MODEL_FILES = (
    "saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001",
)  # fmt: skip
PART = b"\n-- next file --\n"
_ROOT = Path(__file__).parents[2]


@cache
def tflite() -> list[bytes]:
    """One operator with everything else a file may have; loops; small networks."""
    from budget.formats.tflite_schema import OPERATORS, OPTIONS
    from budget.writers.flatbuffer import encode_model
    from budget.writers.tflite import write_tflite

    def tensor(name: str, shape: list[int], type: str = "int8", **more: Any) -> dict[str, Any]:
        scale = {"scale": [0.5], "zero_point": [3]}
        quantization = {"quantization": scale} if type in ("int8", "uint8") else {}
        return {"name": name, "shape": shape, "type": type, **quantization, **more}

    def model(
        op: str, tensors: list[dict[str, Any]], table: str, options: dict[str, Any],
        inputs: int = 1, buffers: tuple[bytes, ...] = (), **more: Any,
    ) -> dict[str, Any]:  # fmt: skip
        number = OPERATORS.index(op)
        operator: dict[str, Any] = {
            "opcode_index": 0, "inputs": list(range(len(tensors) - 1)),
            "outputs": [len(tensors) - 1],
        }  # fmt: skip
        if table:
            operator |= {
                "builtin_options_type": OPTIONS.index(table),
                "builtin_options": (table, options),
            }
        code = {"builtin_code": number, "deprecated_builtin_code": min(number, 127), "version": 1}
        return {
            "version": 3,
            "operator_codes": [code | ({"custom_code": "Mine"} if op == "CUSTOM" else {})],
            "buffers": [{}, *({"data": data} for data in buffers)],
            "subgraphs": [
                {
                    "name": "main", "tensors": tensors, "operators": [operator],
                    "inputs": list(range(inputs)), "outputs": [len(tensors) - 1],
                }
            ],
            **more,
        }  # fmt: skip

    plain = model("RELU", [tensor("x", [1, 4]), tensor("y", [1, 4])], "", {})
    full = model(
        "FULLY_CONNECTED",
        [
            tensor("x", [1, 4], shape_signature=[-1, 4]),
            tensor("w", [2, 4], buffer=1),
            tensor("b", [2], "int32", buffer=2),
            tensor("y", [1, 2]),
        ],
        "FullyConnectedOptions",
        {},
        buffers=(b"\1\2\3\4\5\6\7\10", bytes(8)),
        metadata=[{"name": "author", "buffer": 1}],
        signature_defs=[
            {"signature_key": "run", "inputs": [{"name": "in", "tensor_index": 0}]},
            {"signature_key": "other", "outputs": [{"name": "out", "tensor_index": 3}]},
        ],
    )
    sparse = model(
        "ADD",
        [
            tensor("x", [2, 4]),
            tensor(
                "w", [2, 4], buffer=1,
                sparsity={
                    "traversal_order": [0, 1],
                    "dim_metadata": [
                        {"format": 0, "dense_size": 2},
                        {
                            "format": 1,
                            "array_segments_type": 1,
                            "array_segments": ("Int32Vector", {"values": [0, 1, 3]}),
                            "array_indices_type": 3,
                            "array_indices": ("Uint8Vector", {"values": [0, 1, 3]}),
                        },
                    ],
                },
            ),
            tensor("y", [2, 4]),
        ],
        "AddOptions", {}, buffers=(b"\1\2\3",),
    )  # fmt: skip
    nibbles = model(
        "ADD",
        [tensor("x", [4]), tensor("w", [4], "int4", buffer=1), tensor("y", [4])],
        "AddOptions", {}, buffers=(b"\x21\x43",),
    )  # fmt: skip
    custom = model("CUSTOM", [tensor("x", [1, 4]), tensor("y", [1, 4])], "", {})
    custom["subgraphs"][0]["operators"][0]["custom_options"] = b"\7\0\xff"
    reshape = model(
        "RESHAPE",
        [tensor("x", [1, 4]), tensor("s", [2], "int32", buffer=1), tensor("y", [2, 2])],
        "ReshapeOptions", {"new_shape": [2, 2]}, buffers=(b"\2\0\0\0\2\0\0\0",),
    )  # fmt: skip
    loop = model(
        "WHILE", [tensor("x", [1, 4]), tensor("y", [1, 4])], "WhileOptions",
        {"cond_subgraph_index": 1, "body_subgraph_index": 2},
    )  # fmt: skip
    body = dict(plain["subgraphs"][0], operators=[], outputs=[0], name="body")
    loop["subgraphs"] += [body, dict(body, name="other")]
    made = [
        encode_model(tables) for tables in (plain, full, sparse, nibbles, custom, reshape, loop)
    ]
    return [*made, write_tflite(_network())]


def _network() -> Graph:
    """Depthwise convolution, pooling, sum, join, softmax."""
    from budget.ops import registry
    from budget.ops.windows import Padding

    quant = QuantParams.per_tensor(0.1, 3)
    image = TensorType((1, 4, 4, 2), DType.INT8, quant)
    builder = GraphBuilder("net")
    x = builder.input("x", image)
    scales = QuantParams.per_channel(np.full(2, 0.02, np.float32), 3)
    weights = np.arange(18, dtype=np.int8).reshape(1, 3, 3, 2)
    depthwise = registry.get("depthwise_conv_2d").Attributes(padding=Padding(1, 1, 1, 1))
    w = builder.constant("w", weights, scales)
    bias_scales = QuantParams.per_channel(np.full(2, 0.002, np.float32), 0)
    b = builder.constant("b", np.zeros(2, np.int32), bias_scales)
    y = builder.tensor("y", image)
    builder.node("depthwise_conv_2d", [x, w, b], [y], depthwise)
    z = builder.tensor("z", image)
    builder.node("add", [x, y], [z], registry.get("add").Attributes())
    flat = builder.tensor("flat", TensorType((1, 32), DType.INT8, quant))
    builder.node("reshape", [z], [flat], registry.get("reshape").Attributes(shape=(1, 32)))
    out = builder.tensor(
        "out", TensorType((1, 32), DType.INT8, QuantParams.per_tensor(1 / 256, -128))
    )
    builder.node("softmax", [flat], [out], registry.get("softmax").Attributes())
    builder.output(out)
    return builder.build()


def _node(name: str, op: str, *inputs: str, **attributes: Any) -> bytes:
    from budget.formats.tensorflow_schema import NODE_DEF
    from budget.formats.tensorflow_values import encode_attribute

    encoded = {key: encode_attribute(value) for key, value in attributes.items()}
    return NODE_DEF.new(name=name, op=op, input=list(inputs), attr=encoded).encode()


def _constant(name: str, values: Any) -> bytes:
    from budget.formats.tensorflow_schema import DataType
    from budget.formats.tensorflow_values import TensorValue

    array = np.asarray(values)
    dtype = DataType.FLOAT if array.dtype.kind == "f" else DataType.INT32
    array = array.astype(np.float32 if dtype is DataType.FLOAT else np.int32)
    return _node(name, "Const", dtype=dtype, value=TensorValue(dtype, array))


@cache
def _graphs() -> list[Any]:
    from budget.formats.tensorflow_schema import GRAPH_DEF, DataType
    from budget.formats.tensorflow_values import Shape

    types = {"T": DataType.FLOAT}

    def placeholder(*shape: int) -> bytes:
        return _node("x", "Placeholder", dtype=DataType.FLOAT, shape=Shape(shape))

    window: dict[str, Any] = {"strides": (1, 1, 1, 1), "padding": b"SAME", "data_format": b"NHWC"}
    network = [
        placeholder(-1, 4, 4, 2),
        _constant("w", np.ones((3, 3, 2, 2), np.float32)),
        _constant("b", np.ones(2, np.float32)),
        _node("conv", "Conv2D", "x", "w", **window, **types),
        _node("bias", "BiasAdd", "conv", "b", data_format=b"NHWC", **types),
        _node("mean", "Const", dtype=DataType.FLOAT),
        _node("norm", "FusedBatchNorm", "bias", "b", "b", "b", "b", epsilon=0.001,
              is_training=False, data_format=b"NHWC", **types),
        _node("relu", "Relu6", "norm:0", **types),
        _node("pool", "MaxPool", "relu", ksize=(1, 2, 2, 1), **(window | {"strides": (1, 2, 2, 1)}),
              **types),
        _constant("shape", [-1, 8]),
        _node("flat", "Reshape", "pool", "shape", Tshape=DataType.INT32, **types),
        _constant("w2", np.ones((8, 3), np.float32)),
        _node("out", "MatMul", "flat", "w2", transpose_a=False, transpose_b=False, **types),
        _node("probabilities", "Softmax", "out", "^bias", **types),
    ]  # fmt: skip
    del network[5]
    arithmetic = [
        placeholder(2, 3),
        _constant("axis", [1]),
        _node("mean", "Mean", "x", "axis", keep_dims=True, Tidx=DataType.INT32, **types),
        _node("shape", "Shape", "x", out_type=DataType.INT32, **types),
        _constant("zero", [0]),
        _constant("one", [1]),
        _node("slice", "StridedSlice", "shape", "zero", "one", "one", shrink_axis_mask=1,
              begin_mask=0, end_mask=0, ellipsis_mask=0, new_axis_mask=0, T=DataType.INT32,
              Index=DataType.INT32),
        _node("pack", "Pack", "slice", "slice", N=2, axis=0, T=DataType.INT32),
        _node("tile", "Fill", "pack", "half"),
        _constant("half", np.float32(0.5)),
        _node("y", "Sub", "x", "mean", **types),
        _node("join", "ConcatV2", "y", "x", "axis0", N=2, Tidx=DataType.INT32, **types),
        _constant("axis0", np.int32(0)),
        _node("out", "Transpose", "join", "order", Tperm=DataType.INT32, **types),
        _constant("order", [1, 0]),
    ]  # fmt: skip
    return [GRAPH_DEF.new(node=nodes) for nodes in (network, arithmetic)]


@cache
def graphdef() -> list[bytes]:
    """A classifier with an old batch norm; shapes computed in the graph."""
    return [message.encode() for message in _graphs()]


@cache
def pbtxt() -> list[bytes]:
    """The same in the text form, and loops inside loops."""
    from budget.formats.protobuf_text import format_text

    return [*(format_text(message).encode() for message in _graphs()), loops(1, 3), loops(2, 2)]


@cache
def saved_model() -> list[bytes]:
    """A product of a matrix and a variable, saved by TensorFlow 2.21; kept as an archive."""
    import zipfile

    with zipfile.ZipFile(Path(__file__).parent / "seeds" / "saved_model.zip") as archive:
        return [PART.join(archive.read(name) for name in SAVED_MODEL_FILES)]


def _layer(class_name: str, name: str, **config: Any) -> dict[str, Any]:
    config = {"name": name, "dtype": "float32", **config}
    return {"module": "keras.layers", "class_name": class_name, "config": config, "name": name}


@cache
def _keras_models() -> list[dict[str, Any]]:
    source = _layer("InputLayer", "x", batch_shape=[None, 4, 4, 2])
    window = {"kernel_size": [3, 3], "strides": [1, 1], "padding": "same"}
    layers = [
        _layer("Conv2D", "conv", filters=2, activation="relu", use_bias=True, **window),
        _layer("DepthwiseConv2D", "deep", depth_multiplier=1, use_bias=False, **window),
        _layer("BatchNormalization", "norm", axis=[3], epsilon=0.001, center=True, scale=True),
        _layer("MaxPooling2D", "pool", pool_size=[2, 2], strides=[2, 2], padding="valid"),
        _layer("Dropout", "drop", rate=0.5),
        _layer("GlobalAveragePooling2D", "mean"),
        _layer("Dense", "dense", units=3, activation="softmax", use_bias=True),
    ]
    plain = {"class_name": "Sequential", "config": {"name": "m", "layers": [source, *layers]}}

    def tensor(name: str) -> dict[str, Any]:
        return {"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}}

    def called(entry: dict[str, Any], *args: Any) -> dict[str, Any]:
        return {**entry, "inbound_nodes": [{"args": list(args), "kwargs": {}}]}

    functional = {
        "class_name": "Functional",
        "config": {
            "name": "f",
            "layers": [
                {**source, "inbound_nodes": []},
                called(layers[0], tensor("x")),
                called(_layer("Add", "sum"), [tensor("x"), tensor("conv")]),
                called(_layer("Concatenate", "join", axis=-1), [tensor("sum"), tensor("x")]),
                called(_layer("Reshape", "flat", target_shape=[-1]), tensor("join")),
            ],
            "input_layers": [["x", 0, 0]],
            "output_layers": [["flat", 0, 0]],
        },
    }
    series = _layer("InputLayer", "x", batch_shape=[None, 6, 2])
    recurrent = [
        _layer("LSTM", "lstm", units=2, activation="tanh", recurrent_activation="sigmoid",
               use_bias=True, return_sequences=True),
        _layer("Conv1D", "conv", filters=2, kernel_size=[3], strides=[1], padding="causal"),
    ]  # fmt: skip
    sequence = {"class_name": "Sequential", "config": {"name": "s", "layers": [series, *recurrent]}}
    return [plain, functional, sequence]


@cache
def keras_config() -> list[bytes]:
    """Configurations: layers in a row, a graph of layers, a recurrent one."""
    return [json.dumps(model).encode() for model in _keras_models()]


_SMALL = {
    "class_name": "Sequential",
    "config": {
        "name": "m",
        "layers": [
            _layer("InputLayer", "x", batch_shape=[None, 3]),
            _layer("Dense", "dense", units=2, activation="relu", use_bias=True),
        ],
    },
}
_KERNEL = np.arange(6, dtype=np.float32).reshape(3, 2)


@cache
def sound_weights() -> frozenset[bytes]:
    """The weights in the seeds of `keras`, which need no probe."""
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["layers/dense/vars/0"] = _KERNEL
        file["layers/dense/vars/1"] = np.ones(2, np.float32)
    return frozenset({buffer.getvalue()})


@cache
def keras() -> list[bytes]:
    """An archive of Keras 3."""
    (weights,) = sound_weights()
    members = {
        "metadata.json": b'{"keras_version": "3.15.1"}',
        "config.json": json.dumps(_SMALL).encode(),
        "model.weights.h5": weights,
    }
    return [zipped(list(members.items()))]


@cache
def h5() -> list[bytes]:
    """A file of Keras 2."""
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["keras_version"] = "2.4.0"
        file.attrs["model_config"] = json.dumps(_SMALL)
        group = file.create_group("model_weights/dense")
        group.attrs["weight_names"] = [b"dense/kernel:0", b"dense/bias:0"]
        group["dense/kernel:0"] = _KERNEL
        group["dense/bias:0"] = np.ones(2, np.float32)
    return [buffer.getvalue()]


def _shipped(*folders: str) -> list[bytes]:
    paths = [path for folder in folders for path in sorted((_ROOT / folder).glob("*.toml"))]
    return sorted((path.read_bytes() for path in paths), key=len)


@cache
def profiles() -> list[bytes]:
    """Microcontrollers and compute engines that ship, under the fuzzed file's name."""
    shipped = _shipped("budget/hardware_profiles/mcus", "budget/hardware_profiles/accelerators")
    return [b'id = "fuzz"\n' + b"\n".join(line for line in text.split(b"\n")
                                          if not line.startswith(b"id ="))
            for text in shipped[:12]]  # fmt: skip


@cache
def scenarios() -> list[bytes]:
    """Those that ship."""
    return _shipped("budget/scenarios")[:6]


@cache
def two_inputs() -> Graph:
    """A graph that wants two arrays."""
    builder = GraphBuilder("two")
    builder.input("a", TensorType((1, 2), DType.FLOAT32))
    builder.input("b", TensorType((1, 3), DType.INT8))
    return builder.build()


@cache
def data() -> list[bytes]:
    """Arrays for it: an archive, and a lone array."""
    one, other = io.BytesIO(), io.BytesIO()
    np.save(one, np.zeros((4, 2), np.float32))
    np.save(other, np.zeros((4, 3), np.int8))
    compressed = io.BytesIO()
    np.savez_compressed(compressed, a=np.zeros((2, 2), np.float32), b=np.zeros((2, 3), np.int8))
    members = [("a.npy", one.getvalue()), ("b.npy", other.getvalue())]
    return [zipped(members), compressed.getvalue(), one.getvalue()]


@cache
def transforms() -> list[bytes]:
    """Lists as users write them."""
    return [
        b'strip_unused_nodes(type=float, shape="1,299,299,3")\n'
        b"remove_nodes(op=Identity, op=CheckNumerics)\nfold_constants(ignore_errors=true)\n"
        b"fold_batch_norms\nfold_old_batch_norms",
        b'rename_op(old_op_name="Mul \\"x\\"", new_op_name=Multiply), sort_by_execution_order',
        b"quantize_weights freeze_requantization_ranges(min_max_log_file=x) "
        b"round_weights(num_steps=256)",
    ]
