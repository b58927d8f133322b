"""NAME.h, NAME.c, NAME_kernels.h and NAME_weights.h of a program."""

from __future__ import annotations

from dataclasses import dataclass

from budget.codegen import kernels
from budget.codegen.c import C_TYPES, Table, shape_text
from budget.codegen.context import StepCode, StepContext
from budget.codegen.names import comment
from budget.codegen.options import EmitOptions
from budget.codegen.steps import can_write, writer
from budget.errors import UnsupportedModelError
from budget.plan.program import Program, Step


@dataclass(frozen=True)
class Source:
    """The written steps of a program.

    Attributes:
        program: that they come from.
        options: what the user decided.
        steps: step and its code, for the steps that run anything.
    """

    program: Program
    options: EmitOptions
    steps: tuple[tuple[Step, StepCode], ...]

    @property
    def tables(self) -> list[Table]:
        """Every constant array, in the order of the steps."""
        return [table for _, code in self.steps for table in code.tables]

    @property
    def kernel_files(self) -> list[str]:
        """Kernel files needed, each after what it needs."""
        return kernels.in_order(name for _, code in self.steps for name in code.kernels)


def write_steps(program: Program, options: EmitOptions) -> Source:
    """Writes every step.

    Raises:
        UnsupportedModelError: some cannot be written; all of them are listed.
    """
    written: list[tuple[Step, StepCode]] = []
    refused: list[str] = []
    for step in program.steps:
        if not step.kernel:
            continue
        if not can_write(step.node.op):
            refused.append(f"{step.node.op} '{step.layer}': this operator cannot be emitted yet")
            continue
        try:
            written.append((step, writer(step.node.op)(StepContext(program, step, options))))
        except UnsupportedModelError as error:
            refused.append(error.what)
    if refused:
        raise UnsupportedModelError(
            "cannot be emitted: " + "; ".join(refused),
            where=program.graph.source.name or program.graph.name,
            hint="'budget ops' shows which operators and element types can be",
        )
    return Source(program, options, tuple(written))


def function_name(step: Step) -> str:
    """Name of the step's function, such as ``step_03_conv_2d``."""
    return f"step_{step.index:02d}_{step.node.op}"


def render_header(source: Source) -> str:
    """NAME.h: sizes, quantisation and the three functions."""
    name, program = source.options.name, source.program
    upper = name.upper()
    lines = [
        f"/* {comment(program.graph.source.name or program.graph.name)}: see {name}.c */",
        f"#ifndef {upper}_H",
        f"#define {upper}_H",
        "",
        "#include <stdint.h>",
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        f"#define {upper}_ARENA_BYTES {program.arena_bytes}",
        f"#define {upper}_STEPS {len(source.steps)}",
    ]
    for kind, names in (("INPUT", program.graph.inputs), ("OUTPUT", program.graph.outputs)):
        for index, tensor in enumerate(names):
            type = program.types[tensor]
            prefix = f"{upper}_{kind}" + (f"_{index}" if len(names) > 1 else "")
            lines.append(f"#define {prefix}_SIZE {type.element_count}")
            if type.quant is not None:
                lines.append(f"#define {prefix}_SCALE {float(type.quant.scale[0]):.9g}f")
                lines.append(f"#define {prefix}_ZERO_POINT ({int(type.quant.zero_point[0])})")
    arguments = ", ".join([*_pointers(source, "input"), *_pointers(source, "output")])
    lines += [
        "",
        "/* Call once before anything else, and again to forget all state. */",
        f"void {name}_init(void);",
        "",
        "/* One inference; 0 on success. */",
        f"int {name}_invoke({arguments});",
        "",
        "/* The same in pieces: set inputs, run steps 0 to STEPS - 1 in order, get outputs. */",
        f"void {name}_set({', '.join(_pointers(source, 'input'))});",
        f"void {name}_step(int step);",
        f"void {name}_get({', '.join(_pointers(source, 'output'))});",
        "",
        "#ifdef __cplusplus",
        "}",
        "#endif",
        "",
        "#endif",
        "",
    ]
    return "\n".join(lines)


def render_source(source: Source) -> str:
    """NAME.c: the arena, one function for each step in order, and the interface."""
    name, program = source.options.name, source.program
    cost = program.cost
    upper = name.upper()
    lines = [
        f"/* {comment(program.graph.source.name or program.graph.name)}: "
        f"{len(source.steps)} steps, {cost.macs} MAC, {program.weight_bytes} B of weights, "
        f"arena {program.arena_bytes} B.",
        f" * Written by budget from a model with sha256 {program.graph.source.sha256 or '(none)'};",
        f" * do not edit. Layers, offsets and quantisation are in {name}.json. */",
        "#include <stdint.h>",
        "#include <string.h>",
        "",
        f'#include "{name}.h"',
        f'#include "{name}_kernels.h"',
        f'#include "{name}_weights.h"',
        "",
        "static union {",
        f"    int8_t bytes[{upper}_ARENA_BYTES];",
        "    int32_t align_words;",
        "    int64_t align_pairs;",
        "} memory;",
        "",
    ]
    for step, code in source.steps:
        lines += [_render_step(source, step, code), ""]
    lines += _interface(source)
    return "\n".join(lines) + "\n"


def render_kernels(source: Source) -> str:
    """NAME_kernels.h: only the kernels that this model uses."""
    guard = f"{source.options.name.upper()}_KERNELS_H"
    body = kernels.bundle(name for _, code in source.steps for name in code.kernels)
    return f"#ifndef {guard}\n#define {guard}\n\n#include <stdint.h>\n\n{body}\n#endif\n"


def render_weights(source: Source) -> str:
    """NAME_weights.h: every constant, in the order in which the steps use them."""
    guard = f"{source.options.name.upper()}_WEIGHTS_H"
    body = "\n\n".join(table.render() for table in source.tables)
    return f"#ifndef {guard}\n#define {guard}\n\n#include <stdint.h>\n\n{body}\n\n#endif\n"


def arena_offset(program: Program, tensor: str) -> int:
    """Byte offset of a tensor in the arena."""
    location = program.locations[tensor]
    return program.buffers[location.buffer].offset_bytes + location.offset_bytes


def _render_step(source: Source, step: Step, code: StepCode) -> str:
    program, node = source.program, step.node
    lines = [
        f"/* {step.index:02d} {node.op} {comment(step.layer)}; {step.cost.macs} MAC */",
        f"static void {function_name(step)}(int8_t *arena)",
        "{",
    ]
    for index, tensor in enumerate(node.inputs):
        if tensor and program.graph.constant(tensor) is None:
            lines.append("    " + _local(program, tensor, f"x{index}", is_input=True))
    for index, tensor in enumerate(node.outputs):
        lines.append("    " + _local(program, tensor, f"y{index}", is_input=False))
    if step.scratch_bytes:
        offset = program.buffers[f"scratch@{step.index}"].offset_bytes
        lines.append(f"    int8_t *s = arena + {offset}; /* scratch, {step.scratch_bytes} B */")
    lines += [f"    {statement}" for statement in code.statements]
    lines.append("}")
    return "\n".join(lines)


def _local(program: Program, tensor: str, local: str, *, is_input: bool) -> str:
    type = program.types[tensor]
    c_type = C_TYPES[type.dtype]
    const = "const " if is_input else ""
    place = f"arena + {arena_offset(program, tensor)}"
    if c_type != "int8_t":
        place = f"({const}{c_type} *)(void *)({place})"
    return f"{const}{c_type} *{local} = {place}; /* {shape_text(type.shape)} */"


def _pointers(source: Source, kind: str) -> list[str]:
    graph = source.program.graph
    names = graph.inputs if kind == "input" else graph.outputs
    const = "const " if kind == "input" else ""
    return [
        f"{const}{C_TYPES[source.program.types[tensor].dtype]} *{kind}"
        + (str(index) if len(names) > 1 else "")
        for index, tensor in enumerate(names)
    ]


def _interface(source: Source) -> list[str]:
    name, program = source.options.name, source.program
    upper = name.upper()
    inputs, outputs = _pointers(source, "input"), _pointers(source, "output")
    lines = [f"void {name}_init(void)", "{", "    memset(&memory, 0, sizeof memory);", "}", ""]
    lines += [f"void {name}_set({', '.join(inputs)})", "{"]
    lines += _copies(program, program.graph.inputs, inputs, to_arena=True)
    lines += ["}", "", f"void {name}_get({', '.join(outputs)})", "{"]
    lines += _copies(program, program.graph.outputs, outputs, to_arena=False)
    lines += ["}", "", f"void {name}_step(int step)", "{", "    switch (step) {"]
    for index, (step, _) in enumerate(source.steps):
        lines += [
            f"    case {index}:",
            f"        {function_name(step)}(memory.bytes);",
            "        break;",
        ]
    lines += ["    default:", "        break;", "    }", "}", ""]
    names_in = [pointer.rpartition("*")[2] for pointer in inputs]
    names_out = [pointer.rpartition("*")[2] for pointer in outputs]
    lines += [
        f"int {name}_invoke({', '.join([*inputs, *outputs])})",
        "{",
        f"    {name}_set({', '.join(names_in)});",
        f"    for (int step = 0; step < {upper}_STEPS; step++) {{",
        f"        {name}_step(step);",
        "    }",
        f"    {name}_get({', '.join(names_out)});",
        "    return 0;",
        "}",
    ]
    return lines


def _copies(
    program: Program, tensors: tuple[str, ...], pointers: list[str], *, to_arena: bool
) -> list[str]:
    lines = []
    for tensor, pointer in zip(tensors, pointers):
        local = pointer.rpartition("*")[2]
        size = program.types[tensor].size_bytes
        place = f"memory.bytes + {arena_offset(program, tensor)}"
        target, origin = (place, local) if to_arena else (local, place)
        lines.append(f"    memcpy({target}, {origin}, {size});")
    return lines
