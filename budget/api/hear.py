"""From sound to a model's answer, on the host, with the arithmetic that is emitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from budget.api.examples import to_real
from budget.api.front_ends import front_end_path
from budget.api.models import Model, prepare
from budget.errors import UsageError
from budget.features import Named, extract, read_sound, require_match
from budget.graph import Array, Graph
from budget.ops.interpreter import run

LABELS_SUFFIX = ".labels.txt"


@dataclass(frozen=True)
class Answer:
    """What the model made of one clip.

    Attributes:
        file: that the clip is from.
        start_s: where in the file it starts. [s]
        features: int8, [frames][features].
        values: of the first output, as real numbers where it is quantised.
        best: index of the largest.
        label: its name, if the model has names.
    """

    file: str
    start_s: float
    features: Array
    values: Array
    best: int
    label: str


@dataclass(frozen=True)
class Hearing:
    """Answers to all clips.

    Attributes:
        model: as read and as deployed.
        front_end: what made its input.
        answers: in the order of the files.
    """

    model: Model
    front_end: Named
    answers: tuple[Answer, ...]

    def to_json(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        from budget.api.documents import SCHEMA
        from budget.features import front_end_document

        return {
            "schema": SCHEMA,
            "command": "hear",
            "model": {"name": self.model.name, "sha256": self.model.raw.source.sha256},
            "front_end": {
                "specification": self.front_end.name,
                "sha256": self.front_end.sha256,
                **front_end_document(self.front_end.spec),
            },
            "answers": [
                {
                    "file": answer.file,
                    "start_s": answer.start_s,
                    "label": answer.label or None,
                    "best": answer.best,
                    "values": [float(value) for value in answer.values],
                }
                for answer in self.answers
            ],
        }


def hear(
    model: str | Path | Graph, files: Sequence[str | Path], *, front_end: str | Path | None = None
) -> Hearing:
    """What a model hears in WAV files.

    Args:
        model: a path, ``zoo:NAME``, or a graph.
        files: 16-bit mono PCM at the front end's rate; each whole clip in them is heard, and the
            rest where it is all there is, with silence behind it.
        front_end: a specification; default: the one beside the model.

    Raises:
        BudgetError: of the kind that says whose problem it is: usage or model.
    """
    path = front_end_path(model, front_end)
    named = Named.load(path)
    prepared = prepare(model)
    graph, spec = prepared.graph, named.spec
    require_match(spec, graph)
    labels = _labels(path, graph)
    answers = []
    for file in files:
        audio = read_sound(file, spec)
        if not audio.size:
            raise UsageError("the file holds no sound", where=str(file), hint="give another")
        whole = max(1, len(audio) // spec.clip_samples) * spec.clip_samples
        padded = np.zeros(whole, np.int16)
        padded[: len(audio)] = audio[:whole]
        for index, clip in enumerate(padded.reshape(-1, spec.clip_samples)):
            features = extract(spec, clip)
            name, output = graph.inputs[0], graph.outputs[0]
            given = {name: features.reshape(graph.type_of(name).shape)}
            values = to_real(graph.type_of(output), run(graph, given)[output]).ravel()
            best = int(np.argmax(values))
            start_s = index * spec.clip_samples / spec.sample_rate_hz
            label = labels[best] if labels else ""
            answers.append(Answer(str(file), start_s, features, values, best, label))
    return Hearing(prepared, named, tuple(answers))


def _labels(specification: Path, graph: Graph) -> tuple[str, ...]:
    """Names of the outputs from NAME.labels.txt beside the specification; none if they differ."""
    stem = specification.name.partition(".")[0]
    path = specification.parent / f"{stem}{LABELS_SUFFIX}"
    if not path.is_file():
        return ()
    names = tuple(path.read_text(encoding="utf-8", errors="replace").split("\n"))
    names = tuple(name.strip() for name in names if name.strip())
    count = graph.type_of(graph.outputs[0]).element_count
    return names if len(names) == count else ()
