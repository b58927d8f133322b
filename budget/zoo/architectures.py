"""The architectures, each a function of its options; weights are random and seeded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any
from urllib.parse import parse_qsl

from budget.errors import UsageError
from budget.graph.graph import Graph
from budget.ops.operator import Activation
from budget.zoo.layers import LINEAR, RELU, Layers

RELU6 = Activation.RELU6
FOLDED = "batch norms are written as folded into the convolutions before them"


def build(name: str, query: str, options: Mapping[str, Any]) -> Graph:
    """The named architecture.

    Args:
        name: one of budget.zoo.ARCHITECTURES.
        query: options as text, ``alpha=0.25&resolution=96``.
        options: options as values; they win.

    Raises:
        UsageError: an option is unknown or its value makes no sense.
    """
    function = _BUILDERS[name]
    defaults = {key: p.default for key, p in signature(function).parameters.items()}
    given = {**dict(parse_qsl(query, keep_blank_values=True)), **options}
    where = f"zoo:{name}"
    hint = "options: " + ", ".join(f"{key}={value}" for key, value in defaults.items())
    unknown = sorted(set(given) - set(defaults))
    if unknown:
        raise UsageError(f"no option {', '.join(unknown)}", where=where, hint=hint)
    values: dict[str, Any] = {}
    for key, value in given.items():
        kind = type(defaults[key])
        try:
            values[key] = kind(value)
        except (TypeError, ValueError):
            raise UsageError(
                f"option {key}={value!r} is not {_KINDS[kind]}", where=where, hint=hint
            ) from None
        if not _LIMITS[key][0] <= values[key] <= _LIMITS[key][1]:
            low, high = _LIMITS[key]
            raise UsageError(
                f"option {key}={value} is not from {low} to {high}", where=where, hint=hint
            )
    return function(**values)


def inception_v1(*, resolution: int = 224, classes: int = 1000, seed: int = 0) -> Graph:
    """GoogLeNet (Szegedy et al., arXiv 1409.4842, table 1), without its training-time heads."""
    net = Layers("inception_v1", (resolution, resolution, 3), seed=seed)
    x = net.max_pool(net.conv(net.input, 64, 7, 2), 3, 2)
    x = net.max_pool(net.conv(net.conv(x, 64, 1), 192, 3), 3, 2)
    for block, widths in _INCEPTION.items():
        if block in ("4a", "5a"):
            x = net.max_pool(x, 3, 2)
        one, reduce_3, three, reduce_5, five, pool = widths
        middle = net.conv(x, reduce_3, 1, name=f"{block}/reduce_3x3")
        wide = net.conv(x, reduce_5, 1, name=f"{block}/reduce_5x5")
        x = net.concat(
            net.conv(x, one, 1, name=f"{block}/1x1"),
            net.conv(middle, three, 3, name=f"{block}/3x3"),
            net.conv(wide, five, 5, name=f"{block}/5x5"),
            net.conv(net.max_pool(x, 3, 1), pool, 1, name=f"{block}/pool"),
        )
    x = net.dense(net.average_pool(x), classes)
    note = "local response normalisation is left out, as in every later version of the network"
    return net.finish(x, softmax=True, notes=(note,))


def mobilenet_v1(
    *, alpha: float = 1.0, resolution: int = 224, classes: int = 1000, seed: int = 0
) -> Graph:
    """MobileNet V1 (Howard et al., arXiv 1704.04861, table 1)."""
    net = Layers("mobilenet_v1", (resolution, resolution, 3), seed=seed)
    x = net.conv(net.input, int(32 * alpha), 3, 2, activation=RELU6)
    for width, stride in _MOBILENET_V1:
        x = net.depthwise(x, stride, activation=RELU6)
        x = net.conv(x, int(width * alpha), 1, activation=RELU6, name="pointwise")
    x = net.dense(net.average_pool(x), classes)
    return net.finish(x, softmax=True, notes=(FOLDED,))


def mobilenet_v2(
    *, alpha: float = 1.0, resolution: int = 224, classes: int = 1000, seed: int = 0
) -> Graph:
    """MobileNet V2 (Sandler et al., arXiv 1801.04381, table 2); widths rounded to eights."""
    net = Layers("mobilenet_v2", (resolution, resolution, 3), seed=seed)
    x = net.conv(net.input, _to_eights(32 * alpha), 3, 2, activation=RELU6)
    for expansion, width, repeats, first_stride in _MOBILENET_V2:
        channels = _to_eights(width * alpha)
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            y = x
            if expansion > 1:
                y = net.conv(y, expansion * net.shape(x)[3], 1, activation=RELU6, name="expand")
            y = net.depthwise(y, stride, activation=RELU6)
            y = net.conv(y, channels, 1, activation=LINEAR, name="project")
            x = net.add(x, y) if net.shape(x) == net.shape(y) else y
    x = net.conv(x, _to_eights(1280 * max(alpha, 1.0)), 1, activation=RELU6)
    x = net.dense(net.average_pool(x), classes)
    return net.finish(x, softmax=True, notes=(FOLDED,))


def resnet8(*, resolution: int = 32, width: int = 16, classes: int = 10, seed: int = 0) -> Graph:
    """MLPerf Tiny's image classifier (Banbury et al., arXiv 2106.07597)."""
    net = Layers("resnet8", (resolution, resolution, 3), seed=seed)
    x = net.conv(net.input, width, 3)
    for stack in range(3):
        stride, channels = (1 if stack == 0 else 2), width << stack
        y = net.conv(net.conv(x, channels, 3, stride), channels, 3, activation=LINEAR)
        if stride == 2:
            x = net.conv(x, channels, 1, stride, activation=LINEAR, name="shortcut")
        x = net.add(x, y, activation=RELU)
    x = net.dense(net.average_pool(x), classes)
    return net.finish(x, softmax=True, notes=(FOLDED,))


def ds_cnn(*, width: int = 64, blocks: int = 4, classes: int = 12, seed: int = 0) -> Graph:
    """Depthwise-separable keyword spotter over 49×10 features (Zhang et al., arXiv 1711.07128)."""
    net = Layers("ds_cnn", (49, 10, 1), seed=seed)
    x = net.conv(net.input, width, (10, 4), 2)
    for _ in range(blocks):
        x = net.conv(net.depthwise(x), width, 1, name="pointwise")
    x = net.dense(net.average_pool(x), classes)
    return net.finish(x, softmax=True, notes=(FOLDED,))


def hotword_fc(*, width: int = 144, layers: int = 3, classes: int = 12, seed: int = 0) -> Graph:
    """The smallest fully connected keyword spotter of Zhang et al. (arXiv 1711.07128, table 3)."""
    net = Layers("hotword_fc", (250,), seed=seed)
    x = net.input
    for _ in range(layers):
        x = net.dense(x, width, activation=RELU)
    return net.finish(net.dense(x, classes), softmax=True)


def autoencoder(*, inputs: int = 640, width: int = 128, code: int = 8, seed: int = 0) -> Graph:
    """MLPerf Tiny's anomaly detector: four hidden layers, a narrow code, four hidden layers."""
    net = Layers("autoencoder", (inputs,), seed=seed)
    x = net.input
    for units in (width,) * 4 + (code,) + (width,) * 4:
        x = net.dense(x, units, activation=RELU)
    return net.finish(net.dense(x, inputs), softmax=False, notes=(FOLDED,))


def digits_cnn(*, width: int = 8, classes: int = 10, seed: int = 0) -> Graph:
    """Three small convolutions over 8×8 grey images; zoo:digits is trained in this shape."""
    net = Layers("digits_cnn", (8, 8, 1), seed=seed)
    x = net.conv(net.input, width, 3)
    x = net.max_pool(net.conv(x, 2 * width, 3), 2, 2)
    x = net.max_pool(net.conv(x, 3 * width, 3), 2, 2)
    return net.finish(net.dense(x, classes), softmax=True, notes=(FOLDED,))


def _to_eights(width: float) -> int:
    """The nearest multiple of 8 that is at least 8 and loses no more than a tenth."""
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * width else rounded


# 1×1, reduction to 3×3, 3×3, reduction to 5×5, 5×5, projection of the pooled input
_INCEPTION = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
# width and stride of each separable layer
_MOBILENET_V1 = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1),
    (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip
# expansion, width, repeats, stride of the first
_MOBILENET_V2 = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
    (6, 320, 1, 1),
)  # fmt: skip

_BUILDERS: dict[str, Callable[..., Graph]] = {
    function.__name__: function
    for function in (
        autoencoder, digits_cnn, ds_cnn, hotword_fc, inception_v1, mobilenet_v1, mobilenet_v2,
        resnet8,
    )
}  # fmt: skip
_KINDS: dict[type, str] = {int: "a whole number", float: "a number"}
_LIMITS: dict[str, tuple[float, float]] = {
    "alpha": (0.05, 4.0),
    "blocks": (0, 64),
    "classes": (1, 100_000),
    "code": (1, 4096),
    "inputs": (1, 100_000),
    "layers": (0, 64),
    "resolution": (8, 2048),
    "seed": (0, 2**32 - 1),
    "width": (1, 4096),
}
