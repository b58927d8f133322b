"""One call from beginning to end: run, priced, and with the waiting for flash."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from budget.core.elf import Symbol
from budget.core.flash import FlashTiming, Waits, find_leaders, wait_cycles
from budget.core.machine import Machine, Run
from budget.core.profile import Pricer, Profile
from budget.core.timing import Timing


@dataclass(frozen=True)
class Timed:
    """What a call took.

    Attributes:
        run: result and stack.
        profile: instructions and cycles at zero wait states.
        waits: for each scope of the run; None where flash was not asked about.
    """

    run: Run
    profile: Profile
    waits: Sequence[Waits] | None

    @property
    def cycles(self) -> int:
        """With waiting for flash."""
        return self.profile.total.cycles + sum(self.waits or (), Waits()).cycles


def timed_call(
    machine: Machine,
    function: str,
    prepare: Callable[[], Sequence[int]],
    timing: Timing,
    *,
    scopes: Iterable[Symbol] = (),
    flash: FlashTiming | None = None,
    limit_s: float = 900.0,
) -> Timed:
    """Calls a function and prices it.

    Args:
        machine: with the program.
        function: to call.
        prepare: brings the program into its first state and gives the arguments; called a second
            time where flash is asked about, for that needs a second run.
        timing: of the core.
        scopes: functions to count apart.
        flash: the memory's timing; None for zero wait states.
        limit_s: longest time to wait for each run: counting slows the core, and kernels for size
            take a thousand million cycles.

    Raises:
        FirmwareError: the program fails, or the core lacks an instruction.
        UsageError: there is no such function.
    """
    wanted = list(scopes)
    run = machine.call(function, prepare(), count=True, scopes=wanted, limit_s=limit_s)
    profile = Pricer(machine, timing).profile(run)
    if flash is None or not flash.wait_states:
        return Timed(run, profile, None)
    leaders = find_leaders(machine, machine.blocks)
    traced = machine.call(function, prepare(), scopes=wanted, leaders=leaders, limit_s=limit_s)
    return Timed(run, profile, wait_cycles(machine, traced, leaders, flash))
