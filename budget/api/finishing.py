"""One candidate taken to its end: trained in full, quantised, each step with its cost and gain."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from budget.api.check import Check
from budget.api.measurement import Measurement
from budget.api.workbench import Workbench, excess_of
from budget.graph import Graph
from budget.records import record
from budget.shrinking.candidates import Built, in_order
from budget.shrinking.quantize import quantize_int8
from budget.shrinking.recovery import float_outputs
from budget.shrinking.search import brief
from budget.verdict import Verdict

Say = Callable[[str], None]
_AWARE_EPOCHS = 0.3  # of the full training, where plain quantisation loses too much
_AWARE_RATE = 0.3


@record
class Line:
    """A step of a candidate, with what the network costs and how right it is behind it.

    Attributes:
        step: what was done.
        note: with figures, in the way's own words.
        accuracy: on the choosing examples: share of right answers, of agreement, or of variance;
            None where it was not measured.
        macs: of one inference.
        weight_bytes: as deployed.
        energy_j: estimated, of one inference. [J]
        latency_s: None where the device has no time. [s]
        flash_bytes: need.
        ram_bytes: need.
    """

    step: str
    note: str
    accuracy: float | None
    macs: int
    weight_bytes: int
    energy_j: float
    latency_s: float | None
    flash_bytes: float
    ram_bytes: float

    def to_json(self) -> dict[str, Any]:
        """The form that `--json` prints."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@record
class Finished:
    """A candidate at its end.

    Attributes:
        ways: that made it.
        built: before training.
        in_float: after training.
        graph: at its precision, as it is written.
        check: the verdict, by measured cycles where there are any.
        measurement: of the emitted code on the virtual core; None where it was not possible.
        accuracy: on the choosing examples, in the device's arithmetic.
        lines: step by step, the original first.
    """

    ways: tuple[str, ...]
    built: Built
    in_float: Graph
    graph: Graph
    check: Check
    accuracy: float
    lines: tuple[Line, ...]
    measurement: Measurement | None = None

    @property
    def excess(self) -> float:
        """See `excess_of`."""
        return excess_of(self.check)

    @property
    def verdict_rank(self) -> int:
        """Larger is better: fits, too close to call, does not fit."""
        return {Verdict.FITS: 2, Verdict.TOO_CLOSE: 1}.get(self.check.verdict, 0)


def finish(bench: Workbench, ways: Sequence[str], *, tolerance: float, say: Say) -> Finished:
    """Builds, trains and quantises a candidate.

    Args:
        bench: the task.
        ways: that make it.
        tolerance: what quantisation may cost of the accuracy before the network is trained with
            its rounding.
        say: gets a line of progress.
    """
    precision = bench.precision_of(ways)
    whole = Built(bench.original, ())
    before = 1.0 - bench.error(bench.original_choosing)
    lines = [_line("original", "", bench.judge_built(whole, ways), before)]
    built = bench.build(ways)
    choosing = bench.examples(built, bench.sets.choosing)
    for step in built.steps:
        so_far = Built(step.graph, (), step.adapt)
        outputs = float_outputs(step.graph, bench.examples(so_far, bench.sets.choosing))
        check = bench.judge_built(so_far, ways)
        lines.append(_line(brief(step.way), step.note, check, 1.0 - bench.error(outputs)))
    trained = built.graph
    if built.steps or precision == "float32":
        trained = _trained(bench, built, ways, None, say)
        accuracy = 1.0 - bench.error(float_outputs(trained, choosing))
        note = f"{bench.task.training.epochs} epochs, {_against(bench)}"
        lines.append(_line("fine-tune", note, bench.judge_built(built, ways, trained), accuracy))
    in_float = 1.0 - bench.error(float_outputs(trained, choosing))
    graph, note = bench.quantized(built, trained, ways)
    accuracy = in_float
    if graph is not trained:
        accuracy = 1.0 - bench.integer_error(built, graph)
        last = brief(in_order(ways)[1][-1].describe())
        lines.append(_line(last, note, bench.judge(graph, precision), accuracy))
        say(f"{last}: {accuracy:.1%} on the choosing examples ({in_float:.1%} in float)")
    if precision == "int8" and in_float - accuracy > tolerance:
        say(f"quantisation costs {in_float - accuracy:.1%}: training with its rounding")
        again = _trained(bench, replace(built, graph=trained), ways, graph, say)
        aware, note = bench.quantized(built, again, ways)
        better = 1.0 - bench.integer_error(built, aware)
        lines.append(_line("quantisation-aware", note, bench.judge(aware, precision), better))
        if better >= accuracy:
            trained, graph, accuracy = again, aware, better
    measurement = bench.measure(graph)
    if measurement is None:
        check = bench.judge(graph, precision)
    else:
        check = bench.judge_measured(graph, measurement)
        say(f"measured: {int(measurement.cycles.value):,} cycles, {check.verdict.value}")
    return Finished(tuple(ways), built, trained, graph, check, accuracy, tuple(lines), measurement)


def _against(bench: Workbench) -> str:
    return (
        "labels and the original's outputs" if bench.sets.is_labelled else "the original's outputs"
    )


def _trained(
    bench: Workbench, built: Built, ways: Sequence[str], quantized: Graph | None, say: Say
) -> Graph:
    """The candidate after its full training, taken up where an interruption left it."""
    training, plain = bench.task.training, None
    if quantized is not None:
        epochs = max(1, round(training.epochs * _AWARE_EPOCHS))
        training = replace(training, epochs=epochs, rate=training.rate * _AWARE_RATE)
        samples = bench.calibration.adapted(built.adapt).samples
        # scales of the network as it stands: ways that equalise have others
        plain = quantize_int8(built.graph, samples)
    kind = "plain" if quantized is None else "aware"
    key = hashlib.sha256(repr((bench.task.key, tuple(ways), kind)).encode()).hexdigest()[:16]
    checkpoint = Path(bench.task.work) / f"{kind}-{key}.npz" if bench.task.work else None

    def told(epoch: int, of: int, loss: float) -> None:
        if epoch == of or epoch % max(1, of // 10) == 0:
            say(f"epoch {epoch} of {of}: loss {loss:.4f}")

    return bench.train(built, training, as_quantized=plain, progress=told, checkpoint=checkpoint)


def _line(step: str, note: str, check: Check, accuracy: float | None) -> Line:
    inference = check.inference
    return Line(
        step,
        note,
        accuracy,
        int(check.program.cost.macs),
        int(check.program.weight_bytes),
        float(inference.energy.value),
        None if inference.latency is None else float(inference.latency.value),
        float(inference.flash.value),
        float(inference.ram.value),
    )
