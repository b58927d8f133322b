"""Fine-tuning of a shrunk network, against labels or against the original's outputs.

The graph becomes a TensorFlow function whose weights are variables, is trained, and becomes a
graph again: of what format the model was does not matter, nor that its training code is lost.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budget.atomic import write_atomically
from budget.errors import MissingToolError, UsageError
from budget.graph import Array, Graph
from budget.records import record
from budget.shrinking.examples import Examples
from budget.tf.regime import Regime


@record
class Training(Regime):
    """How a network is fine-tuned.

    Attributes:
        copies: changed copies of each example that are learned from as well.
    """

    copies: int = 6


@record
class Recovered:
    """A network after fine-tuning.

    Attributes:
        graph: with its new weights.
        losses: mean of each epoch that was run.
    """

    graph: Graph
    losses: tuple[float, ...]


Epoch = Callable[[int, int, float], None]
"""Called after each epoch: its number from 1, how many there will be, the mean loss."""


def tensorflow(module: str) -> Any:
    """A module of `budget.tf`.

    Raises:
        MissingToolError: TensorFlow is not installed.
    """
    from importlib import import_module

    try:
        with _silence():
            return import_module(f"budget.tf.{module}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "tensorflow":
            raise
        raise MissingToolError(
            "fine-tuning needs TensorFlow, which is not installed",
            where="shrink",
            hint="pip install 'mcu-budget[tensorflow]'",
        ) from None


@contextmanager
def _silence() -> Iterator[None]:
    """Keeps what TensorFlow's libraries say of themselves when they are loaded off the terminal.

    They write to the file descriptor before any setting of theirs is read.
    """
    if "tensorflow" in sys.modules:
        yield
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def float_outputs(
    graph: Graph, examples: Examples, *, logits: bool = False, as_quantized: Graph | None = None
) -> Array:
    """The first output of a float graph for every example.

    Args:
        graph: canonical, in float32.
        examples: its inputs.
        logits: what a last softmax or logistic reads, instead of what it returns.
        as_quantized: a quantised version of the graph, whose rounding is imitated.
    """
    trainable, prediction = tensorflow("trainable"), tensorflow("prediction")
    rounded = None
    if as_quantized is not None:
        rounded = trainable.Rounded.from_graphs(graph, as_quantized)
    name = trainable.logits_of(graph)[0] if logits else graph.outputs[0]
    found: Array = prediction.predict(graph, examples.batches(), (name,), rounded)[name]
    return found


def taught_by(original: Graph, examples: Examples) -> NDArray[np.float32]:
    """What the original gives a learner to imitate, [example][...]."""
    return np.asarray(float_outputs(original, examples, logits=True), np.float32)


def recover(
    graph: Graph,
    examples: Examples,
    *,
    taught: NDArray[np.float32] | None = None,
    training: Training | None = None,
    as_quantized: Graph | None = None,
    progress: Epoch | None = None,
    checkpoint: Path | None = None,
) -> Recovered:
    """Fine-tunes a network.

    Args:
        graph: canonical, in float32.
        examples: to learn from.
        taught: the original's answers (`taught_by`); None to learn from labels alone.
        training: how.
        as_quantized: a quantised version of the graph: trains with its rounding, so that the
            weights settle where rounding does little harm.
        progress: called after each epoch.
        checkpoint: file that holds where training stands; if it exists, training goes on there.

    Raises:
        UsageError: nothing to learn from, values that are not finite, or a loss that is not.
        UnsupportedModelError: the graph cannot be trained.
        MissingToolError: TensorFlow is not installed.
    """
    how = training or Training()
    trainable, module = tensorflow("trainable"), tensorflow("training")
    _require_finite(graph, examples)
    model = trainable.Trainable(graph)
    rounded = None
    if as_quantized is not None:
        rounded = trainable.Rounded.from_graphs(graph, as_quantized)

    def epoch_done(number: int, loss: float) -> None:
        if progress is not None:
            progress(number, how.epochs, loss)

    start = None if checkpoint is None else _load_state(checkpoint, module, model.values())
    lesson = module.Lesson(examples.batches(), examples.labels, taught)
    losses = module.train(
        model,
        lesson,
        how,
        rounded=rounded,
        progress=epoch_done,
        start=start,
        keep=None if checkpoint is None else lambda state: _save_state(checkpoint, state),
    )
    return Recovered(model.graph_now(), tuple(losses))


def _require_finite(graph: Graph, examples: Examples) -> None:
    for name, values in examples.inputs.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            bad = int((~np.isfinite(values.reshape(len(values), -1)).all(1)).sum())
            raise UsageError(
                f"{bad} of {len(values)} examples of {name!r} hold values that are not finite",
                where=graph.source.name or graph.name,
                hint="leave them out or repair them",
            )


def _save_state(path: Path, state: Any) -> None:
    arrays: dict[str, Any] = {"epoch": np.array(state.epoch)}
    for i, name in enumerate(state.values):
        arrays[f"value{i}"] = state.values[name]
        arrays[f"mean{i}"] = state.means[name]
        arrays[f"square{i}"] = state.squares[name]
    write_atomically(path, lambda file: np.savez(file, **arrays))


def _load_state(path: Path, module: Any, values: dict[str, Array]) -> Any:
    """What an interrupted training left; None where there is nothing that suits."""
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as file:
        shapes = [file[name].shape for name in file.files if name.startswith("value")]
        if shapes != [value.shape for value in values.values()]:
            return None

        def part(kind: str) -> dict[str, Any]:
            return {name: file[f"{kind}{i}"] for i, name in enumerate(values)}

        return module.State(int(file["epoch"]), part("value"), part("mean"), part("square"))
