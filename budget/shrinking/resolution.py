"""Smaller pictures, and fewer frames of features each second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from budget.errors import UnsupportedModelError
from budget.graph import Array, Graph, verify
from budget.records import record
from budget.shrinking.ranges import Sample
from budget.shrinking.refit import refit
from budget.shrinking.way import Adapt, Calibration, Reason, Shrunk, Stage, Strength, Way
from budget.transforms.resolution import averaging, frames, halve_frames, resize_inputs


def _pictures(graph: Graph) -> dict[str, tuple[int, int]]:
    """Height and width of the inputs that have them."""
    found = {}
    for name in graph.inputs:
        shape = graph.type_of(name).shape
        if len(shape) in (3, 4) and shape[1] > 1:
            found[name] = (shape[1], shape[2])
    if not found:
        raise UnsupportedModelError("no input is a picture or a series of frames", where=graph.name)
    return found


def _scaled(extent: int, ratio: float) -> int:
    return max(1, round(extent * ratio))


def _averager(old: Mapping[str, tuple[int, int]], new: Mapping[str, tuple[int, int]]) -> Adapt:
    def adapt(sample: Sample) -> dict[str, Array]:
        found = dict(sample)
        for name, (height, width) in new.items():
            rows, columns = averaging(old[name][0], height), averaging(old[name][1], width)
            x = np.einsum("ih,nhw...->niw...", rows, sample[name].astype(np.float64))
            x = np.einsum("jw,niw...->nij...", columns, x)
            found[name] = x.astype(sample[name].dtype)
        return found

    return adapt


def _picker(old: Mapping[str, tuple[int, int]], counts: Mapping[str, int]) -> Adapt:
    def adapt(sample: Sample) -> dict[str, Array]:
        found = dict(sample)
        for name, count in counts.items():
            kept = frames(old[name][0], count)
            found[name] = np.ascontiguousarray(sample[name][:, kept])
        return found

    return adapt


@record
class Resolution(Way):
    """Input resolution.

    Attributes:
        scale: new height and width over the old ones.
    """

    scale: float = 0.75

    name: ClassVar[str] = "resolution"
    words: ClassVar[str] = "runs the same layers over smaller pictures"
    stage: ClassVar[Stage] = Stage.INPUT

    @classmethod
    def strengths(cls) -> tuple[Strength, ...]:
        """The scale."""
        return (Strength("scale", "new height and width over the old ones", 0.25, 1.0),)

    def apply(self, graph: Graph, calibration: Calibration) -> Shrunk:
        """Resizes; samples are averaged over areas, as a coarser sensor would.

        Raises:
            UnsupportedModelError: no input is a picture, or an operator holds on to its size.
        """
        old = _pictures(graph)
        new = {
            name: (_scaled(height, self.scale), _scaled(width, self.scale))
            for name, (height, width) in old.items()
        }
        smaller, notes = resize_inputs(graph, new)
        sizes = ", ".join(f"{old[n][0]}×{old[n][1]} to {h}×{w}" for n, (h, w) in new.items())
        reasons = tuple(Reason(layer, what) for layer, what in notes)
        return Shrunk(verify(smaller), f"input from {sizes}", reasons, _averager(old, new))


@record
class Rate(Way):
    """Feature rate.

    Attributes:
        frames: new number of frames over the old one. A half is taken up by a first layer that
            moves by two frames at a time, so that nothing changes behind it.
    """

    frames: float = 0.5

    name: ClassVar[str] = "rate"
    words: ClassVar[str] = "takes fewer frames of features each second (the front end's hop grows)"
    stage: ClassVar[Stage] = Stage.INPUT

    @classmethod
    def strengths(cls) -> tuple[Strength, ...]:
        """The share of frames."""
        return (Strength("frames", "new number of frames over the old one", 0.25, 1.0),)

    def apply(self, graph: Graph, calibration: Calibration) -> Shrunk:
        """Thins out frames; samples lose frames as a front end with a longer hop would.

        Raises:
            UnsupportedModelError: no input has frames, or an operator holds on to its size.
        """
        old = _pictures(graph)
        halved = halve_frames(graph) if self.frames == 0.5 else None
        if halved is not None:
            smaller, notes = halved
            adapt = _picker(old, {name: -(-old[name][0] // 2) for name in old})
            values = calibration.activations(graph)
            inputs = [adapt(sample) for sample in calibration.samples]
            smaller = refit(graph, smaller, values, {}, calibration.seed, inputs)
        else:
            counts = {name: _scaled(height, self.frames) for name, (height, _) in old.items()}
            sizes = {name: (counts[name], width) for name, (_, width) in old.items()}
            smaller, notes = resize_inputs(graph, sizes)
            adapt = _picker(old, counts)
        kept = ", ".join(
            f"{old[name][0]} to {smaller.type_of(name).shape[1]} frames" for name in old
        )
        reasons = tuple(Reason(layer, what) for layer, what in notes)
        return Shrunk(verify(smaller), f"input from {kept}", reasons, adapt)


WAYS: tuple[type[Way], ...] = (Resolution, Rate)
