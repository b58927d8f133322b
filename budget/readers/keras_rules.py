"""What a rule of the Keras reader is made of: shapes, weights, and which settings have a meaning.

Shapes are complete, batch first. Weights stand in the order in which Keras stores them; one that a
layer can do without keeps its place and is marked as not present.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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


def no_weights(settings: Settings, inputs: Sequence[Shape]) -> list[Weight]:
    """Of a layer that has none."""
    return []


def same(settings: Settings, inputs: Sequence[Shape]) -> list[Shape]:
    """Of a layer whose output is as its input."""
    return [inputs[0]]


def bias(settings: Settings, count: int) -> Weight:
    """One number for each channel, unless the layer does without."""
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


def rule(
    keys: str,
    shapes: ShapeRule = same,
    weights: WeightRule = no_weights,
    rank: int | None = None,
    operands: tuple[int, int] = (1, 1),
) -> LayerRule:
    """A rule from its keys, white space between them."""
    return LayerRule(frozenset(keys.split()), shapes, weights, rank, operands)


def ranked(
    name: str, keys: str, shapes: ShapeRule, weights: WeightRule = no_weights
) -> dict[str, LayerRule]:
    """The 1-D and the 2-D form of a layer."""
    return {f"{name}{n}D": rule(keys, shapes, weights, n + 2) for n in (1, 2)}
