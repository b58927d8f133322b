"""What a network is shrunk from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tensorflow_models import quietly, tensorflow

from budget.api.shrink_inputs import float_model, well_scaled
from budget.errors import UsageError
from budget.graph import DType, Graph, GraphBuilder, TensorType, verify
from budget.ops import NoAttributes
from budget.shrinking import recovery
from budget.shrinking.class_folders import read_folder
from budget.shrinking.data import Source, load_sets
from budget.writers.tflite import write_tflite
from budget.zoo import MODELS


def two(inputs: int, outputs: int) -> Graph:
    builder = GraphBuilder("two")
    type = TensorType((1, 4, 4, 1), DType.FLOAT32)
    given = [builder.input(f"x{i}", type) for i in range(inputs)]
    for i in range(outputs):
        name = builder.tensor(f"y{i}", type)
        builder.node("relu", [given[-1]], [name], NoAttributes())
        builder.output(name)
    return verify(builder.build())


def test_a_zoo_model_that_ships_in_float_is_taken_in_float() -> None:
    model, stored = float_model("zoo:hotword-large")
    assert stored is not None and float(stored.scale[0]) == 1 / 32
    assert model.name == "zoo:hotword-large"
    assert all(t.type.quant is None for t in model.graph.tensors.values())
    assert not float_model("zoo:digits")[0].graph.type_of("serving_default_input:0").is_quantized


def test_one_output_and_for_folders_one_input(tmp_path: Path) -> None:
    write_tflite(two(1, 2), tmp_path / "two.tflite")
    with pytest.raises(UsageError, match="has 2 outputs") as told:
        float_model(str(tmp_path / "two.tflite"))
    assert "--outputs" in told.value.hint
    pytest.importorskip("PIL.Image").new("L", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "set" / "a").mkdir(parents=True)
    (tmp_path / "a.png").rename(tmp_path / "set" / "a" / "a.png")
    with pytest.raises(UsageError, match="has 2 inputs; a folder gives one"):
        read_folder(tmp_path / "set", two(2, 1))


def test_pixels_are_scaled_as_in_training_and_other_data_are_warned_of(tmp_path: Path) -> None:
    tensorflow()
    quietly(lambda: recovery.tensorflow("prediction"))
    image = pytest.importorskip("PIL.Image")
    model, _ = float_model("zoo:digits")
    with np.load(MODELS / "digits.training.npz") as file:
        pixels, labels = (file["features"].astype(int) + 128).astype(np.uint8), file["labels"]
    for i in range(300):
        place = tmp_path / "set" / str(labels[i])
        place.mkdir(parents=True, exist_ok=True)
        image.fromarray(pixels[i]).save(place / f"{i}.png")
    source = Source(str(tmp_path / "set"))
    sets = well_scaled(load_sets(source, model.graph), model.graph, source)
    assert sets.training.inputs[model.graph.inputs[0]].max() == 1.0
    assert any("pixels are brought to 0 to 1" in note for note in sets.notes)
    np.savez(tmp_path / "raw.npz", x=pixels[:300].astype(np.float32), labels=labels[:300])
    raw = Source(str(tmp_path / "raw.npz"))
    told = well_scaled(load_sets(raw, model.graph), model.graph, raw)
    assert told.training.inputs[model.graph.inputs[0]].max() == 255
    assert any("scaled differently from training" in w for w in told.warnings)
