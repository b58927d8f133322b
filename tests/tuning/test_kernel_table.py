"""What is measured for the table: only kernels that are right may enter it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from budget.core.machine import FirmwareError
from budget.plan import plan
from budget.plan.alternatives import alternatives
from budget.plan.precision import deployed_types
from budget.tuning.kernel_table import measure_steps, render
from budget.tuning.ways import every_way

sys.path.insert(0, str(Path(__file__).parents[1] / "codegen"))
from layers import Layers

from budget.ops import Padding

pytestmark = pytest.mark.skipif(
    not shutil.which("arm-none-eabi-gcc"), reason="no compiler for Cortex-M"
)


def convolution() -> Layers:
    layers = Layers(1)
    layers.convolution((4, 8, 8), 8, (3, 3), (1, 1), Padding(1, 1, 1, 1))
    return layers


def test_every_implementation_of_a_layer_is_measured_once() -> None:
    pytest.importorskip("unicorn")
    graph = convolution().graph()
    (node,) = graph.nodes
    names = [v.name for v in alternatives(node, graph, deployed_types(graph, None), "cortex-m4")]
    samples = [
        sample
        for program in every_way(graph, "cortex-m4", "balanced")
        for sample in measure_steps(program, "balanced")
    ]
    assert [sample.key.split()[-1] for sample in samples] == names[1:]
    assert "armv7em-winograd2" in names and "armv7em-columns+wide" in names
    assert all(sample.cycles > 0 and sample.code_bytes > 0 for sample in samples)


@pytest.mark.parametrize(
    "variant",
    [
        "armv7em-columns",
        "armv7em-columns+u36",
        "armv7em-columns+wide",
        "armv7em-columns+ram",
        "armv7em-winograd2",
        "armv7em-winograd4",
    ],
)
def test_a_wrong_implementation_never_enters_the_table(
    variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One tap of each channel, negated where it is packed: the measurement is refused."""
    pytest.importorskip("unicorn")
    from budget.codegen.steps import armv7em_convolution, armv7em_tiles

    for module in (armv7em_convolution, armv7em_tiles):
        right: Any = module.stream

        def wrong(weights: Any, *others: Any, right: Any = right) -> Any:
            planted = weights.copy()
            planted[:, ..., 1] = -planted[:, ..., 1]
            return right(planted, *others)

        monkeypatch.setattr(module, "stream", wrong)
    graph = convolution().graph()
    (node,) = graph.nodes
    found = {v.name: v for v in alternatives(node, graph, deployed_types(graph, None), "cortex-m4")}
    program = plan(graph, target="cortex-m4", forced={node.name: found[variant]})
    assert program.steps[0].variant == variant
    with pytest.raises(FirmwareError, match="a kernel is wrong"):
        measure_steps(program, "balanced")


def test_the_text_of_a_table_has_short_rows_and_every_number() -> None:
    table = {"modes": {"time": {"measured": {"conv": {"a/(1, 1)": [1, 2.5], "b": [3, 4.0]}}}}}
    text = render(table)
    assert json.loads(text) == table
    assert '"a/(1, 1)": [ 1, 2.5 ]' in text
