"""The search over ways to shrink and their strengths: what to try next, and what was tried.

Optuna proposes (a tree-structured Parzen estimator over accuracy, energy, flash and RAM, the
budget as a constraint) and keeps the history in a database, so that a search can be interrupted,
continued and shared. Every proposal is drawn with a seed of its own number: an interrupted search
that goes on proposes what it would have proposed anyway.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from budget.errors import MissingToolError, UsageError
from budget.records import record
from budget.shrinking.way import Stage, Strength, parse, way_class

FREE_STAGES = (Stage.STRUCTURE, Stage.WEIGHTS, Stage.INPUT)


@record
class Outcome:
    """What came of a candidate.

    Attributes:
        ways: that it is made by.
        error: 1 less its accuracy (or agreement, or explained variance) after a short training.
        excess: the largest of what is needed over what there is; at most 1 inside the budget.
        energy_j: of one inference, estimated. [J]
        latency_s: None where the device has no time. [s]
        flash_bytes: need.
        ram_bytes: need.
        macs: of one inference.
        verdict: as `check` would give it.
        problem: why it could not be made or judged; empty if it could.
    """

    ways: tuple[str, ...]
    error: float = 1.0
    excess: float = float("inf")
    energy_j: float = float("inf")
    latency_s: float | None = None
    flash_bytes: float = float("inf")
    ram_bytes: float = float("inf")
    macs: int = 0
    verdict: str = ""
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """JSON values; infinite ones are None."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        values["ways"] = list(self.ways)
        return {k: None if v == float("inf") else v for k, v in values.items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Outcome:
        """What `to_json` gave."""
        given = {k: v for k, v in values.items() if v is not None}
        return cls(**{**given, "ways": tuple(values["ways"])})


@record
class Knob:
    """A way as the search turns it.

    Attributes:
        way: its name.
        fixed: its strengths are those given; empty to search them.
        is_precision: exactly one of those is chosen; any other may be left out.
    """

    way: str
    fixed: str
    is_precision: bool

    @property
    def strengths(self) -> tuple[Strength, ...]:
        """What is to be chosen of it."""
        return () if self.fixed else way_class(self.way).strengths()


def knobs(ways: Sequence[str]) -> tuple[Knob, ...]:
    """Knobs of ways given as ``prune`` (search its strengths) or ``prune:keep=0.5`` (as it is).

    Raises:
        UsageError: there is no such way or strength, one stands there twice, or it makes more
            than one network.
    """
    found = []
    for text in ways:
        way = parse(text)
        if way.name == "early-exit":
            raise UsageError(
                "early-exit makes two networks and a threshold, not one file",
                where="--ways",
                hint="apply it by budget.shrinking.way and deploy both of its graphs",
            )
        found.append(Knob(way.name, way.describe() if ":" in text else "",
                          way.stage is Stage.PRECISION))  # fmt: skip
    names = [knob.way for knob in found]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{name} stands there twice", where="--ways")
    return tuple(found)


class Search:
    """A study of candidates.

    Args:
        choices: what may be turned.
        name: of the study in its database; the same name goes on with the same study.
        history: a database such as ``sqlite:///x.db``; None: in memory.
        seed: of the proposals.

    Raises:
        MissingToolError: Optuna is not installed.
        UsageError: the database cannot be opened.
    """

    def __init__(
        self, choices: Sequence[Knob], *, name: str, history: str | None = None, seed: int = 0
    ) -> None:
        self.choices = tuple(choices)
        self.seed = seed
        self._optuna = _optuna()
        self._asked: dict[int, Any] = {}
        try:
            with _quiet():
                self._study = self._optuna.create_study(
                    directions=["minimize"] * 4,
                    storage=history,
                    study_name=name,
                    load_if_exists=True,
                )
        except (
            ValueError,
            ImportError,
            self._optuna.exceptions.OptunaError,
            *_database_errors(),
        ) as error:
            raise _told(error, history) from None
        self._take_up_what_was_left()

    def _take_up_what_was_left(self) -> None:
        """Candidates that an interruption cut off are tried again, before new ones."""
        state = self._optuna.trial.TrialState
        for trial in self._study.get_trials(states=(state.RUNNING,)):
            self._study.tell(trial.number, state=state.FAIL)
            if trial.params:
                self._study.enqueue_trial(trial.params)

    def outcomes(self) -> list[Outcome]:
        """Of every candidate so far, in the order they were proposed."""
        found = []
        for trial in self._study.get_trials(deepcopy=False):
            if "outcome" in trial.user_attrs:
                found.append(Outcome.from_json(json.loads(trial.user_attrs["outcome"])))
        return found

    @property
    def is_new(self) -> bool:
        """Whether nothing was proposed yet."""
        return not self._study.get_trials(deepcopy=False)

    def suggest_first(self, ways: Sequence[str]) -> None:
        """Has a candidate tried before any that the search draws."""
        values: dict[str, Any] = {}
        given = {way.name: way for way in map(parse, ways)}
        for knob in self.choices:
            if knob.is_precision:
                continue
            if not knob.fixed:
                values[f"{knob.way}?"] = knob.way in given
            if knob.way in given:
                for strength in knob.strengths:
                    values[f"{knob.way}.{strength.name}"] = getattr(given[knob.way], strength.name)
        precisions = [k.way for k in self.choices if k.is_precision]
        if len(precisions) > 1:
            values["precision"] = next(name for name in given if name in precisions)
        with _quiet():
            self._study.enqueue_trial(values)

    def ask(self) -> tuple[int, tuple[str, ...]]:
        """The next candidate: its number and its ways."""
        number = len(self._study.get_trials(deepcopy=False))
        with _quiet():
            self._study.sampler = self._optuna.samplers.TPESampler(
                seed=self.seed * 100_003 + number,
                n_startup_trials=8,
                constraints_func=lambda trial: (trial.user_attrs.get("excess", 1e9) - 1.0,),
            )
            trial = self._study.ask()
            self._asked[trial.number] = trial
            return trial.number, tuple(self._ways(trial))

    def tell(self, number: int, outcome: Outcome) -> None:
        """Files what came of a candidate that this object was asked for."""
        excess = min(outcome.excess, 1e9)
        trial = self._asked.pop(number)
        # the sampler reads the constraint when the trial ends, so it is filed before
        trial.set_user_attr("excess", excess)
        trial.set_user_attr("outcome", json.dumps(outcome.to_json()))
        state = self._optuna.trial.TrialState
        values = [outcome.error, outcome.energy_j, outcome.flash_bytes, outcome.ram_bytes]
        with _quiet():
            if outcome.problem or float("inf") in values:
                self._study.tell(number, state=state.FAIL)
            else:
                self._study.tell(number, values)

    def _ways(self, trial: Any) -> list[str]:
        found, precisions = [], []
        for knob in self.choices:
            if knob.is_precision:
                precisions.append(knob)
                continue
            if knob.fixed:
                found.append(knob.fixed)
            elif trial.suggest_categorical(f"{knob.way}?", [True, False]):
                found.append(_drawn(trial, knob))
        if precisions:
            chosen = precisions[0].way
            if len(precisions) > 1:
                chosen = trial.suggest_categorical("precision", [k.way for k in precisions])
            knob = next(k for k in precisions if k.way == chosen)
            found.append(knob.fixed or knob.way)
        return found


def _drawn(trial: Any, knob: Knob) -> str:
    settings = []
    for strength in knob.strengths:
        name = f"{knob.way}.{strength.name}"
        if strength.choices:
            value = trial.suggest_categorical(name, list(strength.choices))
        elif strength.is_integer:
            value = trial.suggest_int(name, int(strength.low), int(strength.high))
        else:
            value = round(trial.suggest_float(name, strength.low, strength.high), 4)
        settings.append(f"{strength.name}={value}")
    return knob.way + (":" + ",".join(settings) if settings else "")


def brief(way: str) -> str:
    """A way with only those of its strengths that are not the usual ones."""
    parsed = parse(way)
    usual = type(parsed)()
    given = [
        f"{s.name}={getattr(parsed, s.name)}"
        for s in parsed.strengths()
        if getattr(parsed, s.name) != getattr(usual, s.name)
    ]
    return parsed.name + (":" + ",".join(given) if given else "")


def front(outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
    """Those that no other beats in accuracy, energy, flash and RAM alike, the most exact first."""
    sound = [o for o in outcomes if not o.problem]

    def values(o: Outcome) -> tuple[float, ...]:
        return o.error, o.energy_j, o.flash_bytes, o.ram_bytes

    kept: dict[tuple[float, ...], Outcome] = {}
    for o in sound:
        beaten = any(
            values(p) != values(o) and all(a <= b for a, b in zip(values(p), values(o)))
            for p in sound
        )
        if not beaten:
            kept.setdefault(values(o), o)
    return tuple(sorted(kept.values(), key=values))


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise MissingToolError(
            "the search needs Optuna, which is not installed",
            where="shrink",
            hint="pip install 'mcu-budget[shrink]', or give every strength: --ways 'prune:keep=0.5 "
            "int8'",
        ) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna tells of every feature that it may change some day."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _database_errors() -> tuple[type[Exception], ...]:
    from sqlalchemy.exc import SQLAlchemyError

    return (SQLAlchemyError,)


def _told(error: Exception, history: str | None) -> UsageError:
    first = str(error).splitlines()[0] if str(error) else type(error).__name__
    return UsageError(
        f"the search's database cannot be used: {first[:120]}",
        where=f"--history {history}",
        hint="give one such as sqlite:///search.db",
    )
