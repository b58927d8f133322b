"""Every operator's C under sanitizers, with optimisation, and in clang."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from host import WARNINGS
from test_operators import library, pairs, singles, variants

from budget.codegen import EmitOptions
from budget.codegen.c import C_TYPES
from budget.graph import DType
from budget.plan import Program, plan

ROUNDS = 4
SANITIZERS = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
pytestmark = pytest.mark.slow


def driver(programs: list[tuple[Program, EmitOptions]]) -> str:
    """A program that runs every model on numbers from all of its inputs' range."""
    lines = ["#include <stdint.h>", "#include <stdio.h>"]
    lines += [f'#include "{options.name}.h"' for _, options in programs]
    lines += [
        "static uint32_t state = 1;",
        "static int32_t next(void)",
        "{",
        "    state ^= state << 13; state ^= state >> 17; state ^= state << 5;",
        "    return (int32_t)state;",
        "}",
    ]
    body = []
    for program, options in programs:
        arguments = []
        for kind, tensors in (("in", program.graph.inputs), ("out", program.graph.outputs)):
            for index, tensor in enumerate(tensors):
                type, array = program.types[tensor], f"{options.name}_{kind}{index}"
                c_type = C_TYPES[type.dtype]
                lines.append(f"static {c_type} {array}[{max(type.element_count, 1)}];")
                arguments.append(array)
                if kind == "in":
                    value = f"({c_type})next()"
                    if c_type == "float":
                        value = "(float)next() / 4e8f"
                    elif type.dtype is DType.BOOL:
                        value = "(uint8_t)(next() & 1)"
                    body.append(f"for (int i = 0; i < {type.element_count}; i++)")
                    body.append(
                        f"    {array}[i] = k < 2 && {c_type == 'int8_t':d} "
                        f"? ({c_type})(k ? 127 : -128) : {value};"
                    )
        body.append(f"if ({options.name}_invoke({', '.join(arguments)}) != 0) return 1;")
    inits = [f"{options.name}_init();" for _, options in programs]
    rounds = [f"for (int k = 0; k < {ROUNDS}; k++) {{", *body, "}"]
    finish = ['puts("finished");', "return 0;"]
    return "\n".join([*lines, "int main(void) {", *inits, *rounds, *finish, "}", ""])


@pytest.fixture(params=pairs(), ids=lambda pair: f"{pair[0]}-{pair[1].value}")
def written(
    request: pytest.FixtureRequest, tmp_path: Path
) -> tuple[Path, list[tuple[Program, EmitOptions]]]:
    """All cases of an operator and element type, as C files in a folder."""
    name, dtype = request.param
    programs = []
    for index, made in enumerate(singles(name, dtype)):
        program = plan(made.graph)
        programs += [(program, options) for options in variants(made, program, index)]
    for program, options in programs:
        for path, text in library(program, options).items():
            (tmp_path / path).write_text(text)
    return tmp_path, programs


def sources(folder: Path, programs: list[tuple[Program, EmitOptions]]) -> list[str]:
    return [str(folder / f"{options.name}.c") for _, options in programs]


def test_sanitizers_are_silent(
    written: tuple[Path, list[tuple[Program, EmitOptions]]],
) -> None:
    folder, programs = written
    (folder / "main.c").write_text(driver(programs))
    files = [str(folder / "main.c"), *sources(folder, programs)]
    command = ["gcc", "-std=c99", *SANITIZERS, "-o", str(folder / "run"), *files, "-lm"]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[:4000]
    done = subprocess.run([str(folder / "run")], capture_output=True, text=True, timeout=120)
    assert done.stdout == "finished\n" and done.stderr == "", done.stderr[:4000]


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_no_warning_with_optimisation(
    written: tuple[Path, list[tuple[Program, EmitOptions]]], compiler: str
) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    folder, programs = written
    command = [compiler, *WARNINGS, "-O2", "-c", *sources(folder, programs)]
    built = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert built.returncode == 0, built.stderr[:4000]
