"""Which specification belongs to a model: the file beside it, or one that the user names."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from budget.errors import UsageError
from budget.features.spec import FeatureSpec
from budget.graph.graph import Graph

SUFFIX = ".features.toml"


@dataclass(frozen=True)
class Named:
    """A front end and where it is written.

    Attributes:
        spec: what it computes.
        name: of the file.
        sha256: of the file.
    """

    spec: FeatureSpec
    name: str
    sha256: str

    @classmethod
    def load(cls, path: Path) -> Named:
        """Reads a specification.

        Raises:
            BudgetError: see `FeatureSpec.load`.
        """
        spec = FeatureSpec.load(path)
        return cls(spec, path.name, hashlib.sha256(path.read_bytes()).hexdigest())


def find_specification(model: Path, given: str | Path | None = None) -> Path:
    """The specification of a model's front end.

    Args:
        model: the model's file; ``dir/hotword.tflite`` has ``dir/hotword.features.toml`` beside
            it, and so has ``hotword-large.tflite``, whose name goes on behind a hyphen.
        given: a path that the user named instead.

    Raises:
        UsageError: there is none.
    """
    if given is not None:
        return Path(given)
    stem = model.name.partition(".")[0]
    while stem:
        candidate = model.parent / f"{stem}{SUFFIX}"
        if candidate.is_file():
            return candidate
        stem = stem.rpartition("-")[0]
    raise UsageError(
        "no specification of a front end lies beside the model",
        where=str(model),
        hint=f"write {model.name.partition('.')[0]}{SUFFIX} beside it (docs/front_ends.md), or "
        "name one with --front-end-spec",
    )


def require_match(spec: FeatureSpec, graph: Graph) -> None:
    """A network that reads what the front end makes: one int8 image of the same scale.

    Raises:
        UsageError: it reads something else.
    """
    types = [graph.type_of(name) for name in graph.inputs]
    problem = ""
    if len(types) != 1:
        problem = f"the model has {len(types)} inputs"
    elif types[0].dtype.value != "int8" or types[0].quant is None:
        problem = f"the model's input is {types[0].dtype.value}, not quantised int8"
    elif types[0].element_count != spec.frames * spec.coefficients:
        problem = (
            f"the model reads {types[0].element_count} features, "
            f"the front end makes {spec.frames}×{spec.coefficients}"
        )
    else:
        scale, zero = float(types[0].quant.scale[0]), int(types[0].quant.zero_point[0])
        if not np.isclose(scale, spec.scale, rtol=1e-5) or zero != spec.zero_point:
            problem = (
                f"the model's input has scale {scale:.7g} and zero point {zero}, "
                f"the front end's output {spec.scale:.7g} and {spec.zero_point}"
            )
    if problem:
        raise UsageError(
            f"the front end does not fit: {problem}",
            where="--front-end",
            hint="the specification's frames, coefficients, scale and zero_point must be the "
            "model's",
        )
