"""Writes budget/codegen/code_bytes.json: the code of reference networks, compiled for Cortex-M4.

    python tests/benchmarks/code_size.py [--networks]

The networks have seeded random weights; none of the models that the prediction is judged on is
among them. One test case of every operator and element type gives the kernels that no network has,
which takes most of the time; --networks leaves them out.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "ops"))

from single_operator import build, seeded  # noqa: E402

from budget import codegen  # noqa: E402
from budget.codegen.footprint import TABLE  # noqa: E402
from budget.graph import DType  # noqa: E402
from budget.ops import registry  # noqa: E402
from budget.plan import plan  # noqa: E402
from budget.plan.program import Program  # noqa: E402
from budget.shrinking.quantize import quantize_int8, random_samples  # noqa: E402
from budget.tuning.code_size import make_table  # noqa: E402
from budget.zoo import load  # noqa: E402

NETWORKS = (
    "ds_cnn",
    "ds_cnn?width=20&blocks=3&classes=5",
    "resnet8",
    "autoencoder",
    "digits_cnn",
    "mobilenet_v1?alpha=0.25&resolution=96&classes=2",
    "mobilenet_v2?alpha=0.35&resolution=96&classes=4",
)


def programs(*, singles: bool) -> Iterator[Program]:
    """Each network in int8, portable and tuned, and in float32; then single operators."""
    for name in NETWORKS:
        graph = load(name)
        quantized = quantize_int8(graph, random_samples(graph, 1))
        yield plan(quantized)
        yield plan(quantized, target="cortex-m4")
        yield plan(graph)
    for name in registry.names() if singles else ():
        operator = registry.get(name)
        for dtype in (DType.INT8, DType.INT16, DType.FLOAT32):
            cases = [case for case in operator.cases() if dtype in case.dtypes]
            if cases:
                single = build(operator, cases[0], dtype, seeded("code size", name, dtype))
                yield plan(single.graph)


if __name__ == "__main__":
    place = Path(codegen.__file__).parent / TABLE
    place.write_text(
        json.dumps(
            make_table(programs(singles="--networks" not in sys.argv)), indent=1, sort_keys=True
        )
        + "\n"
    )
