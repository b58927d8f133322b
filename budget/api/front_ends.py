"""Which front end belongs to a model, wherever the model is named from."""

from __future__ import annotations

from dataclasses import replace
from os.path import isfile
from pathlib import Path

from budget.errors import UsageError
from budget.features import Named, find_specification
from budget.graph import Graph
from budget.scenario.schema import Scenario


def specification_path(text: str) -> Path:
    """``zoo:hotword`` or a path, as scenarios name a front end.

    Raises:
        UsageError: there is none.
    """
    if text.startswith("zoo:"):
        from budget.zoo import MODELS

        path = MODELS / f"{text.removeprefix('zoo:')}.features.toml"
    else:
        path = Path(text)
    if not isfile(path):  # noqa: PTH113 it is False for what can be no path, too
        raise UsageError(
            f"there is no front end '{text}'",
            where="--features",
            hint="give a specification file, or zoo:hotword",
        )
    return path


def front_end_path(model: str | Path | Graph, given: str | Path | None = None) -> Path:
    """The specification beside a model, or the one that is given.

    Raises:
        UsageError: there is none.
    """
    if given is not None:
        return specification_path(str(given))
    if isinstance(model, Graph):
        raise UsageError(
            "a graph has no file beside which a front end could lie",
            where="--front-end",
            hint="name the specification with --front-end-spec",
        )
    if str(model).startswith("zoo:"):
        from budget.zoo import shipped_path

        return find_specification(shipped_path(str(model)[4:]) or Path(str(model)))
    return find_specification(Path(model))


def front_end_of(model: str | Path | Graph, given: str | Path | None = None) -> Named:
    """The front end of a model.

    Raises:
        BudgetError: there is none, or it cannot be used.
    """
    return Named.load(front_end_path(model, given))


def wanted_front_end(model: str | Path | Graph, wanted: bool | str | Path) -> Named | None:
    """The front end that a caller wants of a model.

    Args:
        model: as it was named.
        wanted: False for none, True for the specification beside the model, or its path.

    Raises:
        BudgetError: there is none, or it cannot be used.
    """
    if not wanted:
        return None
    return front_end_of(model, None if wanted is True else wanted)


def with_front_end(scenario: Scenario, model: str | Path | None) -> Scenario:
    """A scenario that counts the front end beside its model, unless it names another.

    Raises:
        UsageError: there is none.
    """
    if scenario.preprocess.features:
        return scenario
    path = front_end_path(model or scenario.model)
    return replace(scenario, preprocess=replace(scenario.preprocess, features=str(path)))
