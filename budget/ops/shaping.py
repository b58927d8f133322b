"""Operators that move elements without arithmetic on them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from budget.ops.operator import Activation


@dataclass(frozen=True, slots=True)
class ReshapeAttributes:
    """Attributes of `Reshape`.

    Attributes:
        shape: of the output, without -1.
    """

    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TransposeAttributes:
    """Attributes of `Transpose`.

    Attributes:
        perm: which input dimension each output dimension is.
    """

    perm: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ConcatAttributes:
    """Attributes of `Concat`.

    Attributes:
        axis: not negative.
        activation: fused behind the operation (float only).
    """

    axis: int
    activation: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class SplitAttributes:
    """Attributes of `Split`.

    Attributes:
        axis: not negative.
        sizes: extent of each output along the axis.
    """

    axis: int
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SliceAttributes:
    """Attributes of `Slice`.

    Attributes:
        begin: first index in each dimension.
        size: extent in each dimension, without -1.
    """

    begin: tuple[int, ...]
    size: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StridedSliceAttributes:
    """Attributes of `StridedSlice`; dimension d takes the indices range(begin, end, stride).

    Attributes:
        begin: first index in each dimension, masks resolved, not negative.
        end: index behind the last one; -1 for a negative stride that runs to index 0.
        stride: step, not zero.
    """

    begin: tuple[int, ...]
    end: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PadAttributes:
    """Attributes of `Pad`.

    Attributes:
        paddings: elements added before and behind, for each dimension.
        value: what they are: a real number, whatever the tensor's quantisation.
    """

    paddings: tuple[tuple[int, int], ...]
    value: float = 0.0


class MirrorMode(StrEnum):
    """How `MirrorPad` continues a tensor behind its border."""

    REFLECT = "reflect"
    SYMMETRIC = "symmetric"


@dataclass(frozen=True, slots=True)
class MirrorPadAttributes:
    """Attributes of `MirrorPad`.

    Attributes:
        paddings: elements added before and behind, for each dimension.
        mode: whether the border element itself is repeated (symmetric) or not (reflect).
    """

    paddings: tuple[tuple[int, int], ...]
    mode: MirrorMode = MirrorMode.REFLECT


@dataclass(frozen=True, slots=True)
class PackAttributes:
    """Attributes of `Pack` and `Unpack`.

    Attributes:
        axis: the dimension that is new (pack) or vanishes (unpack), not negative.
    """

    axis: int
