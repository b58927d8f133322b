"""NAME_front_end_selftest.c: sound that both sides make, and what must be heard in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from budget.codegen.c import Table
from budget.codegen.interface import Interface
from budget.codegen.options import EmitOptions
from budget.features import FeatureSpec, extract
from budget.graph import Array, Graph
from budget.ops.interpreter import run

_EXTRA_FRAMES = 7
_SEED = 20240607


@dataclass(frozen=True)
class Heard:
    """What the front end and the model make of the test's sound.

    Attributes:
        samples: of the sound.
        features: int8, the last clip's.
        outputs: of the model, in order; none of those that are real numbers.
    """

    samples: int
    features: NDArray[np.int8]
    outputs: Sequence[Array | None]


def made_sound(samples: int, step: int) -> NDArray[np.int16]:
    """Noise of a linear congruential generator, at a level that changes with every frame."""
    state, found = _SEED, np.empty(samples, np.int16)
    for i in range(samples):
        state = (state * 1103515245 + 12345) & 0xFFFFFFFF
        found[i] = ((state >> 16) - 32768) >> (i // step % 8)
    return found


def hear(spec: FeatureSpec, options: EmitOptions, interface: Interface, graph: Graph) -> Heard:
    """Runs the test's sound with numpy.

    Args:
        spec: the front end.
        options: rounding and memory of the model.
        interface: its ports.
        graph: to execute.
    """
    clip = spec.length_samples + spec.step_samples * (spec.frames - 1)
    skipped = spec.step_samples * _EXTRA_FRAMES
    audio = made_sound(clip + skipped, spec.step_samples)
    features = extract(replace(spec, clip_samples=clip), audio[skipped:])
    port = interface.inputs[0]
    results = run(
        graph, {port.tensor: features.reshape(port.type.shape)}, rounding=options.rounding
    )
    outputs = [
        None if port.type.dtype.is_float else results[port.tensor] for port in interface.outputs
    ]
    return Heard(clip + skipped, features, outputs)


def render_front_end_test(
    spec: FeatureSpec, options: EmitOptions, interface: Interface, heard: Heard
) -> str:
    """NAME_front_end_selftest.c."""
    name, upper, owned = options.name, options.upper, options.arena == "caller"
    tables = [Table("features_of_0", "int8_t", heard.features, "of the last frames")]
    found, places, checks = [], [], []
    for port, values in zip(interface.outputs, heard.outputs):
        place = f"{port.parameter}_found"
        if options.io != "arena":
            found.append(f"static {port.c_type} {place}[{port.type.element_count}];")
            places.append(place)
        else:
            place = f"{name}_{port.parameter}({'&context' if owned else ''})"
        if values is not None:
            table = Table(f"{port.parameter}_of_0", port.c_type, values, "the model's answer")
            tables.append(table)
            checks.append(f"    wrong += memcmp({place}, {table.name}, sizeof {table.name}) != 0;")
    hearing, both = (["&hearing"], ["&context", "&hearing"]) if owned else ([], [])
    answer = f"{name}_answer({', '.join([*both, *places])})"
    features = f"{name}_features({', '.join(hearing)})"
    lines = [
        f"/* {name} hears sound that is made here, in uneven pieces, and what it makes of it is",
        " * compared with what was recorded. A program of its own on a machine with a console:",
        f" *   cc -D{upper}_FRONT_END_SELFTEST_MAIN *.c -lm */",
        "#include <string.h>",
        f'#include "{name}_front_end.h"',
        "",
        "\n\n".join(table.render("static") for table in tables),
        "",
        *found,
        *([f"static {name}_context context;", f"static {name}_hearing hearing;"] * owned),
        "",
        f"int {name}_front_end_selftest(void)",
        "{",
        "    int16_t piece[61];",
        f"    uint32_t state = {_SEED}u;",
        "    int32_t frames = 0;",
        "    int wrong = 0;",
        f"    {name}_init({'&context' if owned else ''});",
        f"    {name}_listen_init({', '.join(hearing)});",
        f"    wrong += {answer} != 1; /* nothing heard yet */",
        f"    for (int32_t sample = 0; sample < {heard.samples};) {{",
        "        int32_t count = 0;",
        f"        for (int32_t most = 1 + sample % 61; count < most && sample < {heard.samples};",
        "             count++, sample++) {",
        "            state = state * 1103515245u + 12345u;",
        "            piece[count] = (int16_t)(((int32_t)(state >> 16) - 32768)",
        f"                >> (sample / {spec.step_samples} % 8));",
        "        }",
        f"        frames += {name}_listen({', '.join([*hearing, 'piece', 'count'])});",
        "    }",
        f"    wrong += frames != {spec.frames + _EXTRA_FRAMES};",
        "    for (uint32_t i = 0; i < sizeof features_of_0; i++) {",
        f"        wrong += {features}[i] != features_of_0[i];",
        "    }",
        f"    wrong += {answer} != 0;",
        *checks,
        "    return wrong;",
        "}",
        "",
        f"#ifdef {upper}_FRONT_END_SELFTEST_MAIN",
        "#include <stdio.h>",
        "",
        "int main(void)",
        "{",
        f"    const int wrong = {name}_front_end_selftest();",
        f'    printf("%s {name} front end\\n", wrong == 0 ? "PASS" : "FAIL");',
        "    return wrong == 0 ? 0 : 1;",
        "}",
        "#endif",
        "",
    ]
    return "\n".join(lines)
