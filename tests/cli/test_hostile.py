"""Files made to harm: one clear error, the right exit status, no memory taken, no trace left.

`python tests/cli/test_hostile.py` prints what is said of each.
"""

from __future__ import annotations

import io
import json
import resource
import sys
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / name) for name in ("readers", "fuzz")]

MAX_GROWTH_BYTES = 256 << 20
Make = Callable[[Path], Path]


def _written(name: str, data: bytes | str) -> Make:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    return make


def _zoo() -> bytes:
    return (ROOT / "budget" / "zoo" / "models" / "digits.tflite").read_bytes()


def _flipped(folder: Path) -> Path:
    data = bytearray(_zoo())
    for place in range(0, 2000, 37):
        data[place + 8] ^= 1 << place % 8
    return _written("flipped.tflite", bytes(data))(folder)


def _huge_tflite(folder: Path) -> Path:
    from test_read_tflite import model

    from budget.writers.flatbuffer import encode_model

    tables = model()
    for tensor in tables["subgraphs"][0]["tensors"][:2]:
        tensor["shape"] = [1, 46_341, 46_341, 1 << 12]
    return _written("huge.tflite", encode_model(tables))(folder)


def _graph_def(name: str, *nodes: tuple[str, str, list[str], dict[str, object]]) -> Make:
    def make(folder: Path) -> Path:
        from seeds import _node

        from budget.formats.tensorflow_schema import GRAPH_DEF

        raw = [_node(n, op, *inputs, **attributes) for n, op, inputs, attributes in nodes]
        return _written(name, GRAPH_DEF.new(node=raw).encode())(folder)

    return make


def _cyclic(folder: Path) -> Path:
    from budget.formats.tensorflow_schema import DataType

    types = {"T": DataType.FLOAT}
    make = _graph_def("cyclic.pb", ("a", "Relu", ["b"], types), ("b", "Relu", ["a"], types),
                      ("c", "Relu", ["b"], types))  # fmt: skip
    return make(folder)


def _huge_graph_def(folder: Path) -> Path:
    from budget.formats.tensorflow_schema import DataType
    from budget.formats.tensorflow_values import Shape

    types = {"T": DataType.FLOAT}
    window = {"ksize": (1, 2, 2, 1), "strides": (1, 1, 1, 1), "padding": b"VALID"}
    make = _graph_def(
        "huge.pb",
        ("x", "Placeholder", [], {"dtype": DataType.FLOAT, "shape": Shape((1, 2**31 - 1, 2, 1))}),
        ("y", "MaxPool", ["x"], window | types),
    )
    return make(folder)


def _nested_proto(folder: Path) -> Path:
    data = b""
    for _ in range(3000):
        length = b""
        size = len(data)
        while size > 127:
            length += bytes([size & 127 | 128])
            size >>= 7
        data = b"\x12" + length + bytes([size]) + data  # a library in a library in …
    return _written("nested.pb", data)(folder)


def _bomb(folder: Path) -> Path:
    path = folder / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", " " * (300 << 20))
    return path


def _keras(name: str, *layers: dict[str, object]) -> Make:
    def make(folder: Path) -> Path:
        from keras_by_hand import sequential, source, write_h5, write_keras

        config = sequential(source([3]), *layers)
        write = write_h5 if name.endswith(".h5") else write_keras
        return write(folder / name, config)

    return make


def _layer(class_name: str, **config: object) -> dict[str, object]:
    return {"class_name": class_name, "config": {"name": "evil", **config}, "name": "evil"}


_CODE = {
    "class_name": "__lambda__",
    "config": {"code": "4wAAAAA=", "defaults": None, "closure": None},
}
_LAMBDA = _layer("Lambda", function=_CODE)
_FOREIGN = {**_layer("Trace"), "module": "os", "registered_name": "os>system"}
_HUGE_DENSE = json.dumps(
    {
        "class_name": "Sequential",
        "config": {
            "name": "m",
            "layers": [
                _layer("InputLayer", batch_shape=[None, 46_341]),
                {**_layer("Dense", units=46_341, use_bias=False), "name": "d"},
            ],
        },
    }
)

MODELS: dict[str, tuple[Make, int, str]] = {
    # what it is: how it is made, exit status, what the error says
    "empty": (_written("empty.tflite", b""), 3, "the file is empty"),
    "truncated": (_written("cut.tflite", _zoo()[:5000]), 3, "outside the file"),
    "bits flipped": (_flipped, 3, "impossible size"),
    "a picture": (_written("p.tflite", b"\x89PNG\r\n\x1a\n" + bytes(50)), 3, "'TFL3' is missing"),
    "a pickle": (_written("model.pb", b"\x80\x04cos\nsystem\n"), 3, "pickle"),
    "text": (_written("model.pb", "Dear model"), 3, "wire type"),
    "a tensor of 35 TB, .tflite": (_huge_tflite, 3, "impossible shape"),
    "an image of 16 GB, GraphDef": (_huge_graph_def, 3, "larger than any"),
    "weights of 8 GB, Keras JSON": (_written("huge.json", _HUGE_DENSE), 3, "would take"),
    "a cycle": (_cyclic, 3, "waits for itself"),
    "nested 3,000 deep, .pb": (_nested_proto, 3, "nothing in the graph"),
    "nested 100,000 deep, .pbtxt": (_written("n.pbtxt", "node{" * 100_000), 3, "nested"),
    "nested 100,000 deep, JSON": (
        _written("n.json", '{"class_name":' + "[" * 100_000), 3, "nested too deeply",
    ),
    "a ZIP bomb": (_bomb, 3, "claims 314,572,800 bytes"),
    "a Lambda, .keras": (_keras("l.keras", _LAMBDA), 3, "holds code, which is never run"),
    "a Lambda, .h5": (_keras("l.h5", _LAMBDA), 3, "holds code, which is never run"),
    "a foreign class, .keras": (_keras("f.keras", _FOREIGN), 3, "unknown layer"),
    "a foreign class, .h5": (_keras("f.h5", _FOREIGN), 3, "unknown layer"),
    "nothing": (lambda folder: folder / "absent.tflite", 3, "no such file"),
}  # fmt: skip

_HEAD = 'name = "P"\n[references.r]\ntitle = "T"\n'
PROFILES: dict[str, tuple[dict[str, str], str]] = {
    # what it is: files (the first is used), what the error says
    "a wrong unit": (
        {"p": _HEAD + '[clock]\nmax_hz = { value = "40 MB", kind = "datasheet", reference = "r" }'},
        "MB",
    ),
    "an unknown key": ({"p": _HEAD + "[clock]\nspeed = 3"}, "speed"),
    "a missing reference": (
        {"p": _HEAD + '[clock]\nmax_hz = { value = "40 MHz", kind = "datasheet",'
         ' reference = "x" }'}, "x",
    ),
    "profiles in a circle": (
        {"p": 'extends = "q"\n', "q": 'extends = "p"\n'}, "extend each other",
    ),
    "nested 50,000 deep": ({"p": "a = " + "[" * 50_000}, "recursion"),
    "no TOML": ({"p": "= 3"}, "not a TOML file"),
}  # fmt: skip


def run(*words: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of the command line."""
    from budget.cli import main
    from budget.report import console

    out, err = io.StringIO(), io.StringIO()
    before = sys.argv
    sys.argv = ["budget", *words]
    console.out_console.cache_clear()
    console.err_console.cache_clear()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
        status = 0
    except SystemExit as end:
        status = int(end.code or 0)
    finally:
        sys.argv = before
        console.out_console.cache_clear()
        console.err_console.cache_clear()
    return status, out.getvalue(), err.getvalue()


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _judge(folder: Path, words: list[str]) -> tuple[int, str, int]:
    """Exit status, error and growth in bytes of a command; nothing in the folder may change."""
    run("check", "zoo:digits", "--device", "stm32l4r5")  # what every command loads
    before, peak = _contents(folder), _peak_bytes()
    status, out, err = run(*words)
    assert not out
    assert "Traceback" not in err
    assert err.count("error:") == 1
    assert _contents(folder) == before
    return status, " ".join(err.split()), _peak_bytes() - peak


@pytest.mark.parametrize("what", list(MODELS))
def test_hostile_models(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, expected, said = MODELS[what]
    if "Keras" in what or what.endswith((".keras", ".h5")):
        pytest.importorskip("h5py")
    path = make(tmp_path)
    monkeypatch.chdir(tmp_path)
    status, err, grown = _judge(tmp_path, ["check", str(path), "--device", "stm32l4r5"])
    assert status == expected, err
    assert said in err
    assert grown < MAX_GROWTH_BYTES


@pytest.mark.parametrize("what", list(PROFILES))
def test_hostile_profiles(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, err, grown = _with_profiles(what, tmp_path, monkeypatch.setenv)
    assert status == 4, err
    assert PROFILES[what][1] in err
    assert grown < MAX_GROWTH_BYTES


def _with_profiles(
    what: str, folder: Path, setenv: Callable[[str, str], None]
) -> tuple[int, str, int]:
    mcus = folder / "mcus"
    mcus.mkdir()
    for name, text in PROFILES[what][0].items():
        (mcus / f"{name}.toml").write_text(f'id = "{name}"\n{text}')
    setenv("BUDGET_PROFILES", str(folder))
    return _judge(folder, ["check", "zoo:digits", "--device", "p"])


@pytest.mark.parametrize("what", ["truncated", "a cycle", "a ZIP bomb"])
def test_outputs_that_are_there_stay(what: str, tmp_path: Path) -> None:
    path = MODELS[what][0](tmp_path)
    kept = tmp_path / "out.pb"
    kept.write_bytes(b"precious")
    words = ["transform", str(path), str(kept), "--transforms", "remove_nodes(op=Identity)"]
    status, _, _ = _judge(tmp_path, words)
    assert status == 3
    assert kept.read_bytes() == b"precious"


def _table() -> None:
    print(f"{'input':30} exit  grown  error")
    for what, (make, _, _) in MODELS.items():
        with tempfile.TemporaryDirectory() as folder:
            words = ["check", str(make(Path(folder))), "--device", "stm32l4r5"]
            status, err, grown = _judge(Path(folder), words)
        print(f"{what:30} {status:4} {grown >> 20:4} M  {err.partition('hint:')[0][7:110]}")
    import os

    for what in PROFILES:
        with tempfile.TemporaryDirectory() as folder:
            status, err, grown = _with_profiles(what, Path(folder), os.environ.__setitem__)
        print(f"{what:30} {status:4} {grown >> 20:4} M  {err.partition('hint:')[0][7:110]}")


if __name__ == "__main__":
    _table()
