"""What a network is shrunk from: its float form, and examples scaled as it was trained on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from budget.api.models import Model, prepare
from budget.errors import UsageError
from budget.graph import Graph, QuantParams
from budget.shrinking.data import Source
from budget.shrinking.dequantize import dequantize
from budget.shrinking.examples import Sets
from budget.shrinking.scaling import better_scaling, present_range, rescaled


def well_scaled(sets: Sets, original: Graph, source: Source) -> Sets:
    """Images as the network was trained on them, or a warning where that seems not to be so.

    Pixels whose range nobody named get the one under which the original is right most often; other
    data stay what they are, the user is only told.
    """
    present = present_range(sets.training)
    if present is None or not sets.is_labelled:
        return sets
    now, better = better_scaling(original, sets.training, present)
    if better is None:
        return sets
    what = (
        f"the original is right on {better.score.ratio:.0%} of the examples with inputs from "
        f"{better.words}, on {now.score.ratio:.0%} with {now.words}"
    )
    if not sets.are_pixels or source.input_range is not None:
        warning = f"inputs may be scaled differently from training: {what}"
        return replace(sets, warnings=(*sets.warnings, warning))
    new = (better.low, better.high)
    note = f"pixels are brought to {better.words} (--input-range says otherwise): {what}"
    return replace(
        sets,
        training=rescaled(sets.training, present, new),
        choosing=rescaled(sets.choosing, present, new),
        held_out=rescaled(sets.held_out, present, new),
        notes=(*sets.notes, note),
    )


def float_model(
    name: str, inputs: Sequence[str] = (), outputs: Sequence[str] = ()
) -> tuple[Model, QuantParams | None]:
    """The model in float, and how its own integers stand for reals if it came quantised.

    A model of the zoo that ships in both forms is taken in float; one that comes in integers only
    is the float network that these stand for.
    """
    stored = None
    path: str | Path = name
    if name.startswith("zoo:"):
        from budget import zoo

        shipped = zoo.shipped_path(name.removeprefix("zoo:"))
        if shipped is not None:
            graph = prepare(name).graph
            stored = graph.type_of(graph.inputs[0]).quant
            in_float = shipped.with_suffix(".keras")
            path = in_float if in_float.is_file() else name
    model = prepare(path, inputs=inputs, outputs=outputs)
    if len(model.graph.outputs) != 1:
        raise UsageError(
            f"the model has {len(model.graph.outputs)} outputs; one can be kept while shrinking",
            where=model.name,
            hint="name it with --outputs",
        )
    if stored is None:
        stored = model.graph.type_of(model.graph.inputs[0]).quant
    graph = dequantize(model.graph)
    known = name if name.startswith("zoo:") else model.name
    return Model(_named(model.raw, known), _named(graph, known), "float32", model.notes), stored


def _named(graph: Graph, name: str) -> Graph:
    return graph.replace(source=replace(graph.source, name=name))
