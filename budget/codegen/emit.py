"""Everything that `budget emit` writes, as bytes by file name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from budget import __version__
from budget.codegen import manifest
from budget.codegen.c import C_TYPES
from budget.codegen.footprint import predict
from budget.codegen.front_end import FrontEnd
from budget.codegen.names import printable
from budget.codegen.options import EmitOptions
from budget.codegen.packaging import Package, package_files
from budget.codegen.selftest import record, render_selftest
from budget.codegen.source import (
    Source,
    render_header,
    render_kernels,
    render_source,
    render_weights,
    write_steps,
)
from budget.features import Named, front_end_document
from budget.graph import Array, Graph
from budget.plan.chooser import SHIPPED, Knowledge
from budget.plan.program import Program


def emit(
    program: Program,
    options: EmitOptions,
    *,
    examples: Sequence[Mapping[str, Array]] = (),
    reference: Graph | None = None,
    selftest: bool = True,
    front_end: Named | None = None,
    knowledge: Knowledge = SHIPPED,
) -> dict[str, bytes]:
    """Writes a program as C, with its manifest, self-test and package files.

    Args:
        program: planned; every decision is in it.
        options: names and interface.
        examples: inputs by tensor name to record in the self-test; seeded random ones if none.
        reference: the graph whose outputs are recorded, where the program's own was made smaller
            and shall be seen to be equal.
        selftest: whether to run the model and write the self-test and what builds it.
        front_end: specification of what makes the model's input of sound, to be written too.
        knowledge: what the program's implementations were chosen from.

    Returns:
        Relative path → content; the same arguments give the same bytes.

    Raises:
        UnsupportedModelError: some steps cannot be written; all of them are listed.
        UsageError: the front end makes something else than the model reads.
    """
    source = write_steps(program, options)
    texts = render_library(source)
    hearing = None
    if front_end is not None:
        hearing = FrontEnd(front_end, options, source.interface)
        texts |= hearing.library()
    if selftest:
        recorded = record(reference or program.graph, options, source.interface, examples)
        texts[f"{options.name}_selftest.c"] = render_selftest(options, source.interface, recorded)
        if hearing is not None:
            texts |= hearing.selftest(reference or program.graph)
        texts |= package_files(package_of(source, hearing))
    files = {path: text.encode() for path, text in texts.items()}
    values = manifest.document(source, predict(source), files, knowledge)
    if hearing is not None:
        named = hearing.named
        values["front_end"] = {"specification": named.name, "sha256": named.sha256}
        values["front_end"] |= front_end_document(named.spec)
    files[f"{options.name}.json"] = manifest.render(values).encode()
    return files


def render_library(source: Source) -> dict[str, str]:
    """The C files that a firmware needs, by name."""
    name = source.options.name
    return {
        f"{name}.h": render_header(source),
        f"{name}.c": render_source(source),
        f"{name}_kernels.h": render_kernels(source),
        **render_weights(source),
    }


def package_of(source: Source, front_end: FrontEnd | None = None) -> Package:
    """What the package formats are told."""
    options, program = source.options, source.program
    name = options.name
    separate = (f"{name}_weights.c",) if options.weights == "source" else ()
    shown = printable(program.graph.source.name or program.graph.name)
    plain = "".join(c if c.isalnum() or c in "-_.:" else "_" for c in shown)[:64]
    return Package(
        options,
        (f"{name}.c", *separate, *([f"{name}_front_end.c"] if front_end else [])),
        (
            *(f"{name}.h", f"{name}_kernels.h", f"{name}_weights.h"),
            *([f"{name}_front_end.h"] if front_end else []),
        ),
        f"{name}_selftest.c",
        plain,
        __version__,
        any(C_TYPES.get(type.dtype) == "float" for type in program.types.values()),
    )
