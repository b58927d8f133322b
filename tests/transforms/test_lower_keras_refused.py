"""Keras layers that are read but have no canonical form; no TensorFlow needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("h5py")

from readers.keras_by_hand import (
    calls,
    dense,
    functional,
    layer,
    sequential,
    source,
    tensor,
    write_json,
)

from budget.errors import BudgetError, CorruptModelError, UnsupportedModelError
from budget.readers.keras import read_keras
from budget.transforms.lower.keras import lower_keras


def dot() -> dict[str, Any]:
    start = {**source([4, 5, 6]), "inbound_nodes": []}
    x = tensor("x")
    return functional([start, calls(layer("Dot", "d", axes=3), [x, x])], ["x", 0, 0], ["d", 0, 0])


ODD_ACTIVATION = {"class_name": "Activation", "config": {"activation": "odd"}}
CASES: dict[str, tuple[Any, str, type[BudgetError]]] = {
    "recurrent": (
        sequential(source([4, 3]), layer("GRU", "g", units=2, recurrent_activation="softmax")),
        "recurrent_activation 'softmax' has no meaning inside a recurrent layer",
        CorruptModelError,
    ),
    "activation": (
        sequential(source([3]), dense(activation=ODD_ACTIVATION)),
        "activation 'odd' is not known",
        UnsupportedModelError,
    ),
    "softmax": (
        sequential(source([4, 3]), layer("Softmax", "s", axis=[1, 2])),
        "over dimensions (1, 2) together",
        UnsupportedModelError,
    ),
    "dot": (dot(), "beyond three dimensions", UnsupportedModelError),
    "scale": (
        sequential(source([3]), layer("Rescaling", "r", scale="x")),
        "not numbers",
        CorruptModelError,
    ),
    "epsilon": (
        sequential(source([3]), layer("BatchNormalization", "b", axis=-1, epsilon="x")),
        "epsilon is 'x', not a number",
        CorruptModelError,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_refusals_name_the_layer(name: str, tmp_path: Path) -> None:
    config, words, kind = CASES[name]
    graph = read_keras(write_json(tmp_path / "m.json", config))
    with pytest.raises(BudgetError) as caught:
        lower_keras(graph)
    assert type(caught.value) is kind
    assert words in str(caught.value)
    assert "m.json" in caught.value.where


def test_layers_without_a_rule_are_listed_at_once() -> None:
    from budget.graph import DType, GraphBuilder, TensorType

    builder = GraphBuilder("m", "keras")
    real = TensorType((1, 3), DType.FLOAT32)
    names = [builder.input("x", real), builder.tensor("y", real), builder.tensor("z", real)]
    for kind, x, y in (("Odd", names[0], names[1]), ("Strange", names[1], names[2])):
        builder.node(f"keras.{kind}", [x], [y], {}, origin=(kind.lower(),))
    builder.output("z")
    with pytest.raises(UnsupportedModelError, match=r"Odd \(odd\); Strange \(strange\)"):
        lower_keras(builder.build())


def test_old_hard_sigmoid_differs_from_the_new_one(tmp_path: Path) -> None:
    import json

    import numpy as np

    from budget.ops.interpreter import run

    x = np.linspace(-4, 4, 9, dtype=np.float32).reshape(1, 9)
    config = sequential(source([9]), layer("Activation", "a", activation="hard_sigmoid"))
    for version, expected in (
        ("2.4.0", np.clip(0.2 * x + 0.5, 0, 1)),
        ("3.5.0", np.clip(x + 3, 0, 6) / 6),
    ):
        path = tmp_path / "m.json"
        path.write_text(json.dumps({**config, "keras_version": version}))
        lowered = lower_keras(read_keras(path))
        y = run(lowered, {"x": x})[lowered.outputs[0]]
        np.testing.assert_allclose(y, expected, atol=1e-6)
