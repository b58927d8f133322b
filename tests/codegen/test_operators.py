"""Every operator, element type and case: the emitted C equals the operator's own meaning.

Integers are equal bit for bit, under both roundings. Floats, compiled without contraction, equal
LiteRT's reference kernels bit for bit wherever these are the witness. numpy sums in another order
and has its own elementary functions: it lies within (K + 8) · eps of the sum of magnitudes where K
products are summed, elsewhere within 1e-5 of the value or 2e-6.
"""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from host import WARNINGS, HostModel
from single_operator import QUANTIZED, Single, build, inputs, seeded
from test_contract import float_tolerance

from budget.codegen import EmitOptions
from budget.codegen.emit import render_library
from budget.codegen.source import write_steps
from budget.graph import DType
from budget.ops import Rounding, registry
from budget.ops.interpreter import run
from budget.plan import Program, plan


class LibraryModel(HostModel):
    """One of several models in a shared library."""

    def __init__(self, program: Program, name: str, library: ctypes.CDLL) -> None:
        self.program, self.name, self.library = program, name, library
        self.function("init")()


def library(program: Program, options: EmitOptions) -> dict[str, str]:
    """The C files of a model, by name."""
    return render_library(write_steps(program, options))


def compile_all(
    folder: Path, programs: Sequence[tuple[Program, EmitOptions]], *flags: str
) -> list[LibraryModel]:
    """Several programs in one shared library."""
    for program, options in programs:
        for path, text in library(program, options).items():
            (folder / path).write_text(text)
    sources = [str(folder / f"{options.name}.c") for _, options in programs]
    target = folder / "models.so"
    flags = ("-O0", "-ffp-contract=off", *flags)
    command = ["gcc", *WARNINGS, *flags, "-fPIC", "-shared", "-o", str(target), *sources, "-lm"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:4000]
    loaded = ctypes.CDLL(str(target))
    return [LibraryModel(program, options.name, loaded) for program, options in programs]


def pairs() -> list[tuple[str, DType]]:
    return [
        (name, dtype)
        for name in registry.names()
        for dtype in (DType.FLOAT32, *QUANTIZED)
        if any(dtype in case.dtypes for case in registry.get(name).cases())
    ]


def singles(name: str, dtype: DType) -> Iterator[Single]:
    operator = registry.get(name)
    for case in operator.cases():
        if dtype in case.dtypes:
            yield build(operator, case, dtype, seeded("emit", name, dtype, case.label))


def code_of(program: Program, rounding: Rounding) -> list[object]:
    """What the steps compute, without the comments around it."""
    source = write_steps(program, EmitOptions(rounding=rounding))
    return [
        (code.kernels, code.statements, [table.render() for table in code.tables])
        for _, code in source.steps
    ]


def variants(made: Single, program: Program, index: int) -> Iterator[EmitOptions]:
    """One for each rounding; only the first where both give the same code."""
    yield EmitOptions(name=f"m{index}")
    if made.is_quantized:
        host, device = (code_of(program, rounding) for rounding in Rounding)
        if host != device:
            yield EmitOptions(name=f"m{index}_tflm", rounding=Rounding.TFLM)


# LiteRT computes these with polynomials of its own rather than with the C library
OWN_FUNCTIONS = {"gelu"}


@pytest.mark.parametrize(("name", "dtype"), pairs())
def test_equals_its_meaning(name: str, dtype: DType, tmp_path: Path) -> None:
    is_exact = registry.get(name).witness == "litert" and name not in OWN_FUNCTIONS
    made_of: dict[str, Single] = {}
    programs = []
    for index, made in enumerate(singles(name, dtype)):
        program = plan(made.graph)
        for options in variants(made, program, index):
            made_of[options.name] = made
            programs.append((program, options))
    models = compile_all(tmp_path, programs)
    compared = 0
    for model, (_, options) in zip(models, programs):
        made = made_of[model.name]
        roundings = {options.rounding}
        if made.is_quantized and f"{model.name}_tflm" not in made_of:
            roundings.add(Rounding.TFLM)  # its code is the same, so its results must be
        for x in inputs(made, seeded("emit", name, dtype, made.case.label, "data")):
            given = {
                f"input_{place}": value
                for place, (value, known) in enumerate(zip(x, made.constants))
                if value is not None and known is None
            }
            results = model.run(given)
            if is_exact and not made.is_quantized:
                for result, expected in zip(results.values(), made.litert(x), strict=True):
                    np.testing.assert_array_equal(result, expected, made.case.label)
            for rounding in roundings:
                answers = run(made.graph, given, rounding=rounding)
                for index, (key, expected) in enumerate(answers.items()):
                    what = f"{made.case.label} {rounding}"
                    compare(made, x, results[key], expected, what, index)
                    compared += expected.size
    assert compared > 0


def compare(
    made: Single,
    x: list,
    result: np.ndarray,
    expected: np.ndarray,
    what: str,
    index: int = 0,
) -> None:
    assert result.dtype == expected.dtype and result.shape == expected.shape
    if made.is_quantized or not np.issubdtype(result.dtype, np.floating):
        np.testing.assert_array_equal(result, expected, what)
        return
    tolerance = float_tolerance(made, x, expected, index)
    same = (result == expected) | (np.isnan(result) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        assert np.all(same | (np.abs(result - expected) <= tolerance)), what
