"""Everything that `budget emit` writes, as bytes by file name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from budget import __version__
from budget.codegen import manifest
from budget.codegen.c import C_TYPES
from budget.codegen.footprint import predict
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
from budget.graph import Array, Graph
from budget.plan.program import Program


def emit(
    program: Program,
    options: EmitOptions,
    *,
    examples: Sequence[Mapping[str, Array]] = (),
    reference: Graph | None = None,
    selftest: bool = True,
) -> dict[str, bytes]:
    """Writes a program as C, with its manifest, self-test and package files.

    Args:
        program: planned; every decision is in it.
        options: names and interface.
        examples: inputs by tensor name to record in the self-test; seeded random ones if none.
        reference: the graph whose outputs are recorded, where the program's own was made smaller
            and shall be seen to be equal.
        selftest: whether to run the model and write the self-test and what builds it.

    Returns:
        Relative path → content; the same arguments give the same bytes.

    Raises:
        UnsupportedModelError: some steps cannot be written; all of them are listed.
    """
    source = write_steps(program, options)
    texts = render_library(source)
    if selftest:
        recorded = record(reference or program.graph, options, source.interface, examples)
        texts[f"{options.name}_selftest.c"] = render_selftest(options, source.interface, recorded)
        texts |= package_files(package_of(source))
    files = {path: text.encode() for path, text in texts.items()}
    values = manifest.document(source, predict(source), files)
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


def package_of(source: Source) -> Package:
    """What the package formats are told."""
    options, program = source.options, source.program
    name = options.name
    separate = (f"{name}_weights.c",) if options.weights == "source" else ()
    shown = printable(program.graph.source.name or program.graph.name)
    plain = "".join(c if c.isalnum() or c in "-_.:" else "_" for c in shown)[:64]
    return Package(
        options,
        (f"{name}.c", *separate),
        (f"{name}.h", f"{name}_kernels.h", f"{name}_weights.h"),
        f"{name}_selftest.c",
        plain,
        __version__,
        any(C_TYPES.get(type.dtype) == "float" for type in program.types.values()),
    )
