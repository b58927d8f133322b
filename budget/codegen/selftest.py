"""NAME_selftest.c: recorded inputs, and the outputs that the model's integer meaning gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from budget.codegen.c import Table, literal
from budget.codegen.interface import Interface, Port
from budget.codegen.names import string
from budget.codegen.options import EmitOptions
from budget.graph import Array, Graph
from budget.ops.fixed_point import storage_range
from budget.ops.interpreter import run

_MOST_EXAMPLES = 4
_RECORD_BYTES = 1 << 16
_FLOAT_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Example:
    """One inference.

    Attributes:
        inputs: by tensor name, as the interface takes them.
        outputs: by tensor name, as the interface gives them.
    """

    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]


def record(
    graph: Graph,
    options: EmitOptions,
    interface: Interface,
    given: Sequence[Mapping[str, Array]] = (),
) -> list[Example]:
    """Examples run by the interpreter, each from the state that init leaves.

    Args:
        graph: to execute.
        options: rounding and element types at the interface.
        interface: the ports.
        given: inputs by tensor name, as the model takes them; seeded random ones if empty.
    """
    ports = [*interface.inputs, *interface.outputs]
    size = sum(port.type.size_bytes * (4 if port.converts else 1) for port in ports)
    count = max(1, min(_MOST_EXAMPLES, _RECORD_BYTES // max(size, 1)))
    if given:
        count = min(count, len(given))
    examples = []
    for index in range(count):
        shown: dict[str, Array] = {}
        stored: dict[str, Array] = {}
        generator = np.random.default_rng(index)
        for port in interface.inputs:
            value = given[index][port.tensor] if given else _random(port, generator)
            stored[port.tensor] = value
            shown[port.tensor] = value
            if port.converts:
                shown[port.tensor] = _real(port, value)
        results = run(graph, stored, rounding=options.rounding)
        outputs = {
            port.tensor: _real(port, results[port.tensor])
            if port.converts
            else results[port.tensor]
            for port in interface.outputs
        }
        examples.append(Example(shown, outputs))
    return examples


def _random(port: Port, generator: np.random.Generator) -> Array:
    shape, dtype = port.type.shape, port.type.dtype
    if dtype.is_float:
        return generator.normal(0, 1, shape).astype(dtype.numpy)
    if dtype.value == "bool":
        return generator.integers(0, 2, shape).astype(dtype.numpy)
    if not port.type.is_quantized:
        # an index or a count: what it may be is the model's secret, zero always may
        return np.zeros(shape, dtype.numpy)
    low, high = storage_range(dtype)
    return generator.integers(low, high, shape, endpoint=True).astype(dtype.numpy)


def _real(port: Port, stored: Array) -> Array:
    """Stored integers as the floats that they stand for."""
    quant = port.type.quant
    if quant is None:
        return stored
    steps = (stored.astype(np.int64) - quant.zero_point[0]).astype(np.float32)
    return np.asarray(np.float32(quant.scale[0]) * steps)


def render_selftest(options: EmitOptions, interface: Interface, examples: Sequence[Example]) -> str:
    """NAME_selftest.c."""
    name, upper = options.name, options.upper
    lines = [
        f"/* Runs {len(examples)} recorded inferences of {name} and compares every output.",
        f" * int {name}_selftest(int (*put)(int)): wrong elements, 0 if all is well; tells the",
        " * same as text through put (putchar, or what sends a character; NULL for silence).",
        f" * Compiled with {upper}_SELFTEST_MAIN it is a program of its own. */",
        f'#include "{name}.h"',
        "#include <stddef.h>",
        "#include <string.h>",
        "",
        *_tables(interface, examples),
        _WORDS,
        *_checks(interface),
    ]
    if options.arena == "caller":
        lines += [f"static {name}_context context;", ""]
    lines += _body(options, interface, examples)
    lines += [
        "",
        f"#ifdef {upper}_SELFTEST_MAIN",
        "#include <stdio.h>",
        "",
        "int main(void)",
        "{",
        f"    return {name}_selftest(putchar) == 0 ? 0 : 1;",
        "}",
        "#endif",
        "",
    ]
    return "\n".join(lines)


def _tables(interface: Interface, examples: Sequence[Example]) -> list[str]:
    lines: list[str] = []
    for index, example in enumerate(examples):
        for port in (*interface.inputs, *interface.outputs):
            values = (example.inputs if port.kind == "input" else example.outputs)[port.tensor]
            table = Table(f"{port.parameter}_of_{index}", port.c_type, values, f"example {index}")
            lines += [_finite(table).render(), ""]
    if interface.options.io != "arena":
        for port in interface.outputs:
            lines += [f"static {port.c_type} {_result(port)}[{port.type.element_count}];", ""]
    return lines


def _result(port: Port) -> str:
    return f"{port.parameter}_found"


def _finite(table: Table) -> Table:
    if table.c_type != "float":
        return table
    return replace(table, values=np.nan_to_num(table.values))


def _checks(interface: Interface) -> list[str]:
    """One comparing function for each element type among the outputs."""
    lines = []
    for c_type in sorted({port.c_type for port in interface.outputs}):
        lines.append((_CHECK_REAL if c_type == "float" else _CHECK_INTEGER).replace("TYPE", c_type))
    return lines


def _body(options: EmitOptions, interface: Interface, examples: Sequence[Example]) -> list[str]:
    name = options.name
    context = ["&context"] if options.arena == "caller" else []
    lines = [f"int {name}_selftest(int (*put)(int))", "{", "    int wrong = 0;"]
    for index, example in enumerate(examples):
        lines += [f"    {name}_init({', '.join(context)});"]
        arguments = list(context)
        if options.io == "arena":
            for port in interface.inputs:
                pointer = f"{name}_{port.parameter}({', '.join(context)})"
                lines.append(
                    f"    memcpy({pointer}, {port.parameter}_of_{index}, "
                    f"sizeof {port.parameter}_of_{index});"
                )
        else:
            arguments += [f"{port.parameter}_of_{index}" for port in interface.inputs]
            arguments += [_result(port) for port in interface.outputs]
        lines += [
            f"    if ({name}_invoke({', '.join(arguments)}) != 0) {{",
            "        wrong++;",
            "    }",
        ]
        for number, port in enumerate(interface.outputs):
            found = _result(port)
            if options.io == "arena":
                found = f"{name}_{port.parameter}({', '.join(context)})"
            tolerance = ""
            if port.c_type == "float":
                tolerance = ", " + _tolerance(port, example.outputs[port.tensor])
            lines.append(
                f"    wrong += check_{port.c_type}({found}, {port.parameter}_of_{index}, "
                f"{port.type.element_count}{tolerance}, {index}, {number}, put);"
            )
    lines += [
        '    words(wrong == 0 ? "PASS " : "FAIL ", put);',
        f"    words({string(name)}, put);",
        '    words("\\n", put);',
        "    return wrong;",
        "}",
    ]
    return lines


def _tolerance(port: Port, expected: Array) -> str:
    """Exact where integers stand behind the floats; else for machines that fuse multiply-adds."""
    if port.converts:
        return "0.0f"
    finite = np.abs(np.nan_to_num(expected.astype(np.float64)))
    return literal(_FLOAT_TOLERANCE * max(float(finite.max(initial=0.0)), 1e-3), "float")


_WORDS = """\
static void words(const char *text, int (*put)(int))
{
    while (put != NULL && *text != '\\0') {
        (void)put((unsigned char)*text++);
    }
}

static void number(long value, int (*put)(int))
{
    if (put == NULL) {
        return;
    }
    if (value >= 10) {
        long scale = 10;
        while (value / scale >= 10) {
            scale *= 10;
        }
        for (; scale > 1; scale /= 10) {
            (void)put('0' + (int)(value / scale % 10));
        }
    }
    (void)put('0' + (int)(value % 10));
}

static void report(int example, int output, long element, int (*put)(int))
{
    words("example ", put);
    number(example, put);
    words(", output ", put);
    number(output, put);
    words(": element ", put);
    number(element, put);
    words(" is wrong\\n", put);
}
"""
_CHECK_INTEGER = """\
static int check_TYPE(
    const TYPE *found, const TYPE *expected, long count, int example, int output, int (*put)(int))
{
    int wrong = 0;
    for (long i = 0; i < count; i++) {
        if (found[i] != expected[i]) {
            if (wrong++ == 0) {
                report(example, output, i, put);
            }
        }
    }
    return wrong;
}
"""
_CHECK_REAL = """\
static int check_TYPE(
    const TYPE *found, const TYPE *expected, long count, TYPE tolerance, int example, int output,
    int (*put)(int))
{
    int wrong = 0;
    for (long i = 0; i < count; i++) {
        const TYPE difference = found[i] - expected[i];
        if (!(difference <= tolerance && difference >= -tolerance)) {
            if (wrong++ == 0) {
                report(example, output, i, put);
            }
        }
    }
    return wrong;
}
"""
