"""NAME.c, NAME_kernels.h and NAME_weights.h of a program."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from functools import cached_property

from budget.codegen import kernels, sharing
from budget.codegen.c import C_TYPES, Table, shape_text
from budget.codegen.context import StepCode, StepContext
from budget.codegen.interface import Interface, model_name, offset_of, rounding_sentence
from budget.codegen.names import comment, layer_label
from budget.codegen.options import EmitOptions
from budget.codegen.steps import can_write, writer
from budget.errors import UnsupportedModelError
from budget.plan.program import Program, Role, Step


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

    @cached_property
    def tables(self) -> list[Table]:
        """Every constant array, in the order of the steps; constant outputs last."""
        tables = [table for _, code in self.steps for table in code.tables]
        return tables + [table for _, table in self._constant_outputs]

    @cached_property
    def kernel_files(self) -> list[str]:
        """Kernel files needed, each after what it needs."""
        return kernels.in_order(name for _, code in self.steps for name in code.kernels)

    @cached_property
    def sharing(self) -> sharing.Sharing:
        """Which steps have a kernel of their own and which share one."""
        return sharing.decide(self.steps, self.options.optimise)

    @cached_property
    def interface(self) -> Interface:
        """Writer of the public functions."""
        return Interface(
            self.program,
            self.options,
            [(function_name(step), layer_label(step.layer)) for step, _ in self.steps],
            {tensor: table.name for tensor, table in self._constant_outputs},
        )

    @cached_property
    def _constant_outputs(self) -> list[tuple[str, Table]]:
        found = []
        for index, tensor in enumerate(dict.fromkeys(self.program.graph.outputs)):
            data = self.program.graph.constant(tensor)
            if data is not None:
                type = self.program.types[tensor]
                text = f"output {comment(tensor)}: {shape_text(type.shape)}"
                found.append((tensor, Table(f"output_{index}", C_TYPES[type.dtype], data, text)))
        return found


def write_steps(program: Program, options: EmitOptions) -> Source:
    """Writes every step.

    Raises:
        UnsupportedModelError: some cannot be written; all of them are listed.
    """
    written: list[tuple[Step, StepCode]] = []
    refused: list[str] = []
    known: dict[tuple[str, str, bytes], str] = {}
    for step in program.steps:
        if not step.kernel:
            continue
        if not can_write(step.node.op):
            refused.append(f"{step.node.op} '{step.layer}': this operator cannot be emitted yet")
            continue
        try:
            context = StepContext(program, step, options, known=known)
            written.append((step, writer(step.node.op, step.variant)(context)))
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
    """NAME.h: sizes, quantisation and the public functions."""
    return source.interface.header()


def render_source(source: Source) -> str:
    """NAME.c: the arena, one function for each step in order, and the interface."""
    program, options = source.program, source.options
    name, upper = options.name, options.upper
    lines = [
        f"/* {model_name(program)}: {len(source.steps)} steps, {program.cost.macs} MAC,",
        f" * {sum(table.size_bytes for table in source.tables)} B of constants, "
        f"arena {program.arena_bytes} B.",
        f" * {rounding_sentence(options.rounding)}",
        f" * Written by budget from a model with sha256 {program.graph.source.sha256 or '(none)'};",
        f" * do not edit. Layers, offsets and quantisation are in {name}.json. */",
        "#include <stdint.h>",
        "#include <string.h>",
        "",
        f'#include "{name}.h"',
        "",
        f"#ifdef {upper}_CONFIG /* a header of yours, such as one that defines the hooks */",
        f"#include {upper}_CONFIG",
        "#endif",
        f"#ifndef {upper}_STEP_BEGIN /* called with the number of each step about to run */",
        f"#define {upper}_STEP_BEGIN(step) ((void)(step))",
        "#endif",
        f"#ifndef {upper}_STEP_END /* and of each that has run */",
        f"#define {upper}_STEP_END(step) ((void)(step))",
        "#endif",
        "",
        f'#include "{name}_kernels.h"',
        f'#include "{name}_weights.h"',
        "",
        *source.interface.storage(),
    ]
    for step, code in source.steps:
        lines += [*_render_step(source, step, code), ""]
    lines += [*source.interface.helpers(), *source.interface.functions()]
    return "\n".join(lines) + "\n"


def render_kernels(source: Source) -> str:
    """NAME_kernels.h: only the kernels that this model uses."""
    upper = source.options.upper
    text = kernels.bundle(name for _, code in source.steps for name in code.kernels)
    body = source.sharing.apply(text, upper)
    functions = dict.fromkeys(text for _, code in source.steps for text in code.functions)
    lines = [
        f"#ifndef {upper}_KERNELS_H",
        f"#define {upper}_KERNELS_H",
        "",
        "#include <stdint.h>",
        "",
        "/* A step is a function of its own, so that a debugger shows it and its stack is its own;",
        " * a shared kernel is one copy for several steps, a specialised one is compiled into the",
        " * step that calls it, with that step's shapes as literals. */",
        "#if defined(__GNUC__) || defined(__clang__)",
        "/* gcc 12 at -O1 takes a step for one that stores nothing where the induction variables",
        " * of its loops hide the address, and leaves out the call: it may not look into steps. */",
        "#if !defined(__clang__) && __GNUC__ >= 8",
        f"#define {upper}_STEP __attribute__((noipa))",
        f"#define {upper}_SHARED __attribute__((noipa))",
        "#else",
        f"#define {upper}_STEP __attribute__((noinline))",
        f"#define {upper}_SHARED __attribute__((noinline))",
        "#endif",
        f"#define {upper}_SPECIALISED inline __attribute__((always_inline))",
        "#else",
        f"#define {upper}_STEP",
        f"#define {upper}_SHARED",
        f"#define {upper}_SPECIALISED inline",
        "#endif",
        "",
        body,
        *(f"{text}\n" for text in functions),
        "#endif",
        "",
    ]
    return "\n".join(lines)


def render_weights(source: Source) -> dict[str, str]:
    """NAME_weights.h: every constant, in the order in which the steps use them.

    With the option ``weights="source"`` it only declares them and NAME_weights.c defines them.
    """
    name, upper = source.options.name, source.options.upper
    macro = f"{upper}_WEIGHTS"
    head = [
        f"#ifndef {upper}_WEIGHTS_H",
        f"#define {upper}_WEIGHTS_H",
        "",
        "#include <stdint.h>",
        "",
        f"#ifdef {macro}_SECTION /* a string that names where the linker shall put constants */",
        f"#define {macro} __attribute__((section({macro}_SECTION)))",
        "#else",
        f"#define {macro}",
        "#endif",
        "",
    ]
    if source.options.weights == "header":
        body = "\n\n".join(table.render("static", macro) for table in source.tables)
        return {f"{name}_weights.h": "\n".join([*head, body, "", "#endif", ""])}
    # other files see these names: the model's own name keeps them apart
    renames = [f"#define {table.name} {name}_{table.name}" for table in source.tables]
    declared = [f"{table.declare('extern')};" for table in source.tables]
    header = "\n".join([*head, *renames, "", *declared, "", "#endif", ""])
    defined = "\n\n".join(table.render("", macro) for table in source.tables)
    text = f'/* Constants of {name}. */\n#include "{name}_weights.h"\n\n{defined}\n'
    return {f"{name}_weights.h": header, f"{name}_weights.c": text}


def _render_step(source: Source, step: Step, code: StepCode) -> list[str]:
    program, node, upper = source.program, step.node, source.options.upper
    statements = source.sharing.rewrite(step, code.statements)
    lines = [
        f"/* {step.index:02d} {node.op}: {comment(layer_label(step.layer))}",
        f" * {_shapes(program, step)}; {step.cost.macs} MAC */",
        f"static {upper}_STEP void {function_name(step)}(int8_t *arena)",
        "{",
    ]
    text = "\n".join(statements)
    for index, tensor in enumerate(node.inputs):
        if re.search(rf"\bx{index}\b", text) and tensor in program.locations:
            lines.append("    " + _local(program, tensor, f"x{index}", is_input=True))
    for index, tensor in enumerate(node.outputs):
        if re.search(rf"\by{index}\b", text):
            lines.append("    " + _local(program, tensor, f"y{index}", is_input=False))
    if step.scratch_bytes and re.search(r"\bs\b", text):
        lines.append(
            f"    int8_t *s = arena + {_scratch_offset(program, step)}; "
            f"/* scratch, {step.scratch_bytes} B */"
        )
    return [*lines, *(row for text in statements for row in _wrapped(text)), "}"]


def _wrapped(statement: str) -> list[str]:
    """An indented statement, in rows of at most 100 characters where it can be broken."""
    if "\n" in statement:
        return [f"    {statement}"]
    indent = " " * (len(statement) - len(statement.lstrip()) + 4)
    return textwrap.wrap(
        statement,
        100,
        initial_indent=indent,
        subsequent_indent=f"{indent}    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _shapes(program: Program, step: Step) -> str:
    """``[1][25][5][64], [64][1][1][64] -> [1][25][5][64]``."""
    inputs = [shape_text(program.types[name].shape) for name in step.node.present_inputs]
    outputs = [shape_text(program.types[name].shape) for name in step.node.outputs]
    return f"{', '.join(inputs)} -> {', '.join(outputs)}"


def _scratch_offset(program: Program, step: Step) -> int:
    """Where the planner put the step's scratch: it lives during that step only."""
    return next(
        buffer.offset_bytes
        for buffer in program.buffers.values()
        if buffer.role is Role.SCRATCH and buffer.first_step == step.index
    )


def _local(program: Program, tensor: str, local: str, *, is_input: bool) -> str:
    type = program.types[tensor]
    c_type = C_TYPES[type.dtype]
    const = "const " if is_input else ""
    place = f"arena + {offset_of(program, tensor)}"
    if c_type != "int8_t":
        place = f"({const}{c_type} *)(void *)({place})"
    return f"{const}{c_type} *{local} = {place}; /* {shape_text(type.shape)} */"
