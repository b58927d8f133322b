"""What each Keras layer says about its outputs and weights: the reader's allow-list.

Shapes are complete, batch first. Weights stand in the order in which Keras stores them; one that a
layer can do without keeps its place and is marked as not present.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from budget.errors import UnsupportedModelError
from budget.formats.keras_settings import Settings

Shape = tuple[int, ...]
PADDINGS = ("valid", "same")


@dataclass(frozen=True, slots=True)
class Weight:
    """One variable of a layer.

    Attributes:
        name: as in h5 files, such as ``kernel``.
        shape: of the stored array.
        path: of the part of the layer that owns it, within a .keras file.
        is_trainable: what h5 files order by.
        is_present: False where the configuration switches it off.
        fill: its value before training, near enough for a model without weights.
    """

    name: str
    shape: Shape
    path: str = ""
    is_trainable: bool = True
    is_present: bool = True
    fill: float = 0.0


ShapeRule = Callable[[Settings, Sequence[Shape]], list[Shape]]
WeightRule = Callable[[Settings, Sequence[Shape]], list[Weight]]


@dataclass(frozen=True, slots=True)
class LayerRule:
    """How the reader understands one class of layer.

    Attributes:
        keys: configuration keys with a meaning for inference; others must be empty or known
            to matter to training only.
        shapes: of the outputs.
        weights: in storage order.
        rank: of the input; None where any will do.
        operands: least and most inputs.
    """

    keys: frozenset[str]
    shapes: ShapeRule
    weights: WeightRule
    rank: int | None = None
    operands: tuple[int, int] = (1, 1)


def _no_weights(settings: Settings, inputs: Sequence[Shape]) -> list[Weight]:
    return []


def _same(settings: Settings, inputs: Sequence[Shape]) -> list[Shape]:
    return [inputs[0]]


def _bias(settings: Settings, count: int) -> Weight:
    return Weight("bias", (count,), is_present=settings.flag("use_bias", True))


def channels_last(settings: Settings) -> None:
    """Refuses a layer that has channels before rows.

    Raises:
        UnsupportedModelError: data_format is channels_first.
    """
    allowed = ("channels_last", "channels_first", "none")
    if settings.choice("data_format", "channels_last", allowed) == "channels_first":
        raise UnsupportedModelError(
            "data_format is channels_first", where=settings.where, hint="rebuild it channels_last"
        )


def window(extent: int, size: int, stride: int, dilation: int, padding: str) -> int:
    """Positions of a window along one dimension; causal padding keeps the extent like same."""
    if padding in ("same", "causal"):
        return -(-extent // stride)
    return (extent - (size - 1) * dilation - 1) // stride + 1


# --- dense, convolutions --------------------------------------------------------------------------
def _dense(settings: Settings, inputs: Sequence[Shape]) -> list[Shape]:
    if len(inputs[0]) < 2:
        raise settings.bad(f"its input of shape {inputs[0]} has no feature dimension")
    return [(*inputs[0][:-1], settings.integer("units"))]


def _dense_weights(settings: Settings, inputs: Sequence[Shape]) -> list[Weight]:
    units = settings.integer("units")
    return [Weight("kernel", (inputs[0][-1], units)), _bias(settings, units)]


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
    return [Weight("kernel", kernel), _bias(settings, filters)]


def _depthwise_weights(settings: Settings, inputs: Sequence[Shape]) -> list[Weight]:
    depth, rank = inputs[0][-1], len(inputs[0]) - 2
    multiplier = settings.integer("depth_multiplier", 1)
    kernel = (*settings.integers("kernel_size", rank), depth, multiplier)
    # Keras 2 and 3 name it differently; weights of one layer are matched by position.
    return [Weight("depthwise_kernel", kernel), _bias(settings, depth * multiplier)]


def _separable_weights(settings: Settings, inputs: Sequence[Shape]) -> list[Weight]:
    depth, rank = inputs[0][-1], len(inputs[0]) - 2
    multiplier, filters = settings.integer("depth_multiplier", 1), settings.integer("filters")
    sizes = settings.integers("kernel_size", rank)
    return [
        Weight("depthwise_kernel", (*sizes, depth, multiplier)),
        Weight("pointwise_kernel", (*(1,) * rank, depth * multiplier, filters)),
        _bias(settings, filters),
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
    return [Weight("kernel", (*sizes, filters, inputs[0][-1])), _bias(settings, filters)]


# --- normalisation, activations with weights ------------------------------------------------------
def _batch_norm_weights(settings: Settings, inputs: Sequence[Shape]) -> list[Weight]:
    axes = settings.axes("axis", -1, len(inputs[0]))
    if axes != (len(inputs[0]) - 1,):
        raise UnsupportedModelError(
            f"batch normalisation along dimensions {axes} instead of the last", where=settings.where
        )
    shape = (inputs[0][-1],)
    return [
        Weight("gamma", shape, is_present=settings.flag("scale", True), fill=1.0),
        Weight("beta", shape, is_present=settings.flag("center", True)),
        Weight("moving_mean", shape, is_trainable=False),
        Weight("moving_variance", shape, is_trainable=False, fill=1.0),
    ]


def _layer_norm_weights(settings: Settings, inputs: Sequence[Shape]) -> list[Weight]:
    shape = tuple(inputs[0][axis] for axis in settings.axes("axis", -1, len(inputs[0])))
    scale = settings.flag("scale", True) or settings.flag("rms_scaling", False)
    center = settings.flag("center", True) and not settings.flag("rms_scaling", False)
    return [
        Weight("gamma", shape, is_present=scale, fill=1.0),
        Weight("beta", shape, is_present=center),
    ]


def _normalization_weights(settings: Settings, inputs: Sequence[Shape]) -> list[Weight]:
    axes = () if settings.config.get("axis", -1) is None else None
    kept = settings.axes("axis", -1, len(inputs[0])) if axes is None else axes
    shape = tuple(inputs[0][axis] for axis in kept)
    stored = not settings.has("mean")
    return [
        Weight("mean", shape, is_trainable=False, is_present=stored),
        Weight("variance", shape, is_trainable=False, is_present=stored, fill=1.0),
        Weight("count", (), is_trainable=False, is_present=stored),
    ]


def _prelu_weights(settings: Settings, inputs: Sequence[Shape]) -> list[Weight]:
    shared = settings.integers("shared_axes", None, ())
    shape = tuple(1 if axis in shared else n for axis, n in enumerate(inputs[0]) if axis)
    return [Weight("alpha", shape)]


def _layer_scale(settings: Settings, inputs: Sequence[Shape]) -> list[Weight]:
    return [Weight("gamma", (settings.integer("projection_dim"),), fill=1.0)]


def _embedding(settings: Settings, inputs: Sequence[Shape]) -> list[Shape]:
    return [(*inputs[0], settings.integer("output_dim"))]


def _embedding_weights(settings: Settings, inputs: Sequence[Shape]) -> list[Weight]:
    shape = (settings.integer("input_dim"), settings.integer("output_dim"))
    return [Weight("embeddings", shape)]


# --- shapes, pooling ------------------------------------------------------------------------------
def _flatten(settings: Settings, inputs: Sequence[Shape]) -> list[Shape]:
    channels_last(settings)
    return [(inputs[0][0], prod(inputs[0][1:]))]


def _reshape(settings: Settings, inputs: Sequence[Shape]) -> list[Shape]:
    count = prod(inputs[0][1:])
    target = settings.integers("target_shape", None, minimum=-1)
    known = prod(extent for extent in target if extent != -1)
    if target.count(-1) == 1 and known and count % known == 0:
        target = tuple(count // known if extent == -1 else extent for extent in target)
    if prod(target) != count or -1 in target:
        raise settings.bad(f"{count} elements do not fill the shape {target}")
    return [(inputs[0][0], *target)]


def _permute(settings: Settings, inputs: Sequence[Shape]) -> list[Shape]:
    dims = settings.integers("dims", None)
    if sorted(dims) != list(range(1, len(inputs[0]))):
        raise settings.bad(f"dims {dims} do not permute an input of shape {inputs[0]}")
    return [(inputs[0][0], *(inputs[0][axis] for axis in dims))]


def _repeat(settings: Settings, inputs: Sequence[Shape]) -> list[Shape]:
    return [(inputs[0][0], settings.integer("n"), inputs[0][1])]


def _bordered(key: str, sign: int, default: int) -> ShapeRule:
    def shapes(settings: Settings, inputs: Sequence[Shape]) -> list[Shape]:
        channels_last(settings)
        shape = inputs[0]
        pairs = settings.pairs(key, len(shape) - 2, default)
        spatial = (n + sign * (a + b) for n, (a, b) in zip(shape[1:-1], pairs))
        return [(shape[0], *spatial, shape[-1])]

    return shapes


def _upsampling(settings: Settings, inputs: Sequence[Shape]) -> list[Shape]:
    channels_last(settings)
    shape = inputs[0]
    settings.choice("interpolation", "nearest", ("nearest", "bilinear"))
    factors = settings.integers("size", len(shape) - 2, 2)
    return [(shape[0], *(n * f for n, f in zip(shape[1:-1], factors)), shape[-1])]


def _resizing(settings: Settings, inputs: Sequence[Shape]) -> list[Shape]:
    channels_last(settings)
    settings.choice("interpolation", "bilinear", ("nearest", "bilinear"))
    flags = ("crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias")
    if any(settings.flag(flag, False) for flag in flags):
        raise UnsupportedModelError("it keeps the aspect ratio or smooths", where=settings.where)
    shape = inputs[0]
    return [(shape[0], settings.integer("height"), settings.integer("width"), shape[-1])]


def _pooling(settings: Settings, inputs: Sequence[Shape]) -> list[Shape]:
    channels_last(settings)
    shape, rank = inputs[0], len(inputs[0]) - 2
    sizes = settings.integers("pool_size", rank, 2)
    strides = settings.integers("strides", rank, sizes)
    padding = settings.choice("padding", "valid", PADDINGS)
    spatial = (window(n, k, s, 1, padding) for n, k, s in zip(shape[1:-1], sizes, strides))
    return [(shape[0], *spatial, shape[-1])]


def _global_pooling(settings: Settings, inputs: Sequence[Shape]) -> list[Shape]:
    channels_last(settings)
    shape = inputs[0]
    kept = (1,) * (len(shape) - 2) if settings.flag("keepdims", False) else ()
    return [(shape[0], *kept, shape[-1])]


# --- several operands -----------------------------------------------------------------------------
def _merge(settings: Settings, inputs: Sequence[Shape]) -> list[Shape]:
    rank = max(len(shape) for shape in inputs)
    aligned = [(shape[0], *(1,) * (rank - len(shape)), *shape[1:]) for shape in inputs]
    result = []
    for extents in zip(*aligned):
        distinct = set(extents) - {1}
        if len(distinct) > 1:
            raise settings.bad(f"shapes {list(inputs)} do not agree")
        result.append(distinct.pop() if distinct else 1)
    return [tuple(result)]


def _concatenate(settings: Settings, inputs: Sequence[Shape]) -> list[Shape]:
    (axis,) = settings.axes("axis", -1, len(inputs[0]))
    rest = {(len(shape), shape[:axis], shape[axis + 1 :]) for shape in inputs}
    if len(rest) != 1:
        raise settings.bad(f"shapes {list(inputs)} do not agree")
    extent = sum(shape[axis] for shape in inputs)
    return [(*inputs[0][:axis], extent, *inputs[0][axis + 1 :])]


def _dot(settings: Settings, inputs: Sequence[Shape]) -> list[Shape]:
    a, b = inputs
    axes = settings.integers("axes", 2, minimum=-8)
    if not all(-len(s) <= axis < len(s) for s, axis in zip(inputs, axes)):
        raise settings.bad(f"axes {axes} are out of range")
    i, j = axes[0] % len(a), axes[1] % len(b)
    if not i or not j or a[i] != b[j]:
        raise settings.bad(f"shapes {a} and {b} do not agree along {axes}")
    rest = (a[0], *(n for k, n in enumerate(a) if k not in (0, i)))
    rest += tuple(n for k, n in enumerate(b) if k not in (0, j))
    return [rest if len(rest) > 1 else (*rest, 1)]


# --- the table ------------------------------------------------------------------------------------
_CONV = "filters kernel_size strides padding data_format dilation_rate activation use_bias "
_DEPTHWISE = (
    "kernel_size strides padding depth_multiplier data_format dilation_rate activation "
    "use_bias groups "
)


def _rule(
    keys: str,
    shapes: ShapeRule = _same,
    weights: WeightRule = _no_weights,
    rank: int | None = None,
    operands: tuple[int, int] = (1, 1),
) -> LayerRule:
    return LayerRule(frozenset(keys.split()), shapes, weights, rank, operands)


def _ranked(
    name: str, keys: str, shapes: ShapeRule, weights: WeightRule = _no_weights
) -> dict[str, LayerRule]:
    """The 1-D and the 2-D form of a layer."""
    return {f"{name}{n}D": _rule(keys, shapes, weights, n + 2) for n in (1, 2)}


def _named(names: str, rule: LayerRule) -> dict[str, LayerRule]:
    return dict.fromkeys(names.split(), rule)


IDENTITIES = frozenset(
    (
        "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D",
        "GaussianDropout", "GaussianNoise", "AlphaDropout", "ActivityRegularization",
        "Identity", "RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation",
        "RandomContrast", "RandomBrightness",
    )
)  # fmt: skip
"""Layers that do something while training only."""
_MANY = (1, 1 << 20)

LAYERS: dict[str, LayerRule] = {
    "Dense": _rule("units activation use_bias", _dense, _dense_weights),
    **_ranked(
        "Conv",
        keys=_CONV + "groups",
        shapes=_convolution(_filters),
        weights=_convolution_weights,
    ),
    **_ranked(
        "DepthwiseConv",
        keys=_DEPTHWISE,
        shapes=_convolution(_multiplied),
        weights=_depthwise_weights,
    ),
    **_ranked(
        "SeparableConv",
        keys=_CONV + "depth_multiplier groups",
        shapes=_convolution(_filters),
        weights=_separable_weights,
    ),
    "Conv1DTranspose": _rule(_CONV + "output_padding groups", _transposed, _transposed_weights, 3),
    "Conv2DTranspose": _rule(_CONV + "output_padding groups", _transposed, _transposed_weights, 4),
    "BatchNormalization": _rule("axis epsilon center scale", _same, _batch_norm_weights),
    "LayerNormalization": _rule(
        "axis epsilon center scale rms_scaling", _same, _layer_norm_weights
    ),
    "UnitNormalization": _rule("axis"),
    "Activation": _rule("activation"),
    "ReLU": _rule("max_value negative_slope threshold"),
    "LeakyReLU": _rule("negative_slope alpha"),
    "PReLU": _rule("shared_axes", _same, _prelu_weights),
    "ELU": _rule("alpha"),
    "Softmax": _rule("axis"),
    "Rescaling": _rule("scale offset"),
    "Normalization": _rule("axis mean variance invert", _same, _normalization_weights),
    "Resizing": _rule(
        "height width interpolation crop_to_aspect_ratio pad_to_aspect_ratio antialias"
        " data_format fill_mode fill_value",
        _resizing,
        rank=4,
    ),
    "Flatten": _rule("data_format", _flatten),
    "Reshape": _rule("target_shape", _reshape),
    "Permute": _rule("dims", _permute),
    "RepeatVector": _rule("n", _repeat, rank=2),
    **_ranked("ZeroPadding", keys="padding data_format", shapes=_bordered("padding", 1, 1)),
    **_ranked("Cropping", keys="cropping data_format", shapes=_bordered("cropping", -1, 0)),
    **_ranked("UpSampling", keys="size data_format interpolation", shapes=_upsampling),
    **_ranked("MaxPooling", keys="pool_size strides padding data_format", shapes=_pooling),
    **_ranked("AveragePooling", keys="pool_size strides padding data_format", shapes=_pooling),
    **_ranked("GlobalMaxPooling", keys="data_format keepdims", shapes=_global_pooling),
    **_ranked("GlobalAveragePooling", keys="data_format keepdims", shapes=_global_pooling),
    "Embedding": _rule("input_dim output_dim mask_zero", _embedding, _embedding_weights),
    **_named("Add Multiply Average Maximum Minimum", _rule("", _merge, operands=_MANY)),
    "Subtract": _rule("", _merge, operands=(2, 2)),
    "Concatenate": _rule("axis", _concatenate, operands=_MANY),
    "CustomScaleLayer": _rule("scale", _merge, operands=(2, 2)),  # of InceptionResNetV2
    "LayerScale": _rule("init_values projection_dim", _same, _layer_scale),  # of ConvNeXt
    "Dot": _rule("axes normalize", _dot, operands=(2, 2)),
    **dict.fromkeys(
        IDENTITIES,
        _rule(
            "rate noise_shape stddev mode factor height_factor width_factor fill_mode fill_value"
            " interpolation value_range data_format l1 l2"
        ),
    ),
}
"""Every layer that files may hold, recurrent ones and wrappers aside (keras_recurrent.py)."""
