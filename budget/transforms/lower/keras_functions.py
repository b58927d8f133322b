"""Keras's activation functions, by layer and by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from budget.formats.keras_settings import Settings
from budget.transforms.lower.keras_context import Handler, Layer
from budget.transforms.lower.tensorflow_context import Value

_SELU_SCALE = 1.0507009873554805
_SELU_ALPHA = 1.6732632423543772

Function = Callable[[Layer, Value], Value]


def activate(layer: Layer, x: Value, key: str = "activation") -> Value:
    """Applies the activation that a layer's configuration names."""
    name, config = layer.settings.activation(key)
    if name == "linear":
        return x
    if name in FUNCTIONS:
        return layer.through(lambda value: FUNCTIONS[name](layer, value), x)
    inner = Settings(config, layer.settings.where)
    if name == "Activation":
        name, _ = inner.activation()
        if name == "linear":
            return x
        if name in FUNCTIONS:
            return layer.through(lambda value: FUNCTIONS[name](layer, value), x)
    if name in _LAYERS:
        return layer.through(lambda value: _LAYERS[name](layer, value, inner), x)
    raise layer.unsupported(f"activation {name!r} is not known")


def _plain(op: str) -> Function:
    return lambda layer, x: layer.emit(op, x)


def _leaky(layer: Layer, x: Value, slope: float = 0.2) -> Value:
    from budget.ops.activations import LeakyReluAttributes

    return layer.emit("leaky_relu", x, attributes=LeakyReluAttributes(slope))


def _gelu(layer: Layer, x: Value, approximate: bool = False) -> Value:
    from budget.ops.activations import GeluAttributes

    return layer.emit("gelu", x, attributes=GeluAttributes(approximate))


def _scaled_elu(layer: Layer, x: Value, alpha: float, scale: float = 1.0) -> Value:
    """Scale · (max(x, 0) + alpha · min(elu(x), 0))."""
    if alpha == 1.0 and scale == 1.0:
        return layer.emit("elu", x)
    negative = layer.emit("minimum", layer.emit("elu", x), layer.number(0.0))
    negative = layer.emit("mul", negative, layer.number(alpha * scale))
    positive: Value = layer.emit("relu", x)
    if scale != 1.0:
        positive = layer.emit("mul", positive, layer.number(scale))
    return layer.emit("add", positive, negative)


def _celu(layer: Layer, x: Value, alpha: float = 1.0) -> Value:
    """max(x, 0) + alpha · min(elu(x / alpha), 0)."""
    if alpha == 1.0:
        return layer.emit("elu", x)
    inner = layer.emit("elu", layer.emit("mul", x, layer.number(1 / alpha)))
    negative = layer.emit("minimum", inner, layer.number(0.0))
    negative = layer.emit("mul", negative, layer.number(alpha))
    return layer.emit("add", layer.emit("relu", x), negative)


def _silu(layer: Layer, x: Value) -> Value:
    return layer.emit("mul", x, layer.emit("logistic", x))


def _hard_sigmoid(layer: Layer, x: Value) -> Value:
    """relu6(x + 3)/6 since Keras 3; before, x/5 + 1/2 cut off at 0 and 1."""
    if layer.c.keras_version < 3:
        line = layer.emit("mul", x, layer.number(0.2))
        line = layer.emit("add", line, layer.number(0.5))
        return layer.emit("minimum", layer.emit("relu", line), layer.number(1.0))
    clipped = layer.emit("relu6", layer.emit("add", x, layer.number(3.0)))
    return layer.emit("mul", clipped, layer.number(1 / 6))


def _softplus(layer: Layer, x: Value) -> Value:
    """max(x, 0) + log(1 + exp(-|x|)), which does not overflow."""
    small = layer.emit("exp", layer.emit("neg", layer.emit("abs", x)))
    tail = layer.emit("log", layer.emit("add", small, layer.number(1.0)))
    return layer.emit("add", layer.emit("relu", x), tail)


def _softsign(layer: Layer, x: Value) -> Value:
    return layer.emit("div", x, layer.emit("add", layer.emit("abs", x), layer.number(1.0)))


def _mish(layer: Layer, x: Value) -> Value:
    return layer.emit("mul", x, layer.emit("tanh", _softplus(layer, x)))


def _log_sigmoid(layer: Layer, x: Value) -> Value:
    return layer.emit("neg", _softplus(layer, layer.emit("neg", x)))


def _tanh_shrink(layer: Layer, x: Value) -> Value:
    return layer.emit("sub", x, layer.emit("tanh", x))


def _squareplus(layer: Layer, x: Value) -> Value:
    """(x + √(x² + 4))/2."""
    root = layer.emit("sqrt", layer.emit("add", layer.emit("square", x), layer.number(4.0)))
    return layer.emit("mul", layer.emit("add", x, root), layer.number(0.5))


FUNCTIONS: dict[str, Function] = {
    "relu": _plain("relu"),
    "relu6": _plain("relu6"),
    "hard_tanh": _plain("relu_n1_to_1"),
    "sigmoid": _plain("logistic"),
    "tanh": _plain("tanh"),
    "softmax": _plain("softmax"),
    "log_softmax": _plain("log_softmax"),
    "exponential": _plain("exp"),
    "elu": _plain("elu"),
    "celu": _celu,
    "selu": lambda layer, x: _scaled_elu(layer, x, _SELU_ALPHA, _SELU_SCALE),
    "leaky_relu": _leaky,
    "gelu": _gelu,
    "silu": _silu,
    "swish": _silu,
    "hard_sigmoid": _hard_sigmoid,
    "hard_silu": _plain("hard_swish"),
    "hard_swish": _plain("hard_swish"),
    "softplus": _softplus,
    "softsign": _softsign,
    "mish": _mish,
    "log_sigmoid": _log_sigmoid,
    "tanh_shrink": _tanh_shrink,
    "squareplus": _squareplus,
}
"""Activation functions by the name that files give them."""


# --- layers ---------------------------------------------------------------------------------------
def _relu(layer: Layer, x: Value, settings: Settings) -> Value:
    """X from the threshold on, slope · (x - threshold) below, never above the maximum."""
    slope = settings.number("negative_slope", 0.0)
    threshold = settings.number("threshold", 0.0)
    limit = settings.number("max_value") if settings.has("max_value") else None
    if threshold:
        shifted = layer.emit("sub", x, layer.number(threshold))
        below = layer.emit("mul", shifted, layer.number(slope))
        above = layer.emit("greater", x, layer.number(threshold))
        y: Value = layer.emit("select", above, x, below)
    elif slope:
        y = _leaky(layer, x, slope)
    elif limit == 6.0:
        return layer.emit("relu6", x)
    else:
        y = layer.emit("relu", x)
    return y if limit is None else layer.emit("minimum", y, layer.number(limit))


def _leaky_relu(layer: Layer, x: Value, settings: Settings) -> Value:
    default = settings.number("alpha", 0.3)  # as Keras 2 calls it
    return _leaky(layer, x, settings.number("negative_slope", default))


def _elu(layer: Layer, x: Value, settings: Settings) -> Value:
    return _scaled_elu(layer, x, settings.number("alpha", 1.0))


def _softmax(layer: Layer, x: Value, settings: Settings) -> Value:
    return along_axis(layer, x, settings, "softmax")


def along_axis(
    layer: Layer, x: Value, settings: Settings, op: str, attributes: Any = None
) -> Value:
    """Applies an operator that works on the last dimension along the one that is set."""
    rank = len(layer.c.shape(x))
    axes = settings.axes("axis", -1, rank)
    if len(axes) != 1:
        raise layer.unsupported(f"{op} over dimensions {axes} together")
    if axes[0] == rank - 1:
        return layer.emit(op, x, attributes=attributes)
    perm = list(range(rank))
    perm[axes[0]], perm[-1] = perm[-1], perm[axes[0]]
    turned = layer.c.permute(layer.node, x, tuple(perm))
    y = layer.emit(op, turned, attributes=attributes)
    return layer.c.permute(layer.node, y, tuple(perm))


_LAYERS: dict[str, Callable[[Layer, Value, Settings], Value]] = {
    "ReLU": _relu,
    "LeakyReLU": _leaky_relu,
    "ELU": _elu,
    "Softmax": _softmax,
}


def _as_handler(name: str) -> Handler:
    def handler(layer: Layer) -> Value:
        function = _LAYERS[name]
        if name == "Softmax":
            return function(layer, layer.real(), layer.settings)
        return layer.through(lambda x: function(layer, x, layer.settings), layer.real())

    return handler


def _activation(layer: Layer) -> Value:
    return activate(layer, layer.real())


def _prelu(layer: Layer) -> Value:
    return layer.emit("prelu", layer.real(), layer.weight(1))


def _function(name: str) -> Handler:
    def handler(layer: Layer) -> Value:
        return layer.through(lambda x: FUNCTIONS[name](layer, x), layer.real())

    return handler


def _ops_gelu(layer: Layer) -> Value:
    return _gelu(layer, layer.real(), layer.settings.flag("approximate", True))


def _ops_leaky(layer: Layer) -> Value:
    return _leaky(layer, layer.real(), layer.settings.number("negative_slope", 0.2))


def _ops_celu(layer: Layer) -> Value:
    return _celu(layer, layer.real(), layer.settings.number("alpha", 1.0))


def _ops_softmax(op: str) -> Handler:
    return lambda layer: along_axis(layer, layer.real(), layer.settings, op)


def _log_of(layer: Layer) -> Value:
    return layer.emit("log", layer.real())


HANDLERS: dict[str, Handler] = {
    **{name: _as_handler(name) for name in _LAYERS},
    "Activation": _activation,
    "PReLU": _prelu,
    "ops.Relu": _function("relu"),
    "ops.Relu6": _function("relu6"),
    "ops.HardTanh": _function("hard_tanh"),
    "ops.Sigmoid": _function("sigmoid"),
    "ops.Tanh": _function("tanh"),
    "ops.Silu": _function("silu"),
    "ops.HardSigmoid": _function("hard_sigmoid"),
    "ops.HardSilu": _function("hard_silu"),
    "ops.Softplus": _function("softplus"),
    "ops.Softsign": _function("softsign"),
    "ops.Selu": _function("selu"),
    "ops.Mish": _function("mish"),
    "ops.LogSigmoid": _function("log_sigmoid"),
    "ops.Exp": _function("exponential"),
    "ops.Gelu": _ops_gelu,
    "ops.LeakyRelu": _ops_leaky,
    "ops.Celu": _ops_celu,
    "ops.Elu": lambda layer: _elu(layer, layer.real(), layer.settings),
    "ops.Softmax": _ops_softmax("softmax"),
    "ops.LogSoftmax": _ops_softmax("log_softmax"),
    "ops.Log": _log_of,
    "ops.Sqrt": lambda layer: layer.emit("sqrt", layer.real()),
    "ops.Rsqrt": lambda layer: layer.emit("rsqrt", layer.real()),
    "ops.Square": lambda layer: layer.emit("square", layer.real()),
    "ops.Negative": lambda layer: layer.emit("neg", layer.real()),
    "ops.Absolute": lambda layer: layer.emit("abs", layer.real()),
    "ops.Abs": lambda layer: layer.emit("abs", layer.real()),
}
"""How each layer and function of this family becomes canonical operators."""
