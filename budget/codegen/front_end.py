"""NAME_front_end.h and .c: from samples to the model's answer, as C.

The stages are the kernels in kernels/front_end.h; here are their tables, the state that stays
between calls, and the functions that a caller sees. The numbers are those of
`budget.features.extract`, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from budget.codegen import kernels
from budget.codegen.c import Table
from budget.codegen.front_end_test import hear, render_front_end_test
from budget.codegen.interface import Interface
from budget.codegen.names import comment
from budget.codegen.options import EmitOptions
from budget.errors import UsageError
from budget.features import FeatureSpec, Named, require_match
from budget.graph import Graph


@dataclass(frozen=True)
class FrontEnd:
    """A front end written for one model.

    Attributes:
        named: the specification and where it is written.
        options: names and interface of the model.
        interface: the model's own functions.
    """

    named: Named
    options: EmitOptions
    interface: Interface

    def __post_init__(self) -> None:
        require_match(self.spec, self.interface.program.graph)
        if self.options.io == "float":
            raise UsageError(
                "a front end makes int8 features, the interface takes floats",
                where="--io",
                hint="--io model or --io arena",
            )

    @property
    def spec(self) -> FeatureSpec:
        """What the front end computes."""
        return self.named.spec

    @cached_property
    def tables(self) -> list[Table]:
        """Constants in flash."""
        spec = self.spec
        spans, weights = spec.spans
        cosines, sines = spec.twiddles
        found = [
            Table("window", "int16_t", spec.window_q15, f"{spec.window} window, Q15"),
            Table("twiddle_cosines", "int16_t", cosines, "Q14"),
            Table("twiddle_sines", "int16_t", sines, "negated, Q14"),
            Table("mel_spans", "uint16_t", spans, "first bin and number of bins of each filter"),
            Table("mel_weights", "int16_t", weights, "Q8, filter after filter"),
            Table("logarithms", "int32_t", spec.logarithms, "log2(1 + i / 32), Q16"),
        ]
        if spec.transform != "none":
            text = f"DCT-II, {spec.transform}, Q14: [{spec.coefficients}][{spec.mel_bands}]"
            found.append(Table("dct_cosines", "int16_t", spec.cosines, text))
        found += [
            Table("offsets", "int32_t", np.array(spec.offset), "Q8"),
            Table("multipliers", "int32_t", np.array(spec.multiplier), f"2^-{spec.shift} each"),
        ]
        return found

    def library(self) -> dict[str, str]:
        """Header and source by file name."""
        name = self.options.name
        return {f"{name}_front_end.h": self._header(), f"{name}_front_end.c": self._source()}

    def selftest(self, graph: Graph) -> dict[str, str]:
        """The self-test by file name; the graph is executed for it."""
        heard = hear(self.spec, self.options, self.interface, graph)
        text = render_front_end_test(self.spec, self.options, self.interface, heard)
        return {f"{self.options.name}_front_end_selftest.c": text}

    @property
    def _own_state(self) -> bool:
        return self.options.arena == "static"

    def _head(self, suffix: str, result: str, parameters: Sequence[str], *, model: bool) -> str:
        """A function's head; contexts come first where the caller owns the memory."""
        name = self.options.name
        given = [] if self._own_state else [f"{name}_hearing *hearing"]
        if model and not self._own_state:
            given.insert(0, f"{name}_context *context")
        return f"{result}{name}_{suffix}({', '.join([*given, *parameters]) or 'void'})"

    @property
    def _init(self) -> str:
        return self._head("listen_init", "void ", [], model=False)

    @property
    def _listen(self) -> str:
        samples = ["const int16_t *audio", "int32_t count"]
        return self._head("listen", "int32_t ", samples, model=False)

    @property
    def _features(self) -> str:
        return self._head("features", "const int8_t *", [], model=False)

    @property
    def _answer(self) -> str:
        outputs = self.interface.outputs
        parameters = [] if self.options.io == "arena" else [port.declaration for port in outputs]
        return self._head("answer", "int ", parameters, model=True)

    def _header(self) -> str:
        spec, upper, name = self.spec, self.options.upper, self.options.name
        guard = f"{upper}_FRONT_END_H"
        lines = [
            f"/* What {name} hears: {comment(self.named.name)}, see {name}_front_end.c. */",
            *(f"#ifndef {guard}", f"#define {guard}", "", f'#include "{name}.h"', ""),
            *("#ifdef __cplusplus", 'extern "C" {', "#endif", ""),
            f"#define {upper}_SAMPLE_RATE_HZ {spec.sample_rate_hz}",
            f"#define {upper}_FRAME_SAMPLES {spec.length_samples}",
            f"#define {upper}_FRAME_STEP {spec.step_samples}",
            f"#define {upper}_FRAMES {spec.frames}",
            f"#define {upper}_FEATURES {spec.coefficients}",
            "",
            *([] if self._own_state else self._state()),
            "/* Call before anything else, and again to forget all sound. */",
            f"{self._init};",
            "",
            "/* Hears so many samples, however many there are; the number of frames completed.",
            f" * Each frame is a row of {spec.coefficients} features, after every "
            f"{spec.step_samples} samples. */",
            f"{self._listen};",
            "",
            f"/* The features of the latest {spec.frames} frames, the oldest first. */",
            f"{self._features};",
            "",
            "/* One inference over them; 0 on success, 1 while fewer have been heard. */",
            f"{self._answer};",
            "",
            "/* Hears sound that it makes itself, in uneven pieces, and compares features and",
            " * answers with those recorded; number of wrong values. */",
            f"int {name}_front_end_selftest(void);",
            *("", "#ifdef __cplusplus", "}", "#endif", "", "#endif", ""),
        ]
        return "\n".join(lines)

    def _state(self) -> list[str]:
        spec, name = self.spec, self.options.name
        cepstrum = [f"    int32_t cepstrum[{spec.coefficients}];"] * (spec.transform != "none")
        return [
            "/* One bin of a spectrum: its two parts, and then its power in their place. */",
            f"typedef union {name}_bin {{",
            "    int32_t part[2];",
            "    int64_t power;",
            f"}} {name}_bin;",
            "",
            "/* Sound not yet used, the features made of what was, and scratch. */",
            f"typedef struct {name}_hearing {{",
            f"    {name}_bin bins[{spec.fft_points // 2 + 1}];",
            f"    int64_t energies[{spec.mel_bands}];",
            f"    int32_t logs[{spec.mel_bands}];",
            *cepstrum,
            "    int32_t filled; /* samples in the frame; below 0: to be skipped before it */",
            f"    int32_t frames; /* heard, up to {spec.frames} */",
            f"    int16_t frame[{spec.length_samples}];",
            f"    int8_t features[{spec.frames * spec.coefficients}];",
            f"}} {name}_hearing;",
            "",
        ]

    def _source(self) -> str:
        name, upper = self.options.name, self.options.upper
        names = ("front_end.h", *(["front_end_cosine.h"] if self.spec.transform != "none" else []))
        kernel = "\n".join(kernels.text_of(file) for file in names)
        kernel = kernel.replace("FRONT_END_STAGE", f"{upper}_STAGE")
        # the union is declared with the state, which is the header's where the caller owns it
        kernel = kernel.replace("spectrum_bin", f"{name}_bin").strip()
        static = ["static " + f"{name}_hearing hearing_of_{name};", ""] if self._own_state else []
        lines = [
            f"/* From int16 samples to the answer of {name}: {comment(self.named.name)},",
            f" * sha256 {self.named.sha256}.",
            " * Written by budget; do not edit. */",
            "#include <stdint.h>",
            "#include <string.h>",
            "",
            f'#include "{name}_front_end.h"',
            "",
            "#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 8",
            f"#define {upper}_STAGE __attribute__((noipa))",
            "#elif defined(__GNUC__)",
            f"#define {upper}_STAGE __attribute__((noinline))",
            "#else",
            f"#define {upper}_STAGE",
            "#endif",
            "",
            *(self._state() if self._own_state else []),
            kernel,
            "",
            "\n\n".join(table.render("static") for table in self.tables),
            "",
            *self._row(),
            *static,
            *self._functions(),
        ]
        return "\n".join(lines) + "\n"

    def _row(self) -> list[str]:
        spec, name = self.spec, self.options.name
        half, bands, count = spec.fft_points // 2, spec.mel_bands, spec.coefficients
        values = "h->logs" if spec.transform == "none" else "h->cepstrum"
        cosine = [
            f"    front_end_cosine(h->cepstrum, h->logs, dct_cosines, {bands}, {count});",
        ] * (spec.transform != "none")
        kept = (spec.frames - 1) * count
        return [
            "/* The features of the frame, behind those of the frames before. */",
            f"static void front_end_frame({name}_hearing *h)",
            "{",
            f"    front_end_window(h->bins, h->frame, window, {spec.length_samples}, {half});",
            f"    front_end_fft(h->bins, twiddle_cosines, twiddle_sines, {half});",
            f"    front_end_split(h->bins, twiddle_cosines, twiddle_sines, {half});",
            f"    front_end_power(h->bins, {half + 1}, {int(spec.values == 'magnitude')});",
            f"    front_end_mel(h->energies, h->bins, mel_spans, mel_weights, {bands});",
            f"    front_end_log(h->logs, h->energies, logarithms, {bands});",
            *cosine,
            *([f"    memmove(h->features, h->features + {count}, {kept});"] if kept else []),
            f"    front_end_output(h->features + {kept}, {values}, offsets, multipliers, {count},",
            f"        {spec.shift}, {spec.zero_point});",
            "}",
            "",
        ]

    def _functions(self) -> list[str]:
        spec, name = self.spec, self.options.name
        mine = [f"    {name}_hearing *const hearing = &hearing_of_{name};"] * self._own_state
        length, step = spec.length_samples, spec.step_samples
        overlap = length - step
        keep = (
            [
                f"        memmove(hearing->frame, hearing->frame + {step}, "
                f"{overlap} * sizeof hearing->frame[0]);"
            ]
            if overlap > 0
            else []
        )
        return [
            *(self._init, "{", *mine),
            "    memset(hearing, 0, sizeof *hearing);",
            *("}", ""),
            *(self._listen, "{", *mine),
            "    int32_t made = 0;",
            "    while (count > 0) {",
            "        if (hearing->filled < 0) {",
            "            const int32_t gap = -hearing->filled;",
            "            const int32_t skipped = count < gap ? count : gap;",
            "            audio += skipped;",
            "            count -= skipped;",
            "            hearing->filled += skipped;",
            "            continue;",
            "        }",
            f"        const int32_t room = {length} - hearing->filled;",
            "        const int32_t taken = count < room ? count : room;",
            "        memcpy(hearing->frame + hearing->filled, audio,",
            "            (uint32_t)taken * sizeof hearing->frame[0]);",
            "        audio += taken;",
            "        count -= taken;",
            "        hearing->filled += taken;",
            f"        if (hearing->filled < {length}) {{",
            "            break;",
            "        }",
            "        front_end_frame(hearing);",
            *keep,
            f"        hearing->filled = {overlap};",
            f"        hearing->frames += hearing->frames < {spec.frames};",
            "        made++;",
            "    }",
            "    return made;",
            *("}", ""),
            *(self._features, "{"),
            f"    return {'hearing_of_' + name + '.' if self._own_state else 'hearing->'}features;",
            *("}", ""),
            *self._answer_function(mine),
        ]

    def _answer_function(self, mine: Sequence[str]) -> list[str]:
        name, interface = self.options.name, self.interface
        context = [] if self._own_state else ["context"]
        if self.options.io == "arena":
            place = f"{name}_{interface.inputs[0].parameter}({', '.join(context)})"
            run = [
                f"    memcpy({place}, hearing->features, sizeof hearing->features);",
                f"    return {name}_invoke({', '.join(context)});",
            ]
        else:
            outputs = [port.parameter for port in interface.outputs]
            arguments = ", ".join([*context, "hearing->features", *outputs])
            run = [f"    return {name}_invoke({arguments});"]
        return [
            self._answer,
            "{",
            *mine,
            f"    if (hearing->frames < {self.spec.frames}) {{",
            "        return 1;",
            "    }",
            *run,
            "}",
        ]
