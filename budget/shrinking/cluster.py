"""Quantises to 8 bits with few values for each layer's weights; flash holds their numbers only."""

from __future__ import annotations

from typing import ClassVar

from budget.errors import UsageError
from budget.graph import Graph, verify
from budget.records import record
from budget.shrinking.compensate import compensate
from budget.shrinking.post_training import decibels, noise_ratio
from budget.shrinking.quantize import Recipe, quantize
from budget.shrinking.ranges import METHODS, observe
from budget.shrinking.way import Calibration, Reason, Shrunk, Stage, Strength, Way
from budget.transforms.cluster import SIZES, cluster, clustered_layers

_MOST_SAMPLES = 12


@record
class Cluster(Way):
    """Weight clustering behind 8-bit quantisation.

    Attributes:
        values: of each layer's code book; 16 take 4 bits for each weight, 32 take 5.
        ranges: of activations.
    """

    values: int = 16
    ranges: str = "min-max"

    name: ClassVar[str] = "cluster"
    words: ClassVar[str] = "quantises to 8 bits, each layer's weights to 16 or 32 values"
    stage: ClassVar[Stage] = Stage.PRECISION

    @classmethod
    def strengths(cls) -> tuple[Strength, ...]:
        """Size of the code books."""
        return (
            Strength("values", "that a layer's weights take", choices=SIZES),
            Strength("ranges", "how the ranges of activations are chosen", choices=METHODS),
        )

    def apply(self, graph: Graph, calibration: Calibration) -> Shrunk:
        """Quantises, chooses code books for what the examples make of errors, corrects biases.

        Raises:
            UsageError: code books of that size are not known.
            UnsupportedModelError: operators without 8-bit arithmetic; all are listed.
        """
        if self.values not in SIZES:
            raise UsageError(
                f"code books of {self.values} values are not known", hint="16 or 32 values"
            )
        values = calibration.activations(graph)
        observed = observe(graph, values, calibration.seed)
        quantized = quantize(graph, observed, Recipe(ranges=self.ranges))
        fitted = compensate(
            graph, quantized, values, code_book_size=self.values, seed=calibration.seed
        )
        found, notes = cluster(fitted, self.values)  # what was too wide to fit has its book here
        ratio = noise_ratio(graph, found, values[:_MOST_SAMPLES])
        count = sum(tensor.type.element_count for _, tensor in clustered_layers(found))
        bits = (self.values - 1).bit_length()
        note = (
            f"{count} weights in {bits} bits each, {count * (8 - bits) // 8} bytes of flash less "
            f"(emit --optimise size unpacks them); {decibels(ratio):.1f} dB over the noise"
        )
        reasons = tuple(Reason(layer, what) for layer, what in notes)
        return Shrunk(verify(found), note, reasons)


WAYS: tuple[type[Way], ...] = (Cluster,)
