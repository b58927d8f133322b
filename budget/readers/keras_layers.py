"""What each Keras layer says about its outputs and weights: the reader's allow-list."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from budget.errors import UnsupportedModelError
from budget.formats.keras_settings import Settings
from budget.readers.keras_convolutions import CONVOLUTIONS
from budget.readers.keras_rules import (
    PADDINGS,
    LayerRule,
    Shape,
    ShapeRule,
    Weight,
    channels_last,
    ranked,
    rule,
    same,
    window,
)


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
    **CONVOLUTIONS,
    "BatchNormalization": rule("axis epsilon center scale", same, _batch_norm_weights),
    "LayerNormalization": rule("axis epsilon center scale rms_scaling", same, _layer_norm_weights),
    "UnitNormalization": rule("axis"),
    "Activation": rule("activation"),
    "ReLU": rule("max_value negative_slope threshold"),
    "LeakyReLU": rule("negative_slope alpha"),
    "PReLU": rule("shared_axes", same, _prelu_weights),
    "ELU": rule("alpha"),
    "Softmax": rule("axis"),
    "Rescaling": rule("scale offset"),
    "Normalization": rule("axis mean variance invert", same, _normalization_weights),
    "Resizing": rule(
        "height width interpolation crop_to_aspect_ratio pad_to_aspect_ratio antialias"
        " data_format fill_mode fill_value",
        _resizing,
        rank=4,
    ),
    "Flatten": rule("data_format", _flatten),
    "Reshape": rule("target_shape", _reshape),
    "Permute": rule("dims", _permute),
    "RepeatVector": rule("n", _repeat, rank=2),
    **ranked("ZeroPadding", keys="padding data_format", shapes=_bordered("padding", 1, 1)),
    **ranked("Cropping", keys="cropping data_format", shapes=_bordered("cropping", -1, 0)),
    **ranked("UpSampling", keys="size data_format interpolation", shapes=_upsampling),
    **ranked("MaxPooling", keys="pool_size strides padding data_format", shapes=_pooling),
    **ranked("AveragePooling", keys="pool_size strides padding data_format", shapes=_pooling),
    **ranked("GlobalMaxPooling", keys="data_format keepdims", shapes=_global_pooling),
    **ranked("GlobalAveragePooling", keys="data_format keepdims", shapes=_global_pooling),
    "Embedding": rule("input_dim output_dim mask_zero", _embedding, _embedding_weights),
    **_named("Add Multiply Average Maximum Minimum", rule("", _merge, operands=_MANY)),
    "Subtract": rule("", _merge, operands=(2, 2)),
    "Concatenate": rule("axis", _concatenate, operands=_MANY),
    "CustomScaleLayer": rule("scale", _merge, operands=(2, 2)),  # of InceptionResNetV2
    "LayerScale": rule("init_values projection_dim", same, _layer_scale),  # of ConvNeXt
    "Dot": rule("axes normalize", _dot, operands=(2, 2)),
    **dict.fromkeys(
        IDENTITIES,
        rule(
            "rate noise_shape stddev mode factor height_factor width_factor fill_mode fill_value"
            " interpolation value_range data_format l1 l2"
        ),
    ),
}
"""Every layer that files may hold, recurrent ones and wrappers aside (keras_composites.py)."""
