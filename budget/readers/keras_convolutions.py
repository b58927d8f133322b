"""Rules of the Keras layers that multiply by weights: dense, convolutions of every kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from budget.errors import UnsupportedModelError
from budget.formats.keras_settings import Settings
from budget.readers.keras_rules import (
    PADDINGS,
    LayerRule,
    Shape,
    ShapeRule,
    Weight,
    bias,
    channels_last,
    ranked,
    rule,
    window,
)

_CONV = "filters kernel_size strides padding data_format dilation_rate activation use_bias "
_DEPTHWISE = (
    "kernel_size strides padding depth_multiplier data_format dilation_rate activation "
    "use_bias groups "
)


def _dense(settings: Settings, inputs: Sequence[Shape]) -> list[Shape]:
    if len(inputs[0]) < 2:
        raise settings.bad(f"its input of shape {inputs[0]} has no feature dimension")
    return [(*inputs[0][:-1], settings.integer("units"))]


def _dense_weights(settings: Settings, inputs: Sequence[Shape]) -> list[Weight]:
    units = settings.integer("units")
    return [Weight("kernel", (inputs[0][-1], units)), bias(settings, units)]


def _convolution(channels: Callable[[Settings, int], int]) -> ShapeRule:
    def shapes(settings: Settings, inputs: Sequence[Shape]) -> list[Shape]:
        channels_last(settings)
        shape, rank = inputs[0], len(inputs[0]) - 2
        sizes = settings.integers("kernel_size", rank)
        strides = settings.integers("strides", rank, 1)
        dilations = settings.integers("dilation_rate", rank, 1)
        padding = settings.choice("padding", "valid", (*PADDINGS, "causal"))
        spatial = (window(*args, padding) for args in zip(shape[1:-1], sizes, strides, dilations))
        return [(shape[0], *spatial, channels(settings, shape[-1]))]

    return shapes


def _filters(settings: Settings, depth: int) -> int:
    return settings.integer("filters")


def _multiplied(settings: Settings, depth: int) -> int:
    return depth * settings.integer("depth_multiplier", 1)


def _convolution_weights(settings: Settings, inputs: Sequence[Shape]) -> list[Weight]:
    depth, rank = inputs[0][-1], len(inputs[0]) - 2
    groups, filters = settings.integer("groups", 1), settings.integer("filters")
    if depth % groups or filters % groups:
        raise settings.bad(f"{groups} groups do not divide {depth} and {filters} channels")
    kernel = (*settings.integers("kernel_size", rank), depth // groups, filters)
    return [Weight("kernel", kernel), bias(settings, filters)]


def _depthwise_weights(settings: Settings, inputs: Sequence[Shape]) -> list[Weight]:
    depth, rank = inputs[0][-1], len(inputs[0]) - 2
    multiplier = settings.integer("depth_multiplier", 1)
    kernel = (*settings.integers("kernel_size", rank), depth, multiplier)
    # Keras 2 and 3 name it differently; weights of one layer are matched by position.
    return [Weight("depthwise_kernel", kernel), bias(settings, depth * multiplier)]


def _separable_weights(settings: Settings, inputs: Sequence[Shape]) -> list[Weight]:
    depth, rank = inputs[0][-1], len(inputs[0]) - 2
    multiplier, filters = settings.integer("depth_multiplier", 1), settings.integer("filters")
    sizes = settings.integers("kernel_size", rank)
    return [
        Weight("depthwise_kernel", (*sizes, depth, multiplier)),
        Weight("pointwise_kernel", (*(1,) * rank, depth * multiplier, filters)),
        bias(settings, filters),
    ]


def transposed_extent(
    extent: int, size: int, stride: int, padding: str, output_padding: int | None
) -> int:
    """Extent after a transposed convolution, as Keras defines it."""
    if output_padding is None:
        return extent * stride + (max(size - stride, 0) if padding == "valid" else 0)
    return (
        (extent - 1) * stride + size - 2 * (size // 2 if padding == "same" else 0) + output_padding
    )


def _transposed(settings: Settings, inputs: Sequence[Shape]) -> list[Shape]:
    channels_last(settings)
    shape, rank = inputs[0], len(inputs[0]) - 2
    sizes = settings.integers("kernel_size", rank)
    strides = settings.integers("strides", rank, 1)
    padding = settings.choice("padding", "valid", PADDINGS)
    extra: tuple[int | None, ...] = (None,) * rank
    if settings.has("output_padding"):
        extra = settings.integers("output_padding", rank, minimum=0)
    if any(d != 1 for d in settings.integers("dilation_rate", rank, 1)):
        raise UnsupportedModelError("a dilated transposed convolution", where=settings.where)
    spatial = (
        transposed_extent(extent, size, stride, padding, more)
        for extent, size, stride, more in zip(shape[1:-1], sizes, strides, extra)
    )
    return [(shape[0], *spatial, settings.integer("filters"))]


def _transposed_weights(settings: Settings, inputs: Sequence[Shape]) -> list[Weight]:
    filters = settings.integer("filters")
    sizes = settings.integers("kernel_size", len(inputs[0]) - 2)
    return [Weight("kernel", (*sizes, filters, inputs[0][-1])), bias(settings, filters)]


CONVOLUTIONS: dict[str, LayerRule] = {
    "Dense": rule("units activation use_bias", _dense, _dense_weights),
    **ranked(
        "Conv",
        keys=_CONV + "groups",
        shapes=_convolution(_filters),
        weights=_convolution_weights,
    ),
    **ranked(
        "DepthwiseConv",
        keys=_DEPTHWISE,
        shapes=_convolution(_multiplied),
        weights=_depthwise_weights,
    ),
    **ranked(
        "SeparableConv",
        keys=_CONV + "depth_multiplier groups",
        shapes=_convolution(_filters),
        weights=_separable_weights,
    ),
    "Conv1DTranspose": rule(_CONV + "output_padding groups", _transposed, _transposed_weights, 3),
    "Conv2DTranspose": rule(_CONV + "output_padding groups", _transposed, _transposed_weights, 4),
}
"""By class of layer."""
