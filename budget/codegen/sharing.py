"""Which steps share a kernel and which have it compiled in with their own shapes.

A kernel file defines functions as ``static inline``. Those that steps call are written out as
shared (one copy, never inlined), as specialised (always inlined into the calling step, whose
literal arguments the compiler then folds), or as both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from budget.codegen import kernels
from budget.codegen.context import StepCode
from budget.plan.kernel_features import is_own
from budget.plan.program import Step

_CALL = re.compile(r"\b([a-z_][a-z0-9_]*)\(")
_DEFINITION = re.compile(r"^static inline ([a-z0-9_]+(?: \*)?) ?([a-z0-9_]+)\(([^)]*)\)\n\{", re.M)


@dataclass(frozen=True, slots=True)
class Sharing:
    """Kernel functions that steps call, and how.

    Attributes:
        shared: functions with one copy for several steps.
        specialised: functions compiled into at least one step.
        own: indices of steps that have their kernels to themselves.
    """

    shared: frozenset[str]
    specialised: frozenset[str]
    own: frozenset[int]

    @property
    def functions(self) -> frozenset[str]:
        """Every kernel function that steps call."""
        return self.shared | self.specialised

    def is_own(self, step: Step, called: Sequence[str]) -> bool:
        """Whether the kernels a step calls are compiled into it."""
        return step.index in self.own or not self.shared.intersection(called)

    def rewrite(self, step: Step, statements: Sequence[str]) -> tuple[str, ...]:
        """The step's statements, calling the shared copy where there are both."""
        both = self.shared & self.specialised
        if step.index in self.own or not both:
            return tuple(statements)

        def rename(match: re.Match[str]) -> str:
            return f"{match[1]}_shared(" if match[1] in both else match[0]

        return tuple(_CALL.sub(rename, statement) for statement in statements)

    def apply(self, text: str, upper: str) -> str:
        """The kernels' text with each called function marked; copies to share are added."""
        added: list[str] = []

        def mark(match: re.Match[str]) -> str:
            result, name, parameters = match[1], match[2], match[3]
            if name not in self.functions:
                return match[0]
            kind = "SPECIALISED" if name in self.specialised else "SHARED"
            if name in self.shared & self.specialised:
                added.append(_shared_copy(result, name, parameters, upper))
            space = "" if result.endswith("*") else " "
            return f"static {upper}_{kind} {result}{space}{name}({parameters})\n{{"

        marked = _DEFINITION.sub(mark, text)
        return "\n".join([marked, *added])


def decide(steps: Sequence[tuple[Step, StepCode]], optimise: str) -> Sharing:
    """Shares kernels between steps, as far as the user's choice allows."""
    defined = {
        match[2]
        for name in kernels.in_order(name for _, code in steps for name in code.kernels)
        for match in _DEFINITION.finditer(kernels.text_of(name))
    }
    macs = sum(step.cost.macs for step, _ in steps)
    own = {step.index for step, _ in steps if is_own(step.cost, macs, optimise)}
    callers: dict[str, set[int]] = {}
    for step, code in steps:
        for name in _CALL.findall("\n".join(code.statements)):
            if name in defined:
                callers.setdefault(name, set()).add(step.index)
    shared, specialised = set(), set()
    for name, indices in callers.items():
        sharers = indices - own
        if len(indices) == 1 or indices & own:
            specialised.add(name)
        if len(indices) > 1 and sharers:
            shared.add(name)
    return Sharing(frozenset(shared), frozenset(specialised), frozenset(own))


def _shared_copy(result: str, name: str, parameters: str, upper: str) -> str:
    """A function of the same parameters that is never inlined."""
    arguments = [re.split(r"[ *]", part.strip())[-1] for part in parameters.split(",")]
    space = "" if result.endswith("*") else " "
    call = f"{name}({', '.join(arguments)});"
    return "\n".join(
        [
            f"/* One copy of {name} for the steps that do little work. */",
            f"static {upper}_SHARED {result}{space}{name}_shared({parameters})",
            "{",
            f"    {call}" if result == "void" else f"    return {call}",
            "}",
            "",
        ]
    )
