"""Shrinks a network until it fits: search, recovery, precision, C, measurement."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from budget.api.emit import Emission, emit
from budget.api.finishing import Finished, finish
from budget.api.measure import measure
from budget.api.propose import explore
from budget.api.question import require, scenario_of
from budget.api.shrinkage import HeldOut, Shrinkage
from budget.api.workbench import Task, Workbench, workbench
from budget.atomic import write_atomically
from budget.codegen.options import TARGETS
from budget.errors import UsageError
from budget.scenario.schema import Scenario
from budget.shrinking.data import Source
from budget.shrinking.evaluation import (
    answers,
    change,
    explained,
    explained_interval,
    integer_outputs,
    score,
)
from budget.shrinking.precision import sensitivities
from budget.shrinking.recovery import Training, float_outputs
from budget.shrinking.search import Outcome, front, knobs
from budget.verdict import Verdict
from budget.writers.tflite import write_tflite

DEFAULT_WAYS = ("prune", "low-rank", "int8")
DEFAULT_TRIALS = 10
DEFAULT_TOLERANCE = 0.005
_STILL_TO_COME = 0.05
_FITS = 2


def shrink(
    model: str | Path,
    *,
    output: str | Path,
    scenario: str | Path | Scenario | None = None,
    data: str = "",
    held_out: str = "",
    labels: str = "",
    input_range: tuple[float, float] | None = None,
    ways: Sequence[str] = DEFAULT_WAYS,
    trials: int = DEFAULT_TRIALS,
    finalists: int = 2,
    min_accuracy: float | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
    training: Training | None = None,
    seed: int = 0,
    history: str | None = None,
    scheduler: str | None = None,
    work: str | Path | None = None,
    emit_to: str | Path | None = None,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    say: Callable[[str], None] | None = None,
) -> Shrinkage:
    """Finds the most accurate form of a network that a device can run on its energy.

    Args:
        model: a path or ``zoo:NAME``.
        output: a .tflite file to write; it appears when it is whole, and only if one fits or may
            fit.
        scenario: device, rate, deadline, source and the rest: an id, a file or a `Scenario`.
        data: a folder of class folders, an .npz file, or ``module:function``; a zoo model's own
            if not given.
        held_out: examples kept apart, likewise; a fifth of the data if not given.
        labels: a file with the names of the classes in the order of the outputs.
        input_range: what black and white become; found out if not given.
        ways: to shrink, ``prune`` to search its strengths or ``prune:keep=0.5`` to fix them.
        trials: candidates to try.
        finalists: candidates to train in full.
        min_accuracy: look for the cheapest network that is this accurate on the choosing examples,
            rather than for the most accurate one inside the budget.
        tolerance: accuracy that quantisation may cost before the network is trained with it.
        training: of the finalists.
        seed: of everything drawn.
        history: the search's database, such as ``sqlite:///search.db``.
        scheduler: address of a Dask scheduler.
        work: folder for what an interrupted run goes on with; beside ``output``, and removed at
            the end, if not given.
        emit_to: a folder for the C.
        inputs: see `load`.
        outputs: see `load`.
        say: gets lines of progress.

    Raises:
        BudgetError: of the kind that says whose problem it is.
    """
    target = _checked_output(Path(output))
    knobs(ways)  # what makes no sense is told before anything is read
    folder = target.parent / f".{target.name}.shrink" if work is None else Path(work)
    tell = say or (lambda line: None)
    task = _task(model, scenario, data, held_out, labels, input_range, training, seed, inputs,
                 outputs, folder)  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    bench = workbench(task)
    first = ways[-1].partition(":")[0] if ways else ""
    before = bench.judge(bench.original, "int16x8" if first == "int16x8" else "int8")
    tell(f"{bench.model.name}: {before.verdict.value.replace('-', ' ')} as it is")
    noise = sensitivities(bench.original, bench.calibration)
    outcomes = explore(
        bench, ways, trials=trials, history=history, scheduler=scheduler, seed=seed, say=tell
    )
    chosen, missed = _best(bench, outcomes, finalists, min_accuracy, tolerance, tell)
    result = Shrinkage(
        before=before,
        after=before if chosen is None else chosen.check,
        finished=chosen,
        held_out=None,
        noise=noise,
        outcomes=outcomes,
        front=front(outcomes),
        nearest=missed,
        output=None,
        emission=None,
        measurement=None,
        warnings=(*bench.sets.warnings,),
        notes=(*bench.model.notes, *bench.sets.notes, *bench.notes),
    )
    if chosen is None:
        after = before
        if missed is not None:
            after = bench.judge(bench.build(missed.ways).graph, bench.precision_of(missed.ways))
        return replace(result, after=after)
    result = _delivered(bench, result, chosen, target, emit_to, tell)
    if work is None:
        shutil.rmtree(folder, ignore_errors=True)
    return result


def _task(
    model: str | Path,
    scenario: str | Path | Scenario | None,
    data: str,
    held_out: str,
    labels: str,
    input_range: tuple[float, float] | None,
    training: Training | None,
    seed: int,
    inputs: Sequence[str],
    outputs: Sequence[str],
    folder: Path,
) -> Task:
    life = scenario_of(scenario, Scenario())
    require(life.device, "device", "--device efm32pg12")
    if not data:
        data, held_out, labels = _zoo_data(str(model), held_out, labels)
    spec = None
    if life.preprocess.features:
        from budget.api.front_ends import specification_path
        from budget.features import FeatureSpec

        spec = FeatureSpec.load(specification_path(life.preprocess.features))
    how = replace(training or Training(), seed=seed)
    return Task(
        str(model),
        life,
        Source(data, held_out, labels, spec, input_range, None, seed),
        how,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        work=str(folder),
    )


def _zoo_data(model: str, held_out: str, labels: str) -> tuple[str, str, str]:
    """The examples that ship with a model of the zoo.

    Raises:
        UsageError: none do.
    """
    from budget import zoo

    stem = model.removeprefix("zoo:") if model.startswith("zoo:") else ""
    while stem:
        training = zoo.MODELS / f"{stem}.training.npz"
        if training.is_file():
            kept = zoo.MODELS / f"{stem}.heldout.npz"
            names = zoo.MODELS / f"{stem}.labels.txt"
            return str(training), held_out or str(kept), labels or str(names)
        stem = stem.rpartition("-")[0]
    raise UsageError(
        "there are no examples to shrink by",
        where="--data",
        hint="give a folder of class folders, an .npz file, or module:function",
    )


def _checked_output(path: Path) -> Path:
    if path.suffix != ".tflite":
        raise UsageError(
            "a shrunk network is written as .tflite", where=f"-o {path}", hint="end it in .tflite"
        )
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UsageError("cannot be written there", where=f"-o {path}", hint="choose another place")
    return path


def _best(
    bench: Workbench,
    outcomes: Sequence[Outcome],
    finalists: int,
    min_accuracy: float | None,
    tolerance: float,
    say: Callable[[str], None],
) -> tuple[Finished | None, Outcome | None]:
    """The finished candidate to deliver; where none can be, the nearest."""
    sound = [o for o in outcomes if not o.problem]
    inside = [o for o in sound if o.excess <= 1.0]
    nearest = min(sound, key=lambda o: o.excess, default=None)
    if not inside and nearest is not None and nearest.verdict == Verdict.TOO_CLOSE:
        inside = [nearest]
    if not inside:
        return None, nearest
    unlike = list({o.ways: o for o in inside}.values())
    if min_accuracy is None:
        best = sorted(unlike, key=lambda o: (o.error, o.energy_j))[: max(1, finalists)]
    else:
        best = _cheapest(unlike, min_accuracy, finalists)
    done = []
    for number, outcome in enumerate(best, 1):
        say(f"finalist {number} of {len(best)}: {' '.join(outcome.ways)}")
        done.append(finish(bench, outcome.ways, tolerance=tolerance, say=say))
        last = done[-1]
        is_enough = min_accuracy is not None and last.accuracy >= min_accuracy
        if is_enough and last.verdict_rank == _FITS:
            return last, None  # the cheapest comes first
    if min_accuracy is not None:
        say(f"no finalist that fits reaches {min_accuracy:.1%}: the most accurate is taken")
    return max(done, key=lambda f: (f.verdict_rank, f.accuracy)), None


def _cheapest(inside: Sequence[Outcome], enough: float, count: int) -> list[Outcome]:
    """The cheapest candidates that may be accurate enough, the last of them the surest.

    A short training falls short of a long one: there is room for what is still to come.
    """
    reached = [o for o in inside if 1 - o.error >= enough]
    if reached:
        sure = min(reached, key=lambda o: (o.energy_j, o.error))
    else:
        sure = min(inside, key=lambda o: (o.error, o.energy_j))
    near = [o for o in inside if 1 - o.error >= enough - _STILL_TO_COME]
    cheaper = [o for o in near if o.energy_j < sure.energy_j]
    return [*sorted(cheaper, key=lambda o: (o.energy_j, o.error))[: max(0, count - 1)], sure]


def _delivered(
    bench: Workbench,
    result: Shrinkage,
    chosen: Finished,
    target: Path,
    emit_to: str | Path | None,
    say: Callable[[str], None],
) -> Shrinkage:
    """Writes, emits, measures and examines the result."""
    held_out = _held_out(bench, chosen)
    content = write_tflite(chosen.graph)
    write_atomically(target, lambda file: file.write(content))
    emission: Emission | None = None
    measurement = chosen.measurement
    if emit_to is not None:
        core = bench.device.core
        emission = emit(target, emit_to, target=core if core in TARGETS else "portable")
        say(f"wrote {len(emission.files)} files into {emit_to}")
        if measurement is not None:
            # the very files, not others like them
            device = bench.task.scenario.device
            measurement = measure(emit_to, device=device, clock_hz=bench.question.clock_hz)
    after = chosen.check
    if measurement is not None:
        after = bench.judge_measured(chosen.graph, measurement)
    return replace(
        result,
        after=after,
        held_out=held_out,
        output=target,
        emission=emission,
        measurement=measurement,
    )


def _held_out(bench: Workbench, chosen: Finished) -> HeldOut:
    examples = bench.sets.held_out
    before = float_outputs(bench.original, examples)
    own = bench.examples(chosen.built, examples)
    after = integer_outputs(chosen.graph, own)[chosen.graph.outputs[0]]
    labels = examples.labels
    if not bench.names_classes:
        spread = (explained(before, after), *explained_interval(before, after))
        return HeldOut(len(examples), None, None, None, None, spread)
    was, now = answers(before), answers(after)
    agreement = score(now, was)
    if labels is None:
        return HeldOut(len(examples), None, None, None, agreement, None)
    return HeldOut(
        len(examples),
        score(was, labels),
        score(now, labels),
        change(was, now, labels),
        agreement,
        None,
    )
