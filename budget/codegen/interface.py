"""NAME.h and the functions behind it: sizes, quantisation, init, set, step, get, invoke."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from budget.codegen.c import C_TYPES, literal, shape_text
from budget.codegen.names import comment, string
from budget.codegen.options import EmitOptions
from budget.errors import UnsupportedModelError
from budget.graph import TensorType
from budget.ops import Rounding
from budget.ops.fixed_point import storage_range
from budget.plan.program import Program


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of the model at the C interface.

    Attributes:
        kind: ``input`` or ``output``.
        suffix: empty, or ``_0``, ``_1`` … where there are several.
        tensor: its name in the program.
        type: of the tensor in the arena.
        c_type: of one element at the interface.
        converts: whether the interface holds floats and the arena integers.
    """

    kind: str
    suffix: str
    tensor: str
    type: TensorType
    c_type: str
    converts: bool

    @property
    def parameter(self) -> str:
        """Name of the function's parameter."""
        return self.kind + self.suffix

    @property
    def declaration(self) -> str:
        """The parameter with its type; inputs are only read."""
        const = "const " if self.kind == "input" else ""
        return f"{const}{self.c_type} *{self.parameter}"

    @property
    def macro(self) -> str:
        """Infix of the macros about it."""
        return self.parameter.upper()


def ports(program: Program, options: EmitOptions, kind: str) -> list[Port]:
    """The model's inputs or outputs in order.

    Raises:
        UnsupportedModelError: an element type has no place at a C interface.
    """
    tensors = program.graph.inputs if kind == "input" else program.graph.outputs
    found = []
    for index, tensor in enumerate(tensors):
        type = program.types[tensor]
        if type.dtype not in C_TYPES:
            raise UnsupportedModelError(f"{kind} '{tensor}': {type.dtype.value} has no type in C")
        converts = options.io == "float" and type.is_quantized
        c_type = "float" if converts else C_TYPES[type.dtype]
        suffix = f"_{index}" if len(tensors) > 1 else ""
        found.append(Port(kind, suffix, tensor, type, c_type, converts))
    return found


def offset_of(program: Program, tensor: str) -> int | None:
    """Byte offset of a tensor in the arena; None for a constant."""
    location = program.locations.get(tensor)
    if location is None:
        return None
    return program.buffers[location.buffer].offset_bytes + location.offset_bytes


class Interface:
    """Writes the header and the public functions of one program.

    Args:
        program: planned.
        options: what the user decided.
        step_functions: name of each step's function, with the layer it stands for.
        constants: C name of the table that holds an output known beforehand, by tensor.
    """

    def __init__(
        self,
        program: Program,
        options: EmitOptions,
        step_functions: Sequence[tuple[str, str]],
        constants: dict[str, str],
    ) -> None:
        self.program, self.options = program, options
        self.step_functions, self.constants = step_functions, constants
        self.inputs = ports(program, options, "input")
        self.outputs = ports(program, options, "output")

    @property
    def arena(self) -> str:
        """C expression for the first byte of the arena."""
        return "context->memory.bytes" if self.options.arena == "caller" else "memory.bytes"

    def header(self) -> str:
        """NAME.h."""
        name, upper, program = self.options.name, self.options.upper, self.program
        lines = [
            f"/* {model_name(program)}: standalone C, see {name}.c. */",
            f"#ifndef {upper}_H",
            f"#define {upper}_H",
            "",
            "#include <stdint.h>",
            "",
            "#ifdef __cplusplus",
            'extern "C" {',
            "#endif",
            "",
            f"#define {upper}_ARENA_BYTES {max(program.arena_bytes, 1)}",
            f"#define {upper}_STEPS {len(self.step_functions)}",
            f"#define {upper}_MACS {program.cost.macs}",
            "",
        ]
        for port in (*self.inputs, *self.outputs):
            lines += [*self._macros(port), ""]
        lines += [*self._context_type(), *self._prototypes()]
        return "\n".join([*lines, "", "#ifdef __cplusplus", "}", "#endif", "", "#endif", ""])

    def functions(self) -> list[str]:
        """Lines of NAME.c that define what the header declares."""
        lines = [*self._init(), "", *self._ports(), *self._step(), "", *self._invoke()]
        return [*lines, *self._step_names()]

    def helpers(self) -> list[str]:
        """Private functions of NAME.c that the interface needs: conversions from and to float."""
        lines: list[str] = []
        for port in (*self.inputs, *self.outputs):
            text = _TO_STORED if port.kind == "input" else _TO_REAL
            body = text.replace("STORED", C_TYPES[port.type.dtype])
            if port.converts and body not in lines:
                lines += [body]
        return lines

    def storage(self) -> list[str]:
        """The arena, where it is ours."""
        if self.options.arena == "caller":
            return []
        upper = self.options.upper
        return [
            f"#ifdef {upper}_ARENA_SECTION /* a string that names, say, tightly coupled memory */",
            f"#define {upper}_ARENA __attribute__((section({upper}_ARENA_SECTION)))",
            "#else",
            f"#define {upper}_ARENA",
            "#endif",
            "",
            *_union(upper, "static union", f"memory {upper}_ARENA;"),
            "",
        ]

    def _macros(self, port: Port) -> list[str]:
        prefix = f"{self.options.upper}_{port.macro}"
        type = port.type
        lines = [
            f"/* {port.kind} {comment(port.tensor)} {type.dtype.value} {shape_text(type.shape)} */"
        ]
        lines.append(f"#define {prefix}_SIZE {type.element_count}")
        offset = offset_of(self.program, port.tensor)
        if offset is not None:
            lines.append(f"#define {prefix}_ARENA_OFFSET {offset}")
        if type.quant is not None:
            lines.append(f"#define {prefix}_SCALE {literal(float(type.quant.scale[0]), 'float')}")
            lines.append(f"#define {prefix}_ZERO_POINT ({int(type.quant.zero_point[0])})")
        return lines

    def _context_type(self) -> list[str]:
        if self.options.arena == "static":
            return []
        name = self.options.name
        return [
            "/* All that changes; one for each thing that runs the model at the same time. */",
            f"typedef struct {name}_context {{",
            *(f"    {line}" for line in _union(self.options.upper, "union", "memory;")),
            f"}} {name}_context;",
            "",
        ]

    def _signature(self, suffix: str, parameters: Sequence[str], result: str = "void") -> str:
        """A function's head; the context comes first where the caller owns the arena."""
        name = self.options.name
        given = [f"{name}_context *context"] if self.options.arena == "caller" else []
        text = ", ".join([*given, *parameters]) or "void"
        space = "" if result.endswith("*") else " "
        return f"{result}{space}{name}_{suffix}({text})"

    def _call(self, suffix: str, arguments: Sequence[str]) -> str:
        given = ["context"] if self.options.arena == "caller" else []
        return f"{self.options.name}_{suffix}({', '.join([*given, *arguments])});"

    @property
    def _copies(self) -> bool:
        return self.options.io != "arena"

    def _set_parameters(self) -> list[str]:
        return [port.declaration for port in self.inputs]

    def _get_parameters(self) -> list[str]:
        return [port.declaration for port in self.outputs]

    def _invoke_parameters(self) -> list[str]:
        return [*self._set_parameters(), *self._get_parameters()] if self._copies else []

    def _pointer_signatures(self) -> list[tuple[Port, str]]:
        found = []
        for port in (*self.inputs, *self.outputs):
            const = "const " if port.kind == "output" else ""
            result = f"{const}{port.c_type} *"
            found.append((port, self._signature(port.parameter, [], result)))
        return found

    def _prototypes(self) -> list[str]:
        upper = self.options.upper
        lines = [
            "/* Call before anything else, and again to forget all state. */",
            f"{self._signature('init', [])};",
            "",
            "/* One inference; 0 on success. */",
            f"{self._signature('invoke', self._invoke_parameters(), 'int')};",
            "",
        ]
        if self._copies:
            lines += [
                f"/* The same in pieces: set inputs, run steps 0 to {upper}_STEPS - 1 in order,",
                " * get outputs. Between steps the caller may sleep, yield or save the arena. */",
                f"{self._signature('set', self._set_parameters())};",
                f"{self._signature('step', ['int step'])};",
                f"{self._signature('get', self._get_parameters())};",
            ]
        else:
            lines += [
                "/* Where inputs and outputs lie in the arena. Write all inputs before each",
                " * inference, read the outputs before the next: steps reuse the bytes. */",
                *(f"{signature};" for _, signature in self._pointer_signatures()),
                "",
                f"/* One inference in pieces: run steps 0 to {upper}_STEPS - 1 in order. */",
                f"{self._signature('step', ['int step'])};",
            ]
        name = self.options.name
        lines += [
            "",
            f"/* Runs the inferences recorded in {name}_selftest.c; number of wrong outputs. */",
            f"int {name}_selftest(int (*put)(int));",
        ]
        if self.step_functions:
            lines += [
                "",
                f"#ifdef {upper}_STEP_NAMES /* define it for a table of the layers' names */",
                f"extern const char *const {name}_step_names[{upper}_STEPS];",
                "#endif",
            ]
        return lines

    def _init(self) -> list[str]:
        lines = [self._signature("init", []), "{"]
        program = self.program
        body = []
        for tensor in program.graph.tensors.values():
            if not tensor.is_variable or tensor.name not in program.locations:
                continue
            type = program.types[tensor.name]
            zero = 0 if type.quant is None else int(type.quant.zero_point[0])
            if zero and type.dtype.bits > 8:
                raise UnsupportedModelError(f"state '{tensor.name}' has a zero point other than 0")
            place = f"{self.arena} + {offset_of(program, tensor.name)}"
            body.append(
                f"    memset({place}, {zero}, {type.size_bytes}); /* {comment(tensor.name)} */"
            )
        if not body and self.options.arena == "caller":
            body = ["    (void)context; /* no state: every inference starts afresh */"]
        elif not body:
            body = ["    /* no state: every inference starts afresh */"]
        return [*lines, *body, "}"]

    def _ports(self) -> list[str]:
        if not self._copies:
            lines: list[str] = []
            for port, signature in self._pointer_signatures():
                lines += [signature, "{", *self._unused([self._place(port)])]
                lines += [f"    return {self._place(port)};", "}", ""]
            return lines
        lines = [self._signature("set", self._set_parameters()), "{"]
        body = [self._copy(port) for port in self.inputs]
        lines += [*self._unused(body), *body, "}", ""]
        lines += [self._signature("get", self._get_parameters()), "{"]
        body = [self._copy(port) for port in self.outputs]
        return [*lines, *self._unused(body), *body, "}", ""]

    def _unused(self, body: Sequence[str]) -> list[str]:
        if self.options.arena == "static" or any("context" in line for line in body):
            return []
        return ["    (void)context;"]

    def _place(self, port: Port) -> str:
        """Pointer to a port's elements in the arena, or to the table of a constant output."""
        if port.tensor in self.constants:
            return self.constants[port.tensor]
        place = f"{self.arena} + {offset_of(self.program, port.tensor)}"
        c_type = C_TYPES[port.type.dtype]
        const = "const " if port.kind == "output" else ""
        return place if c_type == "int8_t" else f"({const}{c_type} *)(void *)({place})"

    def _copy(self, port: Port) -> str:
        type, place = port.type, self._place(port)
        if port.converts and type.quant is not None:
            scale = literal(float(type.quant.scale[0]), "float")
            zero = int(type.quant.zero_point[0])
            stored = C_TYPES[type.dtype]
            numbers = f"{type.element_count}, {scale}, {zero}"
            if port.kind == "input":
                low, high = storage_range(type.dtype)
                return f"    to_{stored}({place}, {port.parameter}, {numbers}, {low}, {high});"
            return f"    from_{stored}({port.parameter}, {place}, {numbers});"
        if port.tensor not in self.constants:
            place = f"{self.arena} + {offset_of(self.program, port.tensor)}"
        to, source = (place, port.parameter) if port.kind == "input" else (port.parameter, place)
        return f"    memcpy({to}, {source}, {type.size_bytes});"

    def _step(self) -> list[str]:
        upper = self.options.upper
        lines = [self._signature("step", ["int step"]), "{"]
        if not self.step_functions:
            return [*lines, *self._unused([]), "    (void)step;", "}"]
        lines += [f"    {upper}_STEP_BEGIN(step);", "    switch (step) {"]
        for index, (function, _) in enumerate(self.step_functions):
            lines += [f"    case {index}:", f"        {function}({self.arena});", "        break;"]
        lines += ["    default:", "        break;", "    }", f"    {upper}_STEP_END(step);", "}"]
        return lines

    def _invoke(self) -> list[str]:
        upper = self.options.upper
        lines = [self._signature("invoke", self._invoke_parameters(), "int"), "{"]
        if self._copies:
            lines.append("    " + self._call("set", [port.parameter for port in self.inputs]))
        if self.step_functions:
            lines += [
                f"    for (int step = 0; step < {upper}_STEPS; step++) {{",
                f"        {self._call('step', ['step'])}",
                "    }",
            ]
        elif not self._copies:
            lines += self._unused([])
        if self._copies:
            lines.append("    " + self._call("get", [port.parameter for port in self.outputs]))
        return [*lines, "    return 0;", "}"]

    def _step_names(self) -> list[str]:
        if not self.step_functions:
            return []
        name, upper = self.options.name, self.options.upper
        lines = ["", f"#ifdef {upper}_STEP_NAMES"]
        lines += [f"const char *const {name}_step_names[{upper}_STEPS] = {{"]
        lines += [f"    {string(layer)}," for _, layer in self.step_functions]
        return [*lines, "};", "#endif"]


def model_name(program: Program) -> str:
    """The model's name, harmless in a comment."""
    return comment(program.graph.source.name or program.graph.name or "a model")


def rounding_sentence(rounding: Rounding) -> str:
    """Which of TensorFlow Lite's families of integer kernels the output equals."""
    if Rounding(rounding) is Rounding.TFLITE:
        return "Integers round as TensorFlow Lite's reference kernels do on a host."
    return "Integers round as TensorFlow Lite Micro's kernels do."


def _union(upper: str, head: str, tail: str) -> list[str]:
    """The arena as bytes, aligned for every element type."""
    return [
        f"{head} {{",
        f"    int8_t bytes[{upper}_ARENA_BYTES];",
        "    int64_t align_integers;",
        "    float align_reals;",
        f"}} {tail}",
    ]


_TO_STORED = """\
/* Real numbers to stored integers as TensorFlow Lite does it: to nearest, halves away from 0. */
static void to_STORED(
    STORED *y, const float *x, int32_t count, float scale, int32_t zero, int32_t low, int32_t high)
{
    for (int32_t i = 0; i < count; i++) {
        const float ratio = x[i] / scale;
        int32_t value = zero; /* also of what is not a number */
        if (ratio >= 65536.0f) {
            value = high;
        } else if (ratio <= -65536.0f) {
            value = low;
        } else if (ratio > -65536.0f) {
            int32_t whole = (int32_t)ratio;
            const float rest = ratio - (float)whole;
            whole += (rest >= 0.5f) - (rest <= -0.5f);
            value = whole + zero;
        }
        y[i] = (STORED)(value < low ? low : value > high ? high : value);
    }
}
"""
_TO_REAL = """\
/* Stored integers to real numbers. */
static void from_STORED(float *y, const STORED *x, int32_t count, float scale, int32_t zero)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = scale * (float)(x[i] - zero);
    }
}
"""
