"""`budget run` and `budget diff` as users type them, against LiteRT and arithmetic by hand."""

from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import budget
from budget.api.examples import read_picture, to_real, to_stored
from budget.cli.app import application
from budget.errors import MissingToolError, UsageError
from budget.graph import DType, GraphBuilder, QuantParams, TensorType
from budget.ops.activations import NoAttributes
from budget.ops.softmax import SoftmaxAttributes
from budget.writers.tflite import write_tflite
from budget.zoo import MODELS


def invoke(*arguments: object) -> Any:
    words = [str(item) for item in arguments]
    return CliRunner().invoke(application(words), words)


def picture_model(dtype: DType = DType.FLOAT32, channels: int = 3) -> Any:
    """Passes a picture of 4 by 6 on, flattened by nothing: relu of each pixel."""
    quant = QuantParams.per_tensor(0.5, -128 if dtype is DType.INT8 else 0)
    type = TensorType((1, 4, 6, channels), dtype, quant if dtype.is_integer else None)
    builder = GraphBuilder("picture")
    x = builder.input("x", type)
    y = builder.tensor("y", type)
    builder.node("relu", [x], [y], NoAttributes())
    builder.output(y)
    return builder.build()


def litert(path: Path, x: Any) -> Any:
    interpreter_of = pytest.importorskip("ai_edge_litert.interpreter").Interpreter
    interpreter = interpreter_of(model_path=str(path))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def test_guesses_are_those_of_litert(tmp_path: Path) -> None:
    """Scores of held-out examples, best first, with the names that ship with the model."""
    with np.load(MODELS / "hotword.heldout.npz") as held:
        x = held["features"][:3]
    np.save(tmp_path / "x.npy", x)
    result = invoke("run", "zoo:hotword", "--input", tmp_path / "x.npy", "--json", "--top", 12)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    names = (MODELS / "hotword.labels.txt").read_text().split()
    for sample, found in zip(x, document["results"], strict=True):
        model = budget.load("zoo:hotword")
        shape = model.type_of(model.inputs[0]).shape
        stored = litert(MODELS / "hotword.tflite", sample.reshape(shape)).ravel()
        order = np.argsort(-stored.astype(int), kind="stable")
        assert [item["index"] for item in found["guesses"]] == order.tolist()
        assert [item["label"] for item in found["guesses"]] == [names[i] for i in order]


def test_sound_goes_through_the_front_end(tmp_path: Path) -> None:
    """A .wav file gives what its features give."""
    from budget.features import FeatureSpec, extract

    spec = FeatureSpec.load(MODELS / "hotword.features.toml")
    samples = (8000 * np.sin(np.arange(spec.clip_samples) / 9)).astype(np.int16)
    with wave.open(str(tmp_path / "clip.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(spec.sample_rate_hz)
        sound.writeframes(samples.astype("<i2").tobytes())
    np.save(tmp_path / "features.npy", extract(spec, samples))
    heard, read = (
        json.loads(invoke("run", "zoo:hotword", "-i", tmp_path / name, "--json").stdout)
        for name in ("clip.wav", "features.npy")
    )
    assert heard["results"][0]["guesses"] == read["results"][0]["guesses"]
    assert heard["results"][0]["guesses"][0]["score"] > 0


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_scaled_and_normalised(tmp_path: Path, channels: int) -> None:
    """Pixels less the mean over the spread; 8-bit inputs take them as they are."""
    image = pytest.importorskip("PIL.Image")
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3) * 3
    pixels = pixels if channels == 3 else pixels[..., 0]
    path = tmp_path / "p.png"
    image.fromarray(pixels).save(path)
    shaped = pixels.reshape(1, 4, 6, channels).astype(np.float64)
    type = picture_model(channels=channels).type_of("x")
    np.testing.assert_array_equal(read_picture(path, type), shaped)
    model = picture_model(channels=channels)
    for options, expected in (
        ({}, (shaped - 128) / 128),
        ({"mean": 0.0, "std": 255.0}, shaped / 255),
        ({"mean": 10.0}, shaped - 10),
        ({"std": 2.0}, (shaped - 128) / 2),
    ):
        found = budget.run(model, path, **options).results[0].outputs["y"]
        np.testing.assert_allclose(found, np.maximum(expected, 0), atol=1e-6)
    held = budget.run(picture_model(DType.INT8, channels), path).results[0].outputs["y"]
    np.testing.assert_allclose(held, shaped * 0.5)  # the stored number is the pixel, less 128
    larger = image.fromarray(pixels).resize((60, 40))
    larger.save(tmp_path / "q.png")
    assert read_picture(tmp_path / "q.png", type).shape == (1, 4, 6, channels)


def test_real_numbers_are_quantised(tmp_path: Path) -> None:
    """Floats mean what they say; whole numbers of the input's own type are stored numbers."""
    model = picture_model(DType.INT8)
    real = np.linspace(0, 100, 72, dtype=np.float32).reshape(1, 4, 6, 3)
    stored = to_stored(model.type_of("x"), real)
    np.save(tmp_path / "real.npy", real)
    np.savez(tmp_path / "stored.npz", x=stored)
    for name in ("real.npy", "stored.npz"):
        found = budget.run(model, tmp_path / name).results[0].outputs["y"]
        np.testing.assert_array_equal(found, to_real(model.type_of("x"), stored))
    np.testing.assert_allclose(to_real(model.type_of("x"), stored), real, atol=0.25)
    assert budget.run(model, real).results[0].outputs["y"].shape == real.shape
    assert budget.run(model, {"x": real}).results[0].guesses[0].index == 71
    assert len(budget.run(model, tmp_path).results) == 2


def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are nothing, of another shape, or need what is not there."""
    model = picture_model()
    (tmp_path / "broken.png").write_bytes(b"\x89PNG nothing")
    (tmp_path / "x.txt").write_text("1")
    np.save(tmp_path / "flat.npy", np.zeros(3))
    with wave.open(str(tmp_path / "a.wav"), "wb") as sound:
        sound.setparams((1, 2, 16000, 0, "NONE", ""))
    empty = tmp_path / "empty"
    empty.mkdir()
    for name, message in (
        ("broken.png", "cannot be read as a picture"),
        ("missing.png", "no such file"),
        ("x.txt", "no kind of input"),
        ("flat.npy", "has shape"),
        ("a.wav", "no file beside which a front end"),
        ("empty", "has no pictures"),
    ):
        with pytest.raises(UsageError, match=message):
            budget.run(model, tmp_path / name)
    pytest.importorskip("PIL")
    from PIL import Image

    Image.new("RGB", (2, 2)).save(tmp_path / "ok.png")
    with pytest.raises(UsageError, match="divided by 0"):
        budget.run(model, tmp_path / "ok.png", std=0.0)
    with pytest.raises(UsageError, match="no picture of one or three"):
        budget.run("zoo:tiny-ad", tmp_path / "ok.png")
    with pytest.raises(UsageError, match="cannot be read"):
        budget.run(model, labels=tmp_path / "none.txt")
    with pytest.raises(UsageError, match="and what is given"):
        budget.run(model, np.zeros(3))
    two = two_inputs()
    with pytest.raises(UsageError, match="gives one"):
        budget.run(two, tmp_path / "ok.png")
    with pytest.raises(UsageError, match="the inputs a, b"):
        budget.run(two, np.zeros(3))
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(MissingToolError, match="pillow"):
        budget.run(model, tmp_path / "ok.png")


def two_inputs() -> Any:
    builder = GraphBuilder("two")
    type = TensorType((1, 3), DType.FLOAT32)
    a, b, y = builder.input("a", type), builder.input("b", type), builder.tensor("y", type)
    builder.node("add", [a, b], [y], __import__("budget.ops.registry", fromlist=["get"])
                 .get("add").Attributes())  # fmt: skip
    builder.output(y)
    return builder.build()


def chain(noise: float = 0.0, name: str = "") -> Any:
    """Dense, relu, dense, softmax; noise in the second layer's weights."""
    rng = np.random.default_rng(1)
    from budget.ops.fully_connected import FullyConnectedAttributes

    builder = GraphBuilder(f"chain{noise}")
    flat = TensorType((1, 8), DType.FLOAT32)
    x = builder.input(f"{name}x", flat)
    for index in range(2):
        values = rng.normal(size=(8, 8)).astype(np.float32)
        values = values + noise * (index == 1) * rng.normal(size=(8, 8)).astype(np.float32)
        weights = builder.constant(f"{name}w{index}", values.astype(np.float32))
        dense = builder.tensor(f"{name}dense{index}", flat)
        builder.node("fully_connected", [x, weights], [dense], FullyConnectedAttributes())
        x = builder.tensor(f"{name}relu{index}", flat)
        builder.node("relu", [dense], [x], NoAttributes())
    y = builder.tensor(f"{name}y", flat)
    builder.node("softmax", [x], [y], SoftmaxAttributes())
    builder.output(y)
    return builder.build()


def test_differences_are_those_by_hand() -> None:
    """Largest element, ratio of powers and agreement; the layer with the noise is the first."""
    a, b = chain(), chain(0.5)
    rng = np.random.default_rng(2)
    samples = [{"x": rng.normal(size=(1, 8)).astype(np.float32)} for _ in range(20)]
    result = budget.diff(a, b, samples)
    ours, theirs = (
        np.concatenate([budget.run(m, s["x"]).results[0].outputs["y"] for s in samples])
        for m in (a, b)
    )
    (output,) = result.outputs
    assert output.largest == pytest.approx(np.abs(ours - theirs).max())
    assert output.relative == pytest.approx(np.abs(ours - theirs).max() / np.abs(ours).max())
    ratio = 10 * np.log10((ours**2).sum() / ((ours - theirs) ** 2).sum())
    assert output.snr_db == pytest.approx(ratio)
    agreed = (ours.argmax(1) == theirs.argmax(1)).mean()
    assert result.agreement_ratio == pytest.approx(agreed)
    assert 0 < agreed < 1
    assert [layer.name for layer in result.layers] == ["dense0", "relu0", "dense1", "relu1", "y"]
    assert result.parting is not None
    assert result.parting.name == "dense1"
    assert budget.diff(a, a, samples).parting is None


def test_seeded_inputs_are_in_the_range_of_the_quantised_one() -> None:
    """What the one with integers can hold exactly it computes exactly, whichever it is."""
    both = picture_model(), picture_model(DType.INT8)
    for a, b in (both, both[::-1]):
        (output,) = budget.diff(a, b).outputs
        assert output.largest == 0


def test_layers_pair_without_names() -> None:
    """Where names differ, the order of like operators tells; what one lacks has no partner."""
    result = budget.diff(chain(), chain(name="other_"), count=2)
    assert next((p.name, p.other) for p in result.layers) == ("dense0", "other_dense0")
    assert len(result.layers) == 5
    assert all(layer.snr_db == np.inf for layer in result.layers)


def test_diff_command(tmp_path: Path) -> None:
    """Prints agreement and the parting layer within 80 columns; tolerance sets the status."""
    paths = [tmp_path / "a.tflite", tmp_path / "b.tflite"]
    for path, graph in zip(paths, (chain(), chain(0.5)), strict=True):
        write_tflite(graph, path)
    result = CliRunner(env={"COLUMNS": "80"}).invoke(
        application(["diff"]), ["diff", *map(str, paths), "--per-layer", "--count", "3"]
    )
    assert result.exit_code == 0, result.output
    for word in ("largest difference", "of 3", "dB", "the first below 20 dB is dense1", "equal"):
        assert word in " ".join(result.stdout.split())
    assert invoke("diff", *paths, "--tolerance", 0).exit_code == 1
    assert invoke("diff", paths[0], paths[0], "--tolerance", 0).exit_code == 0
    document = json.loads(invoke("diff", *paths, "--json").stdout)
    assert document["parting"] == "dense1"
    assert document["layers"][0]["snr_db"] is None
    assert invoke("run", paths[0]).exit_code == 0


def test_models_that_do_not_pair() -> None:
    """Different numbers or sizes of inputs and outputs are refused."""
    with pytest.raises(UsageError, match="different inputs"):
        budget.diff(chain(), two_inputs())
    with pytest.raises(UsageError, match="and 'y'"):
        budget.diff(chain(), picture_model())
