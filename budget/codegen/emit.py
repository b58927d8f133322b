"""Everything that `budget emit` writes, as bytes by file name."""

from __future__ import annotations

from budget.codegen.options import EmitOptions
from budget.codegen.source import (
    render_header,
    render_kernels,
    render_source,
    render_weights,
    write_steps,
)
from budget.plan.program import Program


def emit(program: Program, options: EmitOptions) -> dict[str, bytes]:
    """Writes a program as C.

    Args:
        program: planned; every decision is in it.
        options: names and interface.

    Returns:
        Relative path → content; the same program and options give the same bytes.

    Raises:
        UnsupportedModelError: some steps cannot be written; all of them are listed.
    """
    source = write_steps(program, options)
    name = options.name
    files = {
        f"{name}.h": render_header(source),
        f"{name}.c": render_source(source),
        f"{name}_kernels.h": render_kernels(source),
        **render_weights(source),
    }
    return {path: text.encode() for path, text in files.items()}
