"""Which ranges, equalisation and corrections quantise a graph best, judged by its outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budget.graph import Array, Graph
from budget.ops.interpreter import run
from budget.records import record
from budget.shrinking.compensate import compensate
from budget.shrinking.quantize import Recipe, quantize
from budget.shrinking.ranges import Observed, observe
from budget.shrinking.stored import real_values, stored_inputs
from budget.shrinking.way import Calibration
from budget.transforms.equalise import equalise

CORRECTIONS = ("none", "bias", "round")
_MOST_JUDGES = 32


@record
class Settings:
    """Everything that can be chosen of a post-training quantisation.

    Attributes:
        recipe: widths and ranges.
        equalised: layers first share their ranges evenly: the most that a channel is scaled by;
            1 for not at all.
        correction: ``none``, ``bias``, or ``round``: weights rounded for the data, then biases.
    """

    recipe: Recipe = field(default_factory=Recipe)
    equalised: float = 1.0
    correction: str = "none"

    def describe(self) -> str:
        """In words."""
        r = self.recipe
        words = [f"ranges by {r.ranges}"]
        words += ["weights by mse"] * (r.weight_ranges == "mse")
        words += ["dense per channel"] * r.dense_per_channel
        words += [f"equalised up to {self.equalised:g}"] * (self.equalised > 1)
        words += {"bias": ["biases corrected"], "round": ["rounded for the data"]}.get(
            self.correction, []
        )
        return ", ".join(words)


def quantized_with(graph: Graph, calibration: Calibration, settings: Settings) -> Graph:
    """The graph quantised as settings say.

    Raises:
        UnsupportedModelError: operators without arithmetic of their width.
    """
    return _Maker(graph, calibration).make(settings)


class _Maker:
    """Quantises one graph in several ways; what they share is computed once."""

    def __init__(self, graph: Graph, calibration: Calibration) -> None:
        self.graph = graph
        self.calibration = calibration
        self._bases: dict[float, tuple[Graph, Calibration]] = {1.0: (graph, calibration)}
        self._observed: dict[float, dict[str, Observed]] = {}

    def _base(self, equalised: float) -> tuple[Graph, Calibration]:
        if equalised not in self._bases:
            ranges: dict[str, Array] = {}
            for values in self.calibration.activations(self.graph):
                for name, array in values.items():
                    if array.ndim and array.dtype == np.float32:
                        top = np.abs(array).reshape(-1, array.shape[-1]).max(0)
                        ranges[name] = np.maximum(ranges[name], top) if name in ranges else top
            graph, _ = equalise(self.graph, ranges, equalised)
            again = Calibration(self.calibration.samples, self.calibration.seed)
            self._bases[equalised] = (graph, again)
        return self._bases[equalised]

    def make(self, settings: Settings) -> Graph:
        """One quantised graph."""
        graph, calibration = self._base(settings.equalised)
        values = calibration.activations(graph)
        if settings.equalised not in self._observed:
            self._observed[settings.equalised] = observe(graph, values, calibration.seed)
        quantized = quantize(graph, self._observed[settings.equalised], settings.recipe)
        if settings.correction == "none":
            return quantized
        rounding = settings.correction == "round"
        return compensate(graph, quantized, values, rounding=rounding, seed=calibration.seed)


def judged_tensors(graph: Graph) -> tuple[str, ...]:
    """What noise is measured on: outputs, or what a last softmax reads, which says more."""
    found = []
    for name in graph.outputs:
        node = graph.producers.get(name)
        is_softmax = node is not None and node.op == "softmax"
        found.append(node.inputs[0] if node is not None and is_softmax else name)
    return tuple(found)


def noise_ratio(graph: Graph, quantized: Graph, values: Sequence[Mapping[str, Array]]) -> float:
    """Energy of the difference between two graphs' outputs over that of the first's, about 0 up.

    Args:
        graph: in float.
        quantized: made of it.
        values: what the float graph computes, sample by sample.
    """
    wanted = judged_tensors(graph)
    error = energy = 0.0
    for value in values:
        found = run(quantized, stored_inputs(quantized, value), keep="all")
        for name in wanted:
            quant = quantized.type_of(name).quant
            real = found[name] if quant is None else real_values(found[name], quant)
            reference: NDArray[np.float64] = value[name].astype(np.float64)
            error += float(np.square(real.astype(np.float64) - reference).sum())
            # a constant offset of all outputs carries nothing
            energy += float(np.square(reference - reference.mean()).sum())
    return error / energy if energy > 0 else error


def decibels(ratio: float) -> float:
    """A ratio of noise to signal as signal-to-noise in dB."""
    return -10 * float(np.log10(max(ratio, 1e-12)))


@record
class Trial:
    """One way to quantise and what it does to the outputs.

    Attributes:
        settings: that were tried.
        noise_ratio: on examples kept apart.
    """

    settings: Settings
    noise_ratio: float


def best(graph: Graph, calibration: Calibration, recipe: Recipe) -> tuple[Graph, list[Trial]]:
    """Tries ranges, corrections and equalisation one after the other and keeps what helps.

    A third of the examples judges, the others calibrate; the winner is calibrated on all.

    Args:
        graph: in float.
        calibration: with few examples (under 6) all do both.
        recipe: with the widths.

    Returns:
        The graph, and all trials, the best first.
    """
    samples = calibration.samples
    judges = samples[::3] if len(samples) >= 6 else samples
    others = [s for i, s in enumerate(samples) if i % 3] if len(samples) >= 6 else samples
    maker = _Maker(graph, Calibration(others, calibration.seed))
    judge = Calibration(judges[:_MOST_JUDGES], calibration.seed).activations(graph)
    trials: list[Trial] = []

    def attempt(settings: Settings) -> Trial:
        known = next((t for t in trials if t.settings.describe() == settings.describe()), None)
        if known is None:
            known = Trial(settings, noise_ratio(graph, maker.make(settings), judge))
            trials.append(known)
        return known

    chosen = attempt(Settings(recipe))
    for step in _steps():
        for changes in step:
            tried = attempt(_changed(chosen.settings, changes))
            if tried.noise_ratio < chosen.noise_ratio:
                chosen = tried
    trials.sort(key=lambda trial: trial.noise_ratio)
    return quantized_with(graph, calibration, chosen.settings), trials


def _steps() -> Iterator[tuple[dict[str, Any], ...]]:
    yield ({"correction": "bias"}, {"correction": "round"})
    yield ({"ranges": "headroom"}, {"ranges": "mse"}, {"ranges": "percentile"})
    yield ({"equalised": 1.5}, {"equalised": 8.0})
    yield ({"dense_per_channel": True},)
    yield ({"weight_ranges": "mse"},)


def _changed(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """With other values, whether they are the settings' own or their recipe's."""
    own = {name: changes[name] for name in ("equalised", "correction") if name in changes}
    of_recipe = {name: value for name, value in changes.items() if name not in own}
    return replace(settings, recipe=replace(settings.recipe, **of_recipe), **own)
