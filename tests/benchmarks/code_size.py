"""Writes budget/codegen/code_bytes.json: the code of reference networks, compiled for Cortex-M4.

    python tests/benchmarks/code_size.py

The networks have seeded random weights; none of the models that the prediction is judged on is
among them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from budget import codegen
from budget.codegen.footprint import TABLE
from budget.plan import plan
from budget.plan.program import Program
from budget.shrinking.quantize import quantize_int8, random_samples
from budget.tuning.code_size import make_table
from budget.zoo import load

NETWORKS = (
    "ds_cnn",
    "ds_cnn?width=32",
    "ds_cnn?width=20&blocks=3&classes=5",
    "resnet8",
    "autoencoder",
    "digits_cnn",
    "hotword_fc",
    "mobilenet_v1?alpha=0.25&resolution=96&classes=2",
    "mobilenet_v1?alpha=0.5&resolution=64&classes=10",
    "mobilenet_v2?alpha=0.35&resolution=96&classes=4",
)


def programs() -> Iterator[Program]:
    """Each network in int8 and in float32."""
    for name in NETWORKS:
        graph = load(name)
        yield plan(quantize_int8(graph, random_samples(graph, 1)))
        yield plan(graph)


if __name__ == "__main__":
    place = Path(codegen.__file__).parent / TABLE
    place.write_text(json.dumps(make_table(programs()), indent=1, sort_keys=True) + "\n")
