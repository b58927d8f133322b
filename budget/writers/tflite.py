"""Writes graphs as TensorFlow Lite files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from budget.atomic import replacing
from budget.errors import UnsupportedModelError
from budget.formats.tflite_schema import OPERATORS, SCHEMA_VERSION, TENSOR_TYPES
from budget.graph import ABSENT, DType, Graph, QuantParams, Tensor

_LAST_SMALL_CODE = 127  # operator codes above it live in the 32-bit field only


def write_tflite(graph: Graph, path: str | Path | None = None) -> bytes:
    """The bytes of a ``.tflite`` file for a graph; also written to ``path`` where one is given.

    The file appears under its name only when it is complete.

    Raises:
        UnsupportedModelError: the graph holds something the format cannot express; all listed.
    """
    if graph.dialect == "tfl":
        from budget.writers.tflite_source import encode_source

        data = encode_source(graph)
    elif graph.dialect == "canonical":
        data = _encode_canonical(graph)
    else:
        raise UnsupportedModelError(
            f"a graph of dialect {graph.dialect!r} cannot be written as TensorFlow Lite",
            where=graph.source.name or graph.name,
            hint="lower it to canonical operators first",
        )
    if path is not None:
        with replacing(Path(path)) as temporary:
            temporary.write_bytes(data)
    return data


def _encode_canonical(graph: Graph) -> bytes:
    from budget.writers.flatbuffer import encode_model
    from budget.writers.tflite_translation import Translation

    translation = Translation(graph)
    translation.run()
    problems = translation.problems + _unwritable(translation.tensors.values())
    if graph.subgraphs:
        problems.append("subgraphs: " + ", ".join(graph.subgraphs))
    if problems:
        raise UnsupportedModelError(
            "this cannot be written as TensorFlow Lite: " + "; ".join(problems),
            where=graph.source.name or graph.name,
        )
    used = dict.fromkeys(graph.inputs)
    for operator in translation.operators:
        used.update(dict.fromkeys(operator["inputs"]))
        used.update(dict.fromkeys(operator["outputs"]))
    used.update(dict.fromkeys(graph.outputs))
    used.pop(ABSENT, None)
    tensors = [translation.tensors[name] for name in used]
    return encode_model(_model(graph, tensors, translation.operators))


def _model(
    graph: Graph, tensors: Sequence[Tensor], operators: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    index = {tensor.name: position for position, tensor in enumerate(tensors)}
    index[ABSENT] = -1
    codes: dict[tuple[str, int], int] = {}
    written = []
    for operator in operators:
        key = (operator["builtin"], operator["version"])
        entry: dict[str, Any] = {
            "opcode_index": codes.setdefault(key, len(codes)),
            "inputs": [index[name] for name in operator["inputs"]],
            "outputs": [index[name] for name in operator["outputs"]],
        }
        table = operator["options_table"]
        if table:
            entry["builtin_options_type"] = option_number(table)
            entry["builtin_options"] = (table, operator["options"])
        written.append(entry)
    buffers: list[dict[str, Any]] = [{}]  # buffer 0 stands for "no data"
    return {
        "version": SCHEMA_VERSION,
        "operator_codes": [operator_code(name, version) for name, version in codes],
        "subgraphs": [
            {
                "name": "main",
                "tensors": [tensor_entry(tensor, buffers) for tensor in tensors],
                "inputs": [index[name] for name in graph.inputs],
                "outputs": [index[name] for name in graph.outputs],
                "operators": written,
            }
        ],
        "description": graph.name,
        "signature_defs": [
            {
                "signature_key": "serving_default",
                "inputs": [{"name": n, "tensor_index": index[n]} for n in graph.inputs],
                "outputs": [{"name": n, "tensor_index": index[n]} for n in graph.outputs],
            }
        ],
        "buffers": buffers,
    }


def operator_code(builtin: str, version: int) -> dict[str, Any]:
    """The ``OperatorCode`` of a builtin; old readers look at the 8-bit field."""
    number = OPERATORS.index(builtin)
    return {
        "deprecated_builtin_code": min(number, _LAST_SMALL_CODE),
        "builtin_code": number,
        "version": version,
    }


def option_number(table: str) -> int:
    """The number by which a file names an options table."""
    from budget.formats.tflite_schema import OPTIONS

    return OPTIONS.index(table)


def tensor_entry(tensor: Tensor, buffers: list[dict[str, Any]]) -> dict[str, Any]:
    """The ``Tensor`` of a tensor; its data, if any, is appended to ``buffers``."""
    entry: dict[str, Any] = {
        "name": tensor.name,
        "shape": tensor.type.shape,
        "type": tensor.type.dtype.value,
        "is_variable": tensor.is_variable,
        "has_rank": True,
    }
    if tensor.type.quant is not None:
        entry["quantization"] = quantization_entry(tensor.type.quant)
    if tensor.data is not None:
        entry["buffer"] = len(buffers)
        buffers.append({"data": packed_bytes(tensor)})
    return entry


def quantization_entry(quant: QuantParams) -> dict[str, Any]:
    """The ``QuantizationParameters`` of an affine quantisation."""
    return {
        "scale": quant.scale,
        "zero_point": quant.zero_point,
        "quantized_dimension": quant.axis or 0,
    }


def packed_bytes(tensor: Tensor) -> bytes:
    """A constant's elements as the file stores them; 4-bit ones two to a byte, low half first."""
    assert tensor.data is not None
    if tensor.type.dtype is DType.INT4:
        nibbles = np.asarray(tensor.data, np.int8).reshape(-1).view(np.uint8) & 0x0F
        if nibbles.size % 2:
            nibbles = np.append(nibbles, np.uint8(0))
        return (nibbles[0::2] | (nibbles[1::2] << 4)).astype(np.uint8).tobytes()
    if tensor.type.dtype is DType.BFLOAT16:
        bits = np.ascontiguousarray(tensor.data, np.float32).view(np.uint32) >> 16
        return bits.astype("<u2").tobytes()
    array = np.ascontiguousarray(tensor.data)
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _unwritable(tensors: Iterable[Tensor]) -> list[str]:
    return [
        f"tensor {tensor.name!r} of type {tensor.type.dtype.value}"
        for tensor in tensors
        if tensor.type.dtype.value not in TENSOR_TYPES
        or (tensor.data is not None and not tensor.type.dtype.bits)
    ]
