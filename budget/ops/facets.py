"""What every operator has and who checks it, as data and as the table in docs/witnesses.md."""

from __future__ import annotations

from dataclasses import dataclass

from budget.graph.types import DType
from budget.ops import registry
from budget.ops.operator import Operator


@dataclass(frozen=True, slots=True)
class Facets:
    """What one operator declares.

    Attributes:
        name: of the operator.
        summary: the first line of its documentation.
        case_count: cases that the contract test runs.
        witnesses: by element type, the program that checks it; types without a meaning or
            without a case are left out.
    """

    name: str
    summary: str
    case_count: int
    witnesses: dict[DType, str]

    @property
    def missing(self) -> tuple[str, ...]:
        """What the operator lacks: cases, or a meaning in an element type."""
        lacking = () if self.case_count else ("cases",)
        return (*lacking, *(dtype.value for dtype in _TYPES if dtype not in self.witnesses))


_TYPES = (DType.FLOAT32, DType.INT8, DType.INT16)


def facets_of(operator: Operator) -> Facets:
    """What an operator declares."""
    kind = type(operator)
    has_integers = kind.run_quantized is not Operator.run_quantized
    cases = tuple(operator.cases())
    tested = {dtype for case in cases for dtype in case.dtypes}
    return Facets(
        operator.name,
        (kind.__doc__ or "").partition("\n")[0],
        len(cases),
        {
            dtype: operator.witness if dtype is DType.FLOAT32 else "litert"
            for dtype in _TYPES
            if dtype in tested and (has_integers or dtype is DType.FLOAT32)
        }
        | operator.integer_witnesses,
    )


def all_facets() -> tuple[Facets, ...]:
    """Every registered operator, family by family."""
    return tuple(facets_of(registry.get(name)) for name in registry.names())


def witness_table() -> str:
    """Markdown: a row for each operator, a column for each element type, – where one is missing."""
    lines = [
        "| operator | what it does | float32 | int8 | int16 | cases |",
        "|---|---|---|---|---|---|",
    ]
    for facets in all_facets():
        cells = [facets.witnesses.get(dtype, "–") for dtype in _TYPES]
        summary = facets.summary.replace("|", "\\|")
        lines.append(
            f"| `{facets.name}` | {summary} | {' | '.join(cells)} | {facets.case_count or '–'} |"
        )
    return "\n".join(lines) + "\n"
