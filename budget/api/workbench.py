"""Everything that candidates are made, trained and judged with; one for each process that works."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from budget.api.check import Check, check_prepared, estimate, judge_estimate
from budget.api.measure import measure
from budget.api.measurement import Measurement
from budget.api.models import Model, prepare
from budget.api.question import Question, device_of, question_of
from budget.api.shrink_inputs import float_model, well_scaled
from budget.atomic import write_atomically
from budget.core.timing import CORES
from budget.errors import BudgetError, MissingToolError
from budget.graph import Array, Graph, QuantParams
from budget.hardware.device_profiles import Device
from budget.hardware.figure import exact
from budget.plan.planner import OWN_RUNTIME
from budget.records import record
from budget.scenario.schema import Scenario
from budget.shrinking.augmentation import augmented, joined
from budget.shrinking.candidates import Built, build, in_order
from budget.shrinking.data import Source, load_sets
from budget.shrinking.evaluation import answers, explained, integer_outputs, score
from budget.shrinking.examples import Examples, Sets
from budget.shrinking.quantize import quantize_int8, with_input_quant
from budget.shrinking.recovery import Epoch, Training, float_outputs, recover, taught_by
from budget.shrinking.search import Outcome
from budget.shrinking.way import Calibration
from budget.writers.tflite import write_tflite

_CALIBRATION = 64
_PRECISIONS = {"int8": "int8", "int16x8": "int16x8", "mixed": "int8"}


@record
class Task:
    """What is to be shrunk for what; all of it can be sent to another process.

    Attributes:
        model: a path or ``zoo:NAME``.
        scenario: device, rate, deadline, source and the rest.
        source: where the data is.
        training: of a candidate that is to be finished.
        proxy_epochs: passes of the short training by which candidates are compared.
        proxy_examples: most examples of it.
        inputs: see `load`.
        outputs: see `load`.
        work: folder for what is kept between interruptions.
    """

    model: str
    scenario: Scenario
    source: Source
    training: Training
    proxy_epochs: int = 2
    proxy_examples: int = 4096
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    work: str = ""

    @property
    def key(self) -> str:
        """Of everything that a candidate's result depends on."""
        values = (self.model, self.scenario, self.source, self.training, self.proxy_epochs,
                  self.proxy_examples, self.inputs, self.outputs)  # fmt: skip
        return hashlib.sha256(repr(values).encode()).hexdigest()[:16]


class Workbench:
    """A task with its model, data and device loaded.

    Args:
        task: what to do.

    Raises:
        BudgetError: of the kind that says whose problem it is.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.model, self.stored = float_model(task.model, task.inputs, task.outputs)
        self.original = self.model.graph
        self.device: Device = device_of(task.scenario.device)
        self.question: Question = question_of(task.scenario)
        self.runtime = task.scenario.runtime or OWN_RUNTIME
        self.notes: tuple[str, ...] = ()
        source = task.source
        if not source.stored and self.stored is not None:
            source = replace(source, stored=self.stored)
        features = task.source.features
        if self.stored is None and features is not None:
            self.stored = QuantParams.per_tensor(features.scale, features.zero_point)
        self.sets: Sets = well_scaled(load_sets(source, self.original), self.original, source)

    @cached_property
    def calibration(self) -> Calibration:
        """Examples that ways to shrink look at, spread over the training data."""
        training = self.sets.training
        chosen = np.unique(np.linspace(0, len(training) - 1, _CALIBRATION).astype(int))
        return Calibration([training.sample(int(i)) for i in chosen], self.task.source.seed)

    @cached_property
    def lesson(self) -> tuple[Examples, NDArray[np.float32]]:
        """Everything to learn from and the original's answers to it, the copies last.

        The answers are kept between interruptions.
        """
        training, how = self.sets.training, self.task.training
        if how.copies:
            training = joined(training, augmented(training, how.copies, how.seed))
        path = Path(self.task.work) / f"taught-{self.task.key}.npy" if self.task.work else None
        if path is not None and path.is_file():
            kept: NDArray[np.float32] = np.load(path, allow_pickle=False)
            if len(kept) == len(training):
                return training, kept
        taught = taught_by(self.original, training)
        if path is not None:
            write_atomically(path, lambda file: np.save(file, taught))
        return training, taught

    @cached_property
    def original_choosing(self) -> Array:
        """The original's outputs on the examples that candidates are compared on."""
        return float_outputs(self.original, self.sets.choosing)

    def judge(self, graph: Graph, precision: str) -> Check:
        """The verdict on a network, float ones as they would be deployed."""
        model = prepare(graph, precision=precision)
        named = Model(self.model.raw, model.graph, model.precision, ())
        return check_prepared(named, self.device, runtime=self.runtime, question=self.question)

    def fed(self, graph: Graph) -> Graph:
        """A network that will read its input at the scale at which the original's comes."""
        return graph if self.stored is None else with_input_quant(graph, self.stored)

    def judge_built(self, built: Built, ways: Sequence[str], graph: Graph | None = None) -> Check:
        """The verdict on a candidate that is in float still, as if it were quantised already.

        One example gives it scales: kernels and memory do not depend on what they are.
        """
        graph = self.fed(built.graph if graph is None else graph)
        last = in_order(ways)[1]
        sample = self.calibration.adapted(built.adapt).samples[:1]
        if last and last[-1].name == "int8":
            graph = quantize_int8(graph, sample)
        elif last:
            graph = last[-1].apply(graph, Calibration(sample)).graph
        return self.judge(graph, self.precision_of(ways))

    def measure(self, graph: Graph) -> Measurement | None:
        """One inference of the C that a quantised network becomes, on the virtual core.

        None where the device has no core of ours, another runtime is asked for, or there is no
        compiler; the reason is noted.
        """
        if (
            self.runtime != OWN_RUNTIME
            or self.device.category != "mcu"
            or self.device.core not in CORES
        ):
            return None
        with tempfile.TemporaryDirectory(prefix="budget-shrink-") as folder:
            path = Path(folder) / "network.tflite"
            write_tflite(graph, path)
            try:
                return measure(
                    path, device=self.task.scenario.device, clock_hz=self.question.clock_hz
                )
            except MissingToolError as error:
                self.notes = (*self.notes, f"nothing is measured: {error.what}")
                return None

    def judge_measured(self, graph: Graph, measured: Measurement) -> Check:
        """The verdict with the emitted code's cycles, flash and RAM instead of estimated ones."""
        prepared = prepare(graph)
        model = Model(self.model.raw, prepared.graph, prepared.precision, ())
        estimated = estimate(model, self.device, runtime=self.runtime, question=self.question)
        inference = replace(
            estimated.inference,
            cycles=measured.cycles,
            latency=measured.latency,
            energy=measured.energy or estimated.inference.energy,
            flash=exact(float(sum(measured.flash_bytes.values())), "bytes"),
            ram=exact(float(measured.ram_bytes), "bytes"),
        )
        return judge_estimate(replace(estimated, inference=inference), self.question)

    @cached_property
    def measured_ratio(self) -> float:
        """How much more of the budget the original takes when measured than when estimated.

        At least 1; candidates are held to the budget with this much room, so that those that are
        trained fit when they are measured as well.
        """
        graph = quantize_int8(self.original, self.calibration.samples[:1])
        measured = self.measure(graph)
        if measured is None:
            return 1.0
        estimated = excess_of(self.judge(graph, "int8"))
        return max(1.0, excess_of(self.judge_measured(graph, measured)) / max(estimated, 1e-30))

    def precision_of(self, ways: Sequence[str]) -> str:
        """What the device runs behind the ways."""
        last = in_order(ways)[1]
        return _PRECISIONS.get(last[-1].name, "int8") if last else "float32"

    def build(self, ways: Sequence[str]) -> Built:
        """The network after the ways, before any training."""
        return build(self.original, ways, self.calibration)

    def examples(self, built: Built, examples: Examples) -> Examples:
        """Examples as a candidate takes them."""
        return examples.mapped(built.adapt, built.graph)

    def train(
        self,
        built: Built,
        training: Training,
        *,
        most: int | None = None,
        as_quantized: Graph | None = None,
        progress: Epoch | None = None,
        checkpoint: Path | None = None,
    ) -> Graph:
        """A candidate after fine-tuning."""
        examples, taught = self.lesson
        if most is not None and len(examples) > most:
            chosen = np.random.default_rng(training.seed).permutation(len(examples))[:most]
            examples, taught = examples.take(chosen), taught[chosen]
        return recover(
            built.graph,
            self.examples(built, examples),
            taught=taught,
            training=training,
            as_quantized=as_quantized,
            progress=progress,
            checkpoint=checkpoint,
        ).graph

    def error(self, outputs: Array) -> float:
        """1 less the accuracy on the choosing examples; without labels, less the agreement.

        Outputs that are no classes are compared by the share of the original's variance kept.
        """
        before, labels = self.original_choosing, self.sets.choosing.labels
        if labels is not None:
            return 1.0 - score(answers(outputs), labels).ratio
        if self.names_classes:
            return 1.0 - score(answers(outputs), answers(before)).ratio
        return 1.0 - explained(before, outputs)

    @cached_property
    def names_classes(self) -> bool:
        """Whether the outputs are classes rather than values."""
        node = self.original.producers.get(self.original.outputs[0])
        is_curve = node is not None and node.op in {"softmax", "logistic", "log_softmax"}
        return self.sets.is_labelled or is_curve

    def evaluate(self, ways: Sequence[str]) -> Outcome:
        """A candidate's cost, and, if that is within the budget, its error after short training."""
        try:
            built = self.build(ways)
            checked = self.judge_built(built, ways)
        except BudgetError as error:
            # a candidate that cannot be made must not end the search: the reason is filed
            return Outcome(tuple(ways), problem=str(error))
        found = self.outcome(ways, checked)
        if found.excess > 1.0:
            return found
        how = replace(self.task.training, epochs=self.task.proxy_epochs)
        graph = self.train(built, how, most=self.task.proxy_examples)
        outputs = float_outputs(graph, self.examples(built, self.sets.choosing))
        return replace(found, error=self.error(outputs))

    def outcome(self, ways: Sequence[str], check: Check) -> Outcome:
        """A candidate's cost without its accuracy."""
        inference = check.inference
        return Outcome(
            tuple(ways),
            1.0,
            excess_of(check) * self.measured_ratio,
            float(inference.energy.value),
            None if inference.latency is None else float(inference.latency.value),
            float(inference.flash.value),
            float(inference.ram.value),
            int(check.program.cost.macs),
            check.verdict.value,
        )

    def quantized(self, built: Built, graph: Graph, ways: Sequence[str]) -> tuple[Graph, str]:
        """A trained candidate at its precision, and what the way says of it."""
        last = in_order(ways)[1]
        if not last:
            return graph, ""
        calibration = self.calibration.adapted(built.adapt)
        made = last[-1].apply(self.fed(graph), Calibration(calibration.samples, calibration.seed))
        return made.graph, made.note

    def integer_error(self, built: Built, graph: Graph) -> float:
        """`error` of a quantised graph, in the arithmetic of the device."""
        choosing = self.examples(built, self.sets.choosing)
        return self.error(integer_outputs(graph, choosing)[graph.outputs[0]])


@lru_cache(maxsize=2)
def workbench(task: Task) -> Workbench:
    """The workbench of a task, loaded once in each process."""
    return Workbench(task)


def evaluate(task: Task, ways: tuple[str, ...]) -> Outcome:
    """What a worker does for one candidate."""
    return workbench(task).evaluate(ways)


def excess_of(check: Check) -> float:
    """The largest of what may be needed over what is there for sure, over all constraints."""
    ratios = [
        float(np.max(c.need.high)) / max(float(np.min(c.have.low)), 1e-30)
        for c in check.constraints
        if c.need is not None and c.have is not None
    ]
    return max(ratios, default=0.0)
