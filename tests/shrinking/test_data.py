"""Examples from folders, files and functions; every refusal says what to do."""

from __future__ import annotations

import wave
import zlib
from pathlib import Path

import numpy as np
import pytest

from budget.api.models import lower
from budget.errors import MissingToolError, UsageError
from budget.features import FeatureSpec, extract
from budget.graph import Graph, QuantParams
from budget.shrinking.data import Source, load_sets, read_labels
from budget.shrinking.examples import from_arrays, split
from budget.zoo import MODELS, load


@pytest.fixture(scope="module")
def digits() -> Graph:
    """Reads one grey image of 8×8 and names one of three classes."""
    return lower(load("digits_cnn?classes=3"))


def folders(place: Path, counts: dict[str, int], size: int = 9) -> Path:
    image = pytest.importorskip("PIL.Image")
    random = np.random.default_rng(0)
    for name, count in counts.items():
        (place / name).mkdir(parents=True)
        for i in range(count):
            pixels = random.integers(0, 256, (size, size, 3)).astype(np.uint8)
            ending = ("png", "jpg", "bmp")[i % 3]
            image.fromarray(pixels).save(place / name / f"{i}.{ending}")
    return place


def test_class_folders_become_labelled_pixels(tmp_path: Path, digits: Graph) -> None:
    place = folders(tmp_path / "set", {"b": 30, "a": 20, "c": 10})
    (place / ".hidden").mkdir()
    (place / "a" / "notes.txt").write_text("no image")
    sets = load_sets(Source(str(place)), digits)
    assert sets.classes == ("a", "b", "c") and sets.are_pixels
    assert any("alphabetical order: a, b, c" in note for note in sets.notes)
    parts = (sets.training, sets.choosing, sets.held_out)
    assert [len(p) for p in parts] == [42, 6, 12]
    for part in parts:
        share = np.bincount(part.labels, minlength=3) / len(part)
        assert share == pytest.approx([1 / 3, 1 / 2, 1 / 6], abs=0.01)
        values = part.inputs[digits.inputs[0]]
        assert values.shape[1:] == (8, 8, 1) and 0 <= values.min() <= values.max() <= 255
    assert any("fewer than 20 examples to learn from of 'a', 'c'" in w for w in sets.warnings)
    assert any("only 12 examples are held out" in w for w in sets.warnings)


def test_pixels_are_those_that_pillow_resizes(tmp_path: Path, digits: Graph) -> None:
    image = pytest.importorskip("PIL.Image")
    place = folders(tmp_path / "set", {"a": 10, "b": 10}, size=8)
    sets = load_sets(Source(str(place), input_range=(-1, 1)), digits)
    grey = np.asarray(image.open(place / "a" / "0.png").convert("L"), np.float32) / 127.5 - 1
    everything = np.concatenate(
        [p.inputs[digits.inputs[0]] for p in (sets.training, sets.choosing, sets.held_out)]
    )
    nearest = np.abs(everything[..., 0] - grey).max((1, 2)).min()
    assert nearest < 1e-5


def test_a_label_file_gives_the_order_and_a_missing_class_is_told(
    tmp_path: Path, digits: Graph
) -> None:
    place = folders(tmp_path / "set", {"a": 20, "b": 20})
    names = tmp_path / "labels.txt"
    names.write_text("c\nb\na\n")
    sets = load_sets(Source(str(place), labels=str(names)), digits)
    assert set(sets.training.labels.tolist()) == {1, 2}
    assert any("no examples to learn from of 'c'" in w for w in sets.warnings)
    names.write_text("c\nb\n")
    with pytest.raises(UsageError, match="the label file has no 'a'"):
        load_sets(Source(str(place), labels=str(names)), digits)


def test_unreadable_images_are_counted_and_named(tmp_path: Path, digits: Graph) -> None:
    place = folders(tmp_path / "set", {"a": 9, "b": 9})
    (place / "a" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    whole = (place / "b" / "0.png").read_bytes()
    (place / "b" / "cut.png").write_bytes(whole[: len(whole) // 2])
    # a colour profile that ends before it begins, in front of the pixels
    profile = b"\0\0\0\0iCCP" + zlib.crc32(b"iCCP").to_bytes(4, "big")
    (place / "b" / "profile.png").write_bytes(whole[:33] + profile + whole[33:])
    with pytest.raises(UsageError, match=r"3 of 21 files cannot be used: a/broken\.png") as told:
        load_sets(Source(str(place)), digits)
    assert "b/cut.png" in told.value.what and "take them away" in told.value.hint


@pytest.mark.parametrize(
    ("counts", "match"),
    [({"a": 3, "b": 0}, "no images or sounds in 'b'"), ({}, "has no folders of classes")],
)
def test_empty_classes_are_refused(tmp_path: Path, digits: Graph, counts, match: str) -> None:
    pytest.importorskip("PIL")
    place = tmp_path / "set"
    place.mkdir()
    folders(place, counts)
    with pytest.raises(UsageError, match=match):
        load_sets(Source(str(place)), digits)


def sound(path: Path, samples: np.ndarray, rate_hz: int = 16000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.astype("<i2").tobytes())


def test_sounds_go_through_the_front_end(tmp_path: Path) -> None:
    graph = lower(load("ds_cnn?width=4&classes=2"))
    spec = FeatureSpec.load(MODELS / "hotword.features.toml")
    random = np.random.default_rng(0)
    clips = {(c, i): random.integers(-9000, 9000, 16000 - 100 * i) for c in "ab" for i in range(10)}
    for (name, i), samples in clips.items():
        sound(tmp_path / "set" / name / f"{i}.wav", samples)
    sets = load_sets(Source(str(tmp_path / "set"), features=spec), graph)
    first = np.zeros(16000, np.int16)
    first[: len(clips["a", 3])] = clips["a", 3]
    wanted = (extract(spec, first).astype(np.float32) - spec.zero_point) * spec.scale
    everything = np.concatenate(
        [p.inputs[graph.inputs[0]] for p in (sets.training, sets.choosing, sets.held_out)]
    )
    assert np.abs(everything[..., 0] - wanted).max((1, 2)).min() == 0
    with pytest.raises(UsageError, match="sounds need the model's front end"):
        load_sets(Source(str(tmp_path / "set")), graph)
    sound(tmp_path / "set" / "a" / "slow.wav", clips["a", 0], 8000)
    with pytest.raises(UsageError, match=r"1 of 21 files cannot be used: a/slow.wav \(1 channels"):
        load_sets(Source(str(tmp_path / "set"), features=spec), graph)


def test_sounds_and_images_do_not_mix(tmp_path: Path, digits: Graph) -> None:
    place = folders(tmp_path / "set", {"a": 3})
    sound(place / "b" / "0.wav", np.zeros(100))
    with pytest.raises(UsageError, match="both images and sounds"):
        load_sets(Source(str(place)), digits)


def test_a_front_end_of_another_size_and_a_model_without_images_are_refused(
    tmp_path: Path, digits: Graph
) -> None:
    spec = FeatureSpec.load(MODELS / "hotword.features.toml")
    sound(tmp_path / "sounds" / "a" / "0.wav", np.zeros(100))
    with pytest.raises(UsageError, match=r"the front end makes \[49, 10\]"):
        load_sets(Source(str(tmp_path / "sounds"), features=spec), digits)
    pictures = folders(tmp_path / "pictures", {"a": 3, "b": 3})
    with pytest.raises(UsageError, match="no grey or colour image"):
        load_sets(Source(str(pictures)), lower(load("hotword_fc")))


def test_without_pillow_images_name_the_extra(
    tmp_path: Path, digits: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = folders(tmp_path / "set", {"a": 3, "b": 3})
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(MissingToolError, match="pillow") as told:
        load_sets(Source(str(place)), digits)
    assert "mcu-budget[images]" in told.value.hint


def arrays(path: Path, count: int = 60, **more: np.ndarray) -> str:
    random = np.random.default_rng(0)
    labels = np.arange(count) % 3
    np.savez(path, x=random.integers(-128, 128, (count, 8, 8)).astype(np.int8),
             **{"labels": labels, **more})  # fmt: skip
    return str(path)


def test_arrays_are_read_at_the_models_scale(tmp_path: Path, digits: Graph) -> None:
    place = arrays(tmp_path / "a.npz")
    stored = QuantParams.per_tensor(0.5, -128)
    sets = load_sets(Source(place, stored=stored), digits)
    values = sets.training.inputs[digits.inputs[0]]
    assert values.min() >= 0 and values.max() <= 127.5 and values.dtype == np.float32
    apart = load_sets(Source(place, held_out=arrays(tmp_path / "h.npz", 9)), digits)
    assert [len(p) for p in (apart.training, apart.choosing, apart.held_out)] == [54, 6, 9]


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({"labels": np.arange(5)}, "different numbers of examples and labels"),
        ({"labels": np.full(60, 0.5)}, "labels are float64"),
        ({"labels": np.full(60, 7)}, "8 classes for a model of 3 outputs"),
        ({"x": np.zeros((60, 7, 7))}, "has shape"),
        ({"x": np.full((60, 8, 8), "a")}, "not numbers"),
    ],
)
def test_arrays_that_do_not_suit_are_refused(
    tmp_path: Path, digits: Graph, more, match: str
) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **{"x": np.zeros((60, 8, 8)), "labels": np.arange(60) % 3, **more})
    with pytest.raises(UsageError, match=match):
        load_sets(Source(str(path)), digits)


def test_what_is_no_data_is_refused(tmp_path: Path, digits: Graph) -> None:
    for place, match in (
        (str(tmp_path / "none"), "no such folder or file"),
        (__file__, "neither a folder"),
        ("no_such_module:f", "no such function"),
    ):
        with pytest.raises(UsageError, match=match):
            load_sets(Source(place), digits)
    (tmp_path / "a.npz").write_bytes(b"PK nothing")
    with pytest.raises(UsageError, match="cannot be read as an array"):
        load_sets(Source(str(tmp_path / "a.npz")), digits)
    np.savez(tmp_path / "b.npz", labels=np.zeros(3, int))
    with pytest.raises(UsageError, match="for the inputs"):
        load_sets(Source(str(tmp_path / "b.npz")), digits)
    np.savez(tmp_path / "c.npz", x=np.zeros((3, 8, 8)))
    with pytest.raises(UsageError, match="too few to learn from"):
        load_sets(Source(str(tmp_path / "c.npz")), digits)
    with pytest.raises(UsageError, match="only one of the two sets has labels"):
        load_sets(Source(arrays(tmp_path / "d.npz"), held_out=str(tmp_path / "c.npz")), digits)


def test_a_function_of_the_users_gives_inputs_with_or_without_labels(
    tmp_path: Path, digits: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_shrink_data.py").write_text(
        "import numpy as np\n"
        "def both(): return np.zeros((60, 8, 8)), np.arange(60) % 3\n"
        "def inputs(): return np.zeros((60, 8, 8))\n"
        "def named(): return {'x': np.zeros((60, 8, 8)), 'labels': np.arange(60) % 3}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    for name, labelled in (("both", True), ("inputs", False), ("named", True)):
        sets = load_sets(Source(f"my_shrink_data:{name}"), digits)
        assert sets.is_labelled is labelled
    assert any("only 42 examples to learn from" in w for w in
               load_sets(Source("my_shrink_data:inputs"), digits).warnings)  # fmt: skip


def test_label_files(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("yes\n\n no \n")
    assert read_labels(str(path)) == ("yes", "no")
    path.write_text("yes\nyes\n")
    with pytest.raises(UsageError, match="twice"):
        read_labels(str(path))
    path.write_text("\n")
    with pytest.raises(UsageError, match="no names"):
        read_labels(str(path))
    with pytest.raises(UsageError, match="cannot be read"):
        read_labels(str(tmp_path / "none"))


def test_the_split_is_seeded_and_no_example_is_in_two_parts(digits: Graph) -> None:
    values = np.arange(500 * 64, dtype=np.float32).reshape(500, 8, 8, 1)
    examples = from_arrays(digits, {digits.inputs[0]: values}, np.arange(500) % 3)
    parts = split(examples, seed=3)
    again = split(examples, seed=3)
    other = split(examples, seed=4)
    firsts = [p.inputs[digits.inputs[0]][:, 0, 0, 0] for p in parts]
    assert sorted(np.concatenate(firsts).tolist()) == sorted(values[:, 0, 0, 0].tolist())
    assert all(
        np.array_equal(a.inputs[digits.inputs[0]], b.inputs[digits.inputs[0]])
        for a, b in zip(parts, again)
    )
    assert not np.array_equal(firsts[2], other[2].inputs[digits.inputs[0]][:, 0, 0, 0])
