"""The operators, with what each can do."""

from __future__ import annotations

from budget.codegen.steps import can_write
from budget.ops.facets import Facets, all_facets
from budget.records import record


@record
class OperatorEntry:
    """One operator.

    Attributes:
        facets: what it declares: element types and the witness of each.
        can_emit: whether it has a writer of C.
    """

    facets: Facets
    can_emit: bool


def list_operators() -> tuple[OperatorEntry, ...]:
    """Every registered operator, family by family."""
    return tuple(OperatorEntry(facets, can_write(facets.name)) for facets in all_facets())
