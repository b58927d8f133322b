"""Ways to shrink by quantisation; none of them needs training."""

from __future__ import annotations

from typing import ClassVar

from budget.errors import UnsupportedModelError
from budget.graph import DType, Graph, verify
from budget.records import record
from budget.shrinking.post_training import (
    CORRECTIONS,
    Settings,
    best,
    decibels,
    noise_ratio,
    quantized_with,
)
from budget.shrinking.quantize import Recipe, quantize
from budget.shrinking.ranges import METHODS, observe
from budget.shrinking.way import Calibration, Reason, Shrunk, Stage, Strength, Way
from budget.shrinking.widths import WIDTHS, has_weights, supports

_MOST_SAMPLES = 12
_RANGES = Strength("ranges", "how the ranges of activations are chosen", choices=("auto", *METHODS))
_CORRECTION = Strength(
    "correction", "what makes up for rounding (with given ranges)", choices=CORRECTIONS
)


@record
class Noise:
    """What quantising one layer alone does to the outputs.

    Attributes:
        layer: name of the node.
        noise_ratio: energy of the change over that of the outputs.
    """

    layer: str
    noise_ratio: float

    @property
    def signal_to_noise_db(self) -> float:
        """The inverse, in decibels."""
        return decibels(self.noise_ratio)


def sensitivities(
    graph: Graph, calibration: Calibration, width: DType = DType.INT8
) -> tuple[Noise, ...]:
    """The noise each layer with weights adds when it alone is quantised, the loudest first.

    Args:
        graph: in float.
        calibration: at most 12 of its examples are used.
        width: of the activations; weights have 8 bits in any case.
    """
    values = calibration.activations(graph)
    observed = observe(graph, values, calibration.seed)
    few = values[:: -(-len(values) // _MOST_SAMPLES)]
    layers = [n for n in graph.nodes if has_weights(graph, n) and supports(n.op, width)]
    found = []
    for layer in layers:
        kept = {n.name: DType.FLOAT32 for n in graph.nodes if n is not layer}
        quantized = quantize(graph, observed, Recipe(width, kept, fallback=True))
        found.append(Noise(layer.name, noise_ratio(graph, quantized, few)))
    return tuple(sorted(found, key=lambda noise: -noise.noise_ratio))


def _reasons(noises: tuple[Noise, ...], kept: dict[str, DType]) -> tuple[Reason, ...]:
    found = []
    for place, noise in enumerate(noises):
        what = f"alone at 8 bits leaves {noise.signal_to_noise_db:.1f} dB over its noise"
        if noise.layer in kept:
            what += f"; kept at {kept[noise.layer].value}"
        elif not place:
            what += "; the layer that hurts most"
        found.append(Reason(noise.layer, what))
    return tuple(found)


def _made(
    graph: Graph, calibration: Calibration, recipe: Recipe, ranges: str, correction: str
) -> tuple[Graph, str]:
    """The quantised graph, verified, and a sentence on how it was made."""
    if ranges == "auto":
        quantized, trials = best(graph, calibration, recipe)
        chosen = trials[0]
        note = (
            f"{chosen.settings.describe()}; best of {len(trials)} trials, "
            f"{decibels(chosen.noise_ratio):.1f} dB over the noise"
        )
    else:
        recipe = Recipe(recipe.width, recipe.kept, ranges, fallback=recipe.fallback)
        settings = Settings(recipe, correction=correction)
        quantized = quantized_with(graph, calibration, settings)
        ratio = noise_ratio(graph, quantized, calibration.activations(graph)[:_MOST_SAMPLES])
        note = f"{settings.describe()}; {decibels(ratio):.1f} dB over the noise"
    return verify(quantized), note


@record
class _OneWidth(Way):
    """Every layer at the same width.

    Attributes:
        ranges: ``auto`` tries all and equalisation, and keeps what its outputs show is best.
        correction: with other ranges.
    """

    ranges: str = "auto"
    correction: str = "bias"

    stage: ClassVar[Stage] = Stage.PRECISION

    @classmethod
    def strengths(cls) -> tuple[Strength, ...]:
        """Ranges and corrections."""
        return (_RANGES, _CORRECTION)


@record
class Int8(_OneWidth):
    """Everything in 8 bits."""

    name: ClassVar[str] = "int8"
    words: ClassVar[str] = "quantises weights and activations to 8 bits"

    def apply(self, graph: Graph, calibration: Calibration) -> Shrunk:
        """Quantises; every layer's own noise is among the reasons.

        Raises:
            UnsupportedModelError: operators without 8-bit arithmetic; all are listed.
        """
        quantized, note = _made(graph, calibration, Recipe(), self.ranges, self.correction)
        reasons = _reasons(sensitivities(graph, calibration), {})
        return Shrunk(quantized, f"int8: {note}", reasons)


@record
class Int16x8(_OneWidth):
    """Activations in 16 bits, symmetric and over all that was seen; weights in 8."""

    name: ClassVar[str] = "int16x8"
    words: ClassVar[str] = "quantises weights to 8 bits and activations to 16"

    def apply(self, graph: Graph, calibration: Calibration) -> Shrunk:
        """Quantises; operators without 16-bit arithmetic stay in float.

        Raises:
            UnsupportedModelError: the graph is not in float32.
        """
        recipe = Recipe(DType.INT16, fallback=True)
        quantized, note = _made(graph, calibration, recipe, self.ranges, self.correction)
        return Shrunk(quantized, f"int16x8: {note}")


@record
class Mixed(Way):
    """8 bits, but for the layers that hurt most.

    Attributes:
        kept: how many layers are kept wider.
        width: in which; their weights have 8 bits with ``int16``.
        ranges: as in `Int8`.
        correction: as in `Int8`.
    """

    kept: int = 1
    width: str = "int16"
    ranges: str = "min-max"
    correction: str = "bias"

    name: ClassVar[str] = "mixed"
    words: ClassVar[str] = "quantises to 8 bits, the layers that hurt most to 16 bits or not at all"
    stage: ClassVar[Stage] = Stage.PRECISION

    @classmethod
    def strengths(cls) -> tuple[Strength, ...]:
        """How many layers, and how wide they stay."""
        return (
            Strength("kept", "layers that stay wider", 0, 32, is_integer=True),
            Strength("width", "how wide they stay", choices=("int16", "float32")),
            _RANGES,
            _CORRECTION,
        )

    def apply(self, graph: Graph, calibration: Calibration) -> Shrunk:
        """Quantises; nodes without arithmetic of their width get a wider one.

        Raises:
            UnsupportedModelError: no layer has weights.
        """
        noises = sensitivities(graph, calibration)
        if not noises:
            raise UnsupportedModelError("no layer has weights to quantise", where=graph.name)
        kept = {noise.layer: WIDTHS[self.width] for noise in noises[: self.kept]}
        recipe = Recipe(DType.INT8, kept, fallback=True)
        quantized, note = _made(graph, calibration, recipe, self.ranges, self.correction)
        named = ", ".join(kept) or "none"
        return Shrunk(quantized, f"{named} at {self.width}, others int8: {note}",
                      _reasons(noises, kept))  # fmt: skip


WAYS: tuple[type[Way], ...] = (Int8, Int16x8, Mixed)
