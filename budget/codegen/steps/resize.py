"""Images brought to another size."""

from __future__ import annotations

import numpy as np

from budget.codegen.context import StepCode, StepContext
from budget.codegen.steps.movement import write_orders
from budget.ops.resize import between, between10, nearest


def write_resize_nearest(context: StepContext) -> StepCode:
    """Rows and columns picked."""
    batch, height, width, channels = context.type(0).shape
    attributes = context.attributes
    rows, columns = (
        nearest(attributes, extent, size) for extent, size in zip((height, width), attributes.size)
    )
    return write_orders(context, [np.arange(batch), rows, columns, np.arange(channels)])


def write_resize_bilinear(context: StepContext) -> StepCode:
    """Four neighbours mixed; where they lie is computed here."""
    suffix = context.suffix()
    batch, height, width, channels = context.type(0).shape
    attributes = context.attributes
    places = between if suffix == "f32" else between10
    columns: list[str] = []
    distances: list[str] = []
    for name, extent, size in zip(("rows", "columns"), (height, width), attributes.size):
        below, above, distance = places(attributes, extent, size)
        if suffix == "f32":
            pairs = np.stack([below, above], axis=1)
            columns.append(context.table(name, "int16_t", pairs, "below and above"))
            what = "distance from the one below"
            distances.append(context.table(f"{name}_mix", "float", distance, what))
        else:
            triples = np.stack([below, above, distance], axis=1)
            columns.append(context.table(name, "int16_t", triples, "below, above, 1024ths"))
    sizes = [batch, height, width, channels, *attributes.size]
    name = f"resize_bilinear_{suffix}"
    return context.call(f"{name}.h", name, context.operand(0), "y0", *columns, *distances, *sizes)
