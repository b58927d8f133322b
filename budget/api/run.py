"""A model run on the host, on a picture, a sound or arrays, with its best guesses named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from budget.api.examples import (
    draw_examples,
    read_examples,
    read_labels,
    stored_example,
    to_real,
)
from budget.api.models import load, lower
from budget.errors import UsageError
from budget.graph import Array, Graph
from budget.records import record


@record
class Guess:
    """One class.

    Attributes:
        index: among the output's elements.
        label: its name; empty if none is known.
        score: what the model says, as a real number.
    """

    index: int
    label: str
    score: float


@record
class Result:
    """What a model makes of one example.

    Attributes:
        example: name of what was given.
        outputs: real values by output.
        guesses: the largest elements of the first output, best first.
    """

    example: str
    outputs: Mapping[str, Any]
    guesses: tuple[Guess, ...]


@record
class Run:
    """A model run on examples.

    Attributes:
        name: of the model.
        results: in the order of the examples.
    """

    name: str
    results: tuple[Result, ...]

    def to_json(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        from budget.api.documents import SCHEMA

        return {
            "schema": SCHEMA,
            "command": "run",
            "model": {"name": self.name},
            "results": [
                {
                    "input": result.example,
                    "outputs": {
                        name: np.asarray(values).tolist() for name, values in result.outputs.items()
                    },
                    "guesses": [
                        {"index": item.index, "label": item.label, "score": item.score}
                        for item in result.guesses
                    ],
                }
                for result in self.results
            ],
        }


def run(
    model: str | Path | Graph,
    input: str | Path | Array | Mapping[str, Array] | None = None,
    *,
    labels: str | Path | Sequence[str] | None = None,
    mean: float | None = None,
    std: float | None = None,
    top: int = 5,
    seed: int = 0,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> Run:
    """Runs a model in numpy: integers as the device computes them, floats as the file has them.

    Args:
        model: a path, ``zoo:NAME`` or a graph.
        input: a picture, a .wav file, a .npy or .npz file, a folder of those; an array or arrays
            by name, as real numbers; seeded random numbers if not given.
        labels: a file of names, one on each line, or the names; those that ship with a model of
            the zoo unless given.
        mean: taken from each pixel; 128 unless given, and nothing for 8-bit inputs.
        std: what pixels are divided by then.
        top: how many guesses.
        seed: of random inputs.
        inputs: names of the tensors to feed, for graphs that need them.
        outputs: names of the tensors wanted, likewise.
        input_shapes: name → shape, where the file leaves dimensions open.

    Raises:
        UsageError: the input does not suit the model.
        ModelError: the model cannot be read or run.
        MissingToolError: pictures need the package pillow.
    """
    from budget.ops.interpreter import run as interpret

    raw = model if isinstance(model, Graph) else load(
        model, inputs=inputs, outputs=outputs, input_shapes=input_shapes
    )  # fmt: skip
    graph = lower(raw)
    if input is None:
        examples = draw_examples(graph, 1, seed)
    elif isinstance(input, (str, Path)):
        examples = read_examples(input, graph, model=model, mean=mean, std=std)
    else:
        examples = [("array", _by_name(input, graph))]
    names = _labels(labels, model)
    results = []
    for name, example in examples:
        found = interpret(graph, stored_example(graph, example, list(example)))
        real = {out: to_real(graph.type_of(out), found[out]) for out in graph.outputs}
        first = real[graph.outputs[0]] if graph.outputs else np.zeros(0)
        results.append(Result(name, real, _guesses(first, names, top)))
    return Run(raw.source.name or raw.name, tuple(results))


def _by_name(input: Any, graph: Graph) -> dict[str, Array]:
    if isinstance(input, Mapping):
        return {str(name): np.asarray(value) for name, value in input.items()}
    if len(graph.inputs) != 1:
        raise UsageError(
            f"the model has the inputs {', '.join(graph.inputs)}",
            hint="give a mapping with an array for each",
        )
    return {graph.inputs[0]: np.asarray(input)}


def _labels(labels: str | Path | Sequence[str] | None, model: str | Path | Graph) -> Sequence[str]:
    if labels is None:
        if isinstance(model, Graph) or not str(model).startswith("zoo:"):
            return ()
        from budget.zoo import MODELS

        name = str(model)[4:].partition("?")[0]
        for candidate in (name, name.partition("-")[0]):
            shipped = MODELS / f"{candidate}.labels.txt"
            if shipped.is_file():
                return read_labels(shipped)
        return ()
    return read_labels(labels) if isinstance(labels, (str, Path)) else labels


def _guesses(values: Any, names: Sequence[str], top: int) -> tuple[Guess, ...]:
    flat = np.asarray(values, np.float64).ravel()
    # equal scores in the order of their classes
    best = np.argsort(-flat, kind="stable")[:top]
    return tuple(
        Guess(int(i), names[i] if i < len(names) else "", float(flat[i])) for i in best.tolist()
    )
