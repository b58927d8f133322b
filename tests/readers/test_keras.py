"""Keras files as people have them; nothing here needs TensorFlow or Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("h5py")

from keras_by_hand import (
    DENSE,
    dense,
    functional,
    layer,
    refuse,
    sequential,
    source,
    write_h5,
    write_json,
    write_keras,
)

from budget.errors import ModelError, UsageError
from budget.graph import dump, verify
from budget.readers.keras import read_keras


@pytest.mark.parametrize("write", [write_keras, write_h5])
def test_both_containers_hold_the_same_model(write: Any, tmp_path: Path) -> None:
    graph = verify(read_keras(write(tmp_path / "model")))
    assert graph.dialect == "keras"
    assert [node.op for node in graph.nodes] == ["keras.Dense"]
    assert graph.nodes[0].origin == ("dense",)
    assert graph.nodes[0].attributes["units"] == 2
    np.testing.assert_array_equal(graph.constant("dense/kernel"), DENSE["layers/dense/vars/0"])
    np.testing.assert_array_equal(graph.constant("dense/bias"), [1, 1])
    assert graph.source.notes == ("batch of input 'x' is set to 1",)
    assert graph.extras["keras_version"] in ("3.15.1", "2.4.0")
    assert dump(graph) == dump(read_keras(tmp_path / "model"))


def test_reading_imports_neither_keras_nor_tensorflow(tmp_path: Path) -> None:
    import subprocess
    import sys

    path = write_keras(tmp_path / "m.keras")
    program = (
        "import sys; from budget.readers.keras import read_keras; assert 'h5py' not in sys.modules;"
        f"read_keras({str(path)!r});"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_configuration_alone_has_start_values(tmp_path: Path) -> None:
    norm = layer("BatchNormalization", "bn", axis=[1], epsilon=0.001, scale=True, center=True)
    graph = read_keras(write_json(tmp_path / "m.json", sequential(source([3]), dense(), norm)))
    assert not np.any(graph.constant("dense/kernel"))
    assert np.all(graph.constant("bn/moving_variance") == 1)
    assert any("weights absent" in note for note in graph.source.notes)
    assert graph.source.format == "keras-json"


def test_configuration_that_would_fill_memory_is_refused(tmp_path: Path) -> None:
    config = sequential(source([1 << 20]), dense(units=1 << 20))
    refuse(write_json(tmp_path / "m.json", config), "would take", kind=ModelError)


def test_unknown_dimensions_are_asked_for(tmp_path: Path) -> None:
    pool = layer("GlobalAveragePooling2D", "pool", data_format="channels_last")
    path = write_json(tmp_path / "m.json", sequential(source([None, None, 3]), pool))
    refuse(path, "unknown dimensions", "--input-shape x=1", kind=ModelError)
    graph = read_keras(path, {"x": (2, 5, 6, 3)})
    assert graph.type_of(graph.outputs[0]).shape == (2, 3)
    with pytest.raises(UsageError, match="no input y"):
        read_keras(path, {"x": (2, 5, 6, 3), "y": (1,)})


def test_sequential_without_input_layer(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    first = dense(batch_input_shape=[None, 3])
    assert read_keras(write_json(path, sequential(first))).inputs == ("dense_input",)
    config = sequential(dense())
    config["config"]["build_input_shape"] = [None, 3]
    assert read_keras(write_json(path, config)).type_of("dense_input").shape == (1, 3)
    inner = sequential(first, name="inner")
    assert read_keras(write_json(path, sequential(inner, dense("b")))).inputs == ("inner_input",)
    refuse(write_json(path, sequential(dense())), "does not say the shape", kind=ModelError)
    old = sequential()
    old["config"] = [first]
    assert len(read_keras(write_json(path, old)).nodes) == 1
    refuse(write_json(path, sequential()), "no layers")


def test_keras_2_functional_with_a_nested_model_counted_from_one(tmp_path: Path) -> None:
    def node(entry: dict[str, Any], *nodes: Any) -> dict[str, Any]:
        return {**entry, "inbound_nodes": [list(n) for n in nodes]}

    start = node(layer("InputLayer", "a", batch_input_shape=[None, 3]))
    within = functional(
        [
            node(layer("InputLayer", "i", batch_input_shape=[None, 3])),
            node(dense("d", 3), [["i", 0, 0, {}]]),
        ],
        [["i", 0, 0]],
        [["d", 0, 0]],
    )
    inner = node({**within, "name": "inner"}, [["a", 0, 0, {}]], [["inner", 1, 0, {}]])
    total = node(layer("Add", "sum"), [["inner", 1, 0, {}], ["inner", 2, 0, {}]])
    config = functional([start, inner, total], ["a", 0, 0], ["sum", 0, 0])
    graph = verify(read_keras(write_json(tmp_path / "m.json", config)))
    assert [n.op for n in graph.nodes] == ["keras.Dense", "keras.Dense", "keras.Add"]
    assert graph.nodes[0].inputs[1] == graph.nodes[1].inputs[1]
    assert graph.nodes[1].inputs[0] == graph.nodes[0].outputs[0]
    assert graph.nodes[0].origin == ("inner/d",)


def test_archive_of_keras_2(tmp_path: Path) -> None:
    arrays = {k.replace("layers", "_layer_checkpoint_dependencies"): v for k, v in DENSE.items()}
    graph = read_keras(write_keras(tmp_path / "m.keras", arrays=arrays))
    assert np.any(graph.constant("dense/kernel"))


def test_long_lists_of_names_are_split_over_attributes(tmp_path: Path) -> None:
    def split(file: Any) -> None:
        group = file["model_weights/dense"]
        names = group.attrs["weight_names"]
        del group.attrs["weight_names"]
        group.attrs["weight_names0"] = names[:1]
        group.attrs["weight_names1"] = names[1:]

    assert read_keras(write_h5(tmp_path / "m.h5", change=split)).constant("dense/bias") is not None


def test_weights_of_half_precision_become_float32(tmp_path: Path) -> None:
    arrays = {name: data.astype(np.float16) for name, data in DENSE.items()}
    config = sequential(source([3], dtype="float16"), dense())
    graph = read_keras(write_keras(tmp_path / "m.keras", config, arrays))
    assert graph.constant("dense/kernel").dtype == np.float32
    assert any("float32 instead of float16" in note for note in graph.source.notes)
