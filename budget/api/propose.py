"""Which candidates to try: a search here, or spread over a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from budget.api.cluster import connect
from budget.api.workbench import Task, Workbench, evaluate, excess_of
from budget.errors import BudgetError
from budget.shrinking.search import Knob, Outcome, Search, brief, knobs

Say = Callable[[str], None]
_HALVINGS = 6
_LEAST = 0.05
_FIRST_SHARES = (1.0, 0.9, 0.8)


def explore(
    bench: Workbench,
    ways: Sequence[str],
    *,
    trials: int,
    history: str | None,
    scheduler: str | None,
    seed: int,
    say: Say,
) -> tuple[Outcome, ...]:
    """Tries candidates until there are as many as wanted, earlier runs of the study included.

    Args:
        bench: the task.
        ways: as `budget.shrinking.search.knobs` reads them.
        trials: wanted.
        history: a database; None: one in the task's folder for work.
        scheduler: address of a Dask scheduler whose workers have this package and reach the same
            files; None: here.
        seed: of what is proposed.
        say: gets a line of progress.
    """
    choices = knobs(ways)
    if (
        all(knob.fixed or knob.is_precision for knob in choices)
        and len([k for k in choices if k.is_precision]) <= 1
    ):
        given = tuple(knob.fixed or knob.way for knob in choices)
        return (evaluate_without_training(bench, given),)
    if history is None and bench.task.work:
        history = f"sqlite:///{bench.task.work}/search.db"
    name = f"shrink-{bench.task.key}-{'+'.join(ways)}"
    search = Search(choices, name=name, history=history, seed=seed)
    done = search.outcomes()
    if done:
        say(f"going on with {len(done)} candidates tried before")
    if search.is_new:
        for first in first_candidates(bench, choices, trials, say):
            search.suggest_first(first)
    left = max(0, trials - len(done))
    if scheduler:
        _spread(search, _Cluster(connect(scheduler), bench.task), left, trials, say)
        return tuple(search.outcomes())
    known = {outcome.ways: outcome for outcome in done}
    for _ in range(left):
        number, chosen = search.ask()
        outcome = known.get(chosen) or bench.evaluate(chosen)
        known[chosen] = outcome
        search.tell(number, outcome)
        say(f"candidate {len(search.outcomes())} of {trials}: {described(outcome)}")
    return tuple(search.outcomes())


def evaluate_without_training(bench: Workbench, ways: tuple[str, ...]) -> Outcome:
    """The only candidate, judged by its cost: there is nothing to compare it with."""
    built = bench.build(ways)
    return bench.outcome(ways, bench.judge_built(built, ways))


def described(outcome: Outcome) -> str:
    """A candidate in one line."""
    ways = " ".join(map(brief, outcome.ways)) or "as it is"
    if outcome.problem:
        return f"{ways}: {outcome.problem}"
    if outcome.excess > 1.0:
        return f"{ways}: needs {outcome.excess:.2f} times what there is for sure"
    return (
        f"{ways}: {1 - outcome.error:.1%} after a short training, {outcome.energy_j * 1e6:.0f} µJ"
    )


def first_candidates(
    bench: Workbench, choices: Sequence[Knob], trials: int, say: Say
) -> list[list[str]]:
    """What is tried first: the plain precision, and pruning just far enough for the budget.

    Then, if there are trials enough, pruning where the outputs feel it least, just as far.
    """
    precision = [k.fixed or k.way for k in choices if k.is_precision][:1]
    fixed = [k.fixed for k in choices if k.fixed and not k.is_precision]
    plain = [*fixed, *precision]
    found = [plain]
    prune = next((k for k in choices if k.way == "prune" and not k.fixed), None)
    if prune is None:
        return found

    def kept(allocation: str) -> float | None:
        """The share that just meets the budget; None where even the least does not."""

        def excess(keep: float) -> float:
            quick = f"prune:keep={keep:.3f},allocation={allocation},score=norm,compensate=no"
            built = bench.build([quick, *plain])
            return bench.measured_ratio * excess_of(bench.judge_built(built, plain))

        low, high = _LEAST, 1.0
        if excess(high) <= 1.0:
            return high
        if excess(low) > 1.0:
            return None
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if excess(middle) <= 1.0 else (low, middle)
        return low

    try:
        keep = kept("uniform")
        if keep == 1.0:
            return [*found, ["prune:keep=0.75", *plain]]
        if keep is None:
            say("pruning alone does not reach the budget")
            return [*found, [f"prune:keep={_LEAST}", *plain]]
        say(f"pruning to {keep:.1%} of the channels meets the budget")
        keeps = [round(max(_LEAST, keep * share), 4) for share in _FIRST_SHARES]
        found = [[f"prune:keep={keep}", *plain] for keep in keeps] + found
        if trials > len(found) and (keep := kept("sensitivity")) is not None:
            share = f"prune:keep={round(keep, 4)},allocation=sensitivity"
            found.append([share, *plain])
    except BudgetError as error:
        say(f"pruning: {error}")
    return found


def _spread(search: Search, cluster: _Cluster, left: int, trials: int, say: Say) -> None:
    """Keeps as many candidates on their way as there are workers."""
    waiting: dict[Any, int] = {}
    asked = 0
    try:
        while asked < left or waiting:
            while asked < left and len(waiting) < cluster.width:
                number, chosen = search.ask()
                waiting[cluster.submit(chosen)] = number
                asked += 1
            future, outcome = cluster.first(list(waiting))
            search.tell(waiting.pop(future), outcome)
            say(f"candidate {len(search.outcomes())} of {trials}: {described(outcome)}")
    finally:
        cluster.close()


class _Cluster:
    """Candidates on a Dask cluster."""

    def __init__(self, client: Any, task: Task) -> None:
        self._client, self._task = client, task

    @property
    def width(self) -> int:
        return max(1, len(self._client.scheduler_info()["workers"]))

    def submit(self, ways: tuple[str, ...]) -> Any:
        # not pure: equal candidates of two searches are judged by the code of each
        return self._client.submit(evaluate, self._task, ways, pure=False)

    def first(self, futures: list[Any]) -> tuple[Any, Outcome]:
        """The first that is done; what a dead worker had begun, the scheduler gives to another."""
        from distributed import wait

        with self._client.as_current():
            done = wait(futures, return_when="FIRST_COMPLETED").done
        future = next(f for f in futures if f in done)
        return future, future.result()

    def close(self) -> None:
        self._client.close()
