"""TensorFlow's operators on eight bits: what each float operator becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from budget.formats.tensorflow_schema import DataType

FLOAT, QUINT8, QINT32 = DataType.FLOAT, DataType.QUINT8, DataType.QINT32


@dataclass(frozen=True)
class Quantized:
    """One operator on eight bits.

    Attributes:
        op: its name.
        floats: which inputs of the float operator are quantised; None for all but ``unquantized``.
        plain: inputs that stay as they are (sizes, axes).
        ranges_by_kind: all minima, then all maxima; else a pair for each input.
        wide: gives 32 bits, which have to be brought back to eight.
        attributes: of the new node, made of the old one's.
    """

    op: str
    plain: tuple[int, ...] = ()
    ranges_by_kind: bool = False
    wide: bool = False
    attributes: Callable[[Mapping[str, Any]], dict[str, Any]] = field(default=lambda old: {})


def _kept(*names: str) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    return lambda old: {name: old[name] for name in names if name in old}


def _types(**types: DataType) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    return lambda old: dict(types)


def _both(
    *parts: Callable[[Mapping[str, Any]], dict[str, Any]],
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    return lambda old: {key: value for part in parts for key, value in part(old).items()}


_PAIR = _types(T1=QUINT8, T2=QUINT8, Toutput=QINT32)
_BIAS = _types(T1=QUINT8, T2=QUINT8, out_type=QINT32)
_CONV = _both(_types(Tinput=QUINT8, Tfilter=QUINT8, out_type=QINT32),
              _kept("strides", "padding", "dilations"))  # fmt: skip
_POOL = _both(_types(T=QUINT8), _kept("ksize", "strides", "padding"))
_ACTIVATION = _types(Tinput=QUINT8, out_type=QUINT8)

OPERATORS: dict[str, Quantized] = {
    "Add": Quantized("QuantizedAdd", wide=True, attributes=_PAIR),
    "AddV2": Quantized("QuantizedAdd", wide=True, attributes=_PAIR),
    "AvgPool": Quantized("QuantizedAvgPool", attributes=_POOL),
    "BiasAdd": Quantized("QuantizedBiasAdd", wide=True, attributes=_BIAS),
    "Concat": Quantized("QuantizedConcat", plain=(0,), ranges_by_kind=True,
                        attributes=_both(_types(T=QUINT8), _kept("N"))),
    "Conv2D": Quantized("QuantizedConv2D", wide=True, attributes=_CONV),
    "MatMul": Quantized(
        "QuantizedMatMul", wide=True,
        attributes=_both(_PAIR, _kept("transpose_a", "transpose_b"))),
    "MaxPool": Quantized("QuantizedMaxPool", attributes=_POOL),
    "Mul": Quantized("QuantizedMul", wide=True, attributes=_PAIR),
    "Relu": Quantized("QuantizedRelu", attributes=_ACTIVATION),
    "Relu6": Quantized("QuantizedRelu6", attributes=_ACTIVATION),
    "Reshape": Quantized("QuantizedReshape", plain=(1,),
                         attributes=_both(_types(T=QUINT8), _kept("Tshape"))),
    "ResizeBilinear": Quantized(
        "QuantizedResizeBilinear", plain=(1,),
        attributes=_both(_types(T=QUINT8), _kept("align_corners", "half_pixel_centers"))),
}  # fmt: skip
"""Float operator → what it becomes. The outputs are the value, its minimum and its maximum."""
