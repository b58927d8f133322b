"""Which reader a file goes to, by content, and what is said of files that are no models."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from budget.errors import BudgetError, CorruptModelError, ModelError, UsageError
from budget.graph import DType, GraphBuilder, TensorType
from budget.ops.operator import NoAttributes
from budget.readers import load
from budget.writers.tflite import write_tflite


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file without a telling name: a → b → c, and d beside them."""
    builder = GraphBuilder("g")
    type = TensorType((1, 4), DType.FLOAT32)
    builder.input("a", type)
    builder.input("z", type)
    for x, y in (("a", "b"), ("b", "c"), ("z", "d")):
        builder.tensor(y, type)
        builder.node("relu", [x], [y], NoAttributes())
    builder.output("c", "d")
    write_tflite(builder.build(), tmp_path / "model.bin")
    return tmp_path / "model.bin"


def test_the_format_is_found_from_content(path: Path) -> None:
    graph = load(path)
    assert graph.source.format == "tflite" and graph.source.name == "model.bin"
    assert len(graph.source.sha256) == 64 and len(graph.nodes) == 3


def test_a_part_between_named_tensors(path: Path) -> None:
    graph = load(path, inputs=["b"], outputs=["c"], input_shapes={"b": (1, 4)})
    assert [node.name for node in graph.nodes] == ["c"]
    assert graph.inputs == ("b",) and set(graph.tensors) == {"b", "c"}


@pytest.mark.parametrize(
    ("options", "said", "hint"),
    [
        ({"inputs": ["bb"]}, "no tensor 'bb'", "did you mean"),
        ({"input_shapes": {"a": (2, 4)}}, "fixes the shape", "convert the model again"),
        ({"inputs": ["b"], "outputs": ["d"]}, "need 'z' as well", "--inputs"),
    ],
)
def test_a_part_that_does_not_exist(path: Path, options: dict, said: str, hint: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        load(path, **options)
    assert hint in caught.value.hint


def archive(path: Path, *names: str) -> bytes:
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, "x")
    return path.read_bytes()


def test_what_is_no_model_is_said_with_a_hint(tmp_path: Path) -> None:
    def refused(content: bytes | None, name: str = "f") -> BudgetError:
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ModelError) as caught:
            load(path)
        assert caught.value.hint and name in caught.value.where and caught.value.exit_code == 3
        return caught.value

    assert "no such file" in refused(None, "absent").what
    assert "empty" in refused(b"").what
    assert "gzip" in refused(b"\x1f\x8b" + bytes(99)).what
    assert "pickle" in refused(b"\x80\x04" + bytes(99)).what
    assert isinstance(refused(b"PK\x03\x04" + bytes(50)), CorruptModelError)
    assert "unpack" in refused(archive(tmp_path / "z", "m.tflite"), "z").hint
    assert "not a Keras model" in refused(archive(tmp_path / "y", "readme"), "y").what
    assert "TFL3" in refused(bytes(100), "m.tflite").what
    (tmp_path / "folder").mkdir()
    assert "saved_model.pb" in refused(None, "folder").what


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(ModelError, match="Permission denied"):
        load(tmp_path / "m")


def _parts_file(tmp_path: Path) -> Path:
    """Two graphs, each behind a signature of its own."""
    from test_read_tflite import model

    from budget.writers.flatbuffer import encode_model

    tables = model(
        signature_defs=[
            {"signature_key": "run", "inputs": [{"name": "in", "tensor_index": 0}]},
            {"signature_key": "train", "subgraph_index": 1},
        ]
    )
    second = dict(tables["subgraphs"][0], name="second")
    second["tensors"] = [dict(tensor, shape=[1, 9]) for tensor in second["tensors"][:2]]
    tables["subgraphs"].append(second)
    path = tmp_path / "parts.tflite"
    path.write_bytes(encode_model(tables))
    return path


def test_a_part_of_a_file_is_chosen_behind_a_hash(tmp_path: Path) -> None:
    path = _parts_file(tmp_path)
    assert load(path).type_of("x").shape == (1, 4)
    for part in ("train", "second"):
        graph = load(f"{path}#{part}")
        assert graph.type_of("x").shape == (1, 9)
        assert not graph.source.notes
        from budget.readers.tflite import read_tflite
        from budget.writers.tflite import write_tflite

        alone = read_tflite(write_tflite(graph), "alone")
        assert alone.type_of("x").shape == (1, 9)
    with pytest.raises(UsageError, match="no signature or subgraph 'third'") as caught:
        load(f"{path}#third")
    assert "run, train, main, second" in caught.value.hint


def test_a_file_with_a_hash_in_its_name_is_a_file(tmp_path: Path) -> None:
    path = _parts_file(tmp_path).rename(tmp_path / "a#b.tflite")
    assert load(path).type_of("x").shape == (1, 4)
    assert load(f"{path}#train").type_of("x").shape == (1, 9)
    text = tmp_path / "g.pb"
    text.write_bytes(b"node {}")
    with pytest.raises(UsageError, match="'x' is no part of this file"):
        load(f"{text}#x")
