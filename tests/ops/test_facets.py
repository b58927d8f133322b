"""The table of witnesses says what the operators declare."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import witnesses

from budget.graph import DType
from budget.ops.elementwise import Pow
from budget.ops.facets import all_facets, facets_of, witness_table
from budget.ops.operator import Case

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "witnesses.md"


def test_document_holds_the_table() -> None:
    """If not: print witness_table() from budget.ops.facets and put it there."""
    assert DOCUMENT.read_text().endswith("\n\n" + witness_table())


def test_every_operator_has_cases_and_a_float_meaning_or_says_so() -> None:
    without = {f.name for f in all_facets() if {"cases", "float32"} & set(f.missing)}
    assert without == {"quantize", "dequantize", "requantize"}  # from or to integers


def test_every_witness_is_known() -> None:
    for facets in all_facets():
        assert facets.summary.endswith((".", ";")) or ";" in facets.summary, facets.name
        for dtype, witness in facets.witnesses.items():
            if witness == "tflm":
                assert dtype is DType.INT16  # what LiteRT has no kernel for
            elif witness != "litert":
                assert dtype is DType.FLOAT32 and facets.name in witnesses.WITNESSES


def test_an_operator_without_cases_lacks_everything() -> None:
    class Empty(Pow):
        """Nothing."""

        name = "empty"

        def cases(self) -> Iterator[Case]:
            yield from ()

    assert facets_of(Empty()).missing == ("cases", "float32", "int8", "int16")
