"""What fuzzing found and a small file cannot show."""

from __future__ import annotations

import struct
import sys
import time
import zlib
from pathlib import Path

import pytest

from budget.errors import BudgetError, CorruptModelError, ModelError

sys.path.insert(0, str(Path(__file__).parent))

import user_files
import user_seeds
from loop_seeds import loops
from targets import TARGETS, accepted

ENOUGH_SECONDS = 20
"""Of processor time, coverage and a slow machine included: what these took before was beyond it."""


@pytest.mark.parametrize("name", ["profile", "scenario", "gate", "sweep", "front_end"])
def test_an_integer_too_long_for_python_is_refused_in_every_toml_file(name: str) -> None:
    with pytest.raises(BudgetError, match="not a TOML file"):
        TARGETS[name].run(b"schema = " + b"9" * 5000)


def test_an_integer_too_long_for_python_is_refused_in_json() -> None:
    with pytest.raises(BudgetError, match="cannot be read"):
        TARGETS["document"].run(b'{"command": ' + b"9" * 5000 + b"}")
    with pytest.raises(ModelError, match="no manifest"):
        TARGETS["manifest"].run(b"[" * 100_000)


@pytest.mark.parametrize("name", ["no_dtype", "options_are_text", "name_is_an_option"])
def test_a_damaged_manifest_is_told_apart_from_none(name: str) -> None:
    data = (Path(__file__).parent / "corpus" / "manifest" / name).read_bytes()
    with pytest.raises(ModelError, match="manifest is damaged"):
        user_files.run_manifest(data)


def test_constants_of_one_value_are_not_written_out_beyond_memory() -> None:
    """Nine hundred bytes may stand for gigabytes."""
    text = """node { name: "NAME" op: "Const"
      attr { key: "dtype" value { type: DT_FLOAT } }
      attr { key: "value" value { tensor {
        dtype: DT_FLOAT float_val: 1 tensor_shape { dim { size: 16384 } dim { size: 1024 } }
      } } } }
    """
    assert accepted(TARGETS["transform"], text.replace("16384", "8").encode())
    data = (text + text.replace("NAME", "OTHER")).encode()
    with pytest.raises(CorruptModelError, match="single value"):
        user_files.run_transform(data)


@pytest.mark.parametrize("name", ["no_type", "no_shape", "texts"])
def test_weights_without_type_or_shape_are_refused(name: str) -> None:
    data = (Path(__file__).parent / "corpus" / "weights" / name).read_bytes()
    with pytest.raises(CorruptModelError, match="left open"):
        user_files.run_weights(data)


def test_a_throughput_with_two_points_is_no_number() -> None:
    assert not accepted(TARGETS["export"], b"Median throughput is 3.1.5 inf./sec.\n")


def test_more_combinations_than_can_be_priced_are_refused() -> None:
    names = ", ".join(f'"{number}"' for number in range(40))
    plan = "".join(f"{key} = [{names}]\n" for key in ("models", "devices", "sources"))
    with pytest.raises(BudgetError, match="64,000 of them of names"):
        TARGETS["sweep"].run(plan.encode() + b'rates = ["1/s"]\n')
    with pytest.raises(BudgetError, match="damaged"):
        TARGETS["sweep"].run(b"model,device,rate\n" + b"x" * 200_000 + b",a,1/s\n")


def test_a_trace_of_many_pulses_takes_no_square_of_their_number() -> None:
    rows = [f"{at},1,{at % 2}" for at in range(60_000)]
    start = time.process_time()
    user_files.run_export("\n".join(["Timestamp(ms),Current(uA),D0", *rows]).encode())
    assert time.process_time() - start < ENOUGH_SECONDS


def test_static_symbols_of_one_name_are_numbered_in_no_time() -> None:
    from budget.core.elf import load_elf

    start = time.process_time()
    symbols = load_elf(_elf(symbols=20_000), "fuzz.elf").symbols
    assert time.process_time() - start < ENOUGH_SECONDS
    assert len(symbols) == 20_000 and symbols["a#20000"].address == 0x8000 + 2 * 19_999


def test_a_program_that_no_board_could_hold_is_refused() -> None:
    pytest.importorskip("unicorn")
    with pytest.raises(BudgetError, match="2,147,483,648 bytes"):
        user_files.run_elf(_elf(memory_bytes=1 << 31))


def _elf(symbols: int = 0, memory_bytes: int = 16) -> bytes:
    """A segment of zeros; static functions that are all called ``a``."""
    table = b"".join(
        struct.pack("<IIIBBH", 1, 0x8000 + 2 * number, 2, 2, 0, 1) for number in range(symbols)
    )
    at = 52 + 32
    end = at + len(table)
    header = struct.pack(
        "<16sHHIIIIIHHHHHH", b"\x7fELF\1\1\1" + bytes(9), 2, 40, 1, 0, 52, end + 4, 0, 52, 32, 1,
        40, 3, 2,
    )  # fmt: skip
    load = struct.pack("<8I", 1, 0, 0x2000_0000, 0x2000_0000, 0, memory_bytes, 6, 4)
    sections = bytes(40) + struct.pack("<10I", 0, 2, 0, 0, at, len(table), 2, 0, 4, 16)
    sections += struct.pack("<10I", 0, 3, 0, 0, end, 3, 0, 0, 1, 0)
    return header + load + table + b"\0a\0\0" + sections


def test_a_picture_of_many_pixels_is_refused_before_they_are_there() -> None:
    pytest.importorskip("PIL")
    header = struct.pack(">IIBBBBB", 9000, 9000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n"
    for name, body in ((b"IHDR", header), (b"IDAT", b""), (b"IEND", b"")):
        data += struct.pack(">I", len(body)) + name + body
        data += zlib.crc32(name + body).to_bytes(4, "big")
    with pytest.raises(BudgetError, match="81,000,000 pixels"):
        user_files.run_picture(data)
    with pytest.raises(BudgetError, match="cannot identify"):  # what starts another program
        user_files.run_picture(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")


def test_functions_that_double_are_refused_in_time() -> None:
    """Each calls the next twice: some thousand bytes would be a thousand million operators."""
    dtype = 'attr { key: "T" value { type: DT_FLOAT } }'
    signature = (
        'signature { name: "NAME" input_arg { name: "a" type: DT_FLOAT } '
        'output_arg { name: "b" type: DT_FLOAT } }'
    )
    text = 'node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } } '
    text += 'attr { key: "shape" value { shape { dim { size: 4 } } } } } '
    text += 'node { name: "y" op: "f0" input: "x" } library {'
    for depth in range(30):
        calls = "".join(
            f'node_def {{ name: "n{n}" op: "f{depth + 1}" input: "{source}" {dtype} }}\n'
            for n, source in ((0, "a"), (1, "n0:b:0"))
        )
        text += f"function {{ {signature.replace('NAME', f'f{depth}')} {calls}"
        text += ' ret { key: "b" value: "n1:b:0" } }\n'
    start = time.process_time()
    with pytest.raises(CorruptModelError, match="without end"):
        TARGETS["pbtxt"].run((text + "}").encode())
    assert time.process_time() - start < ENOUGH_SECONDS


def test_loops_inside_loops_are_refused_in_time() -> None:
    """Each runs sixty times: thousands of millions of steps at a depth of six."""
    assert accepted(TARGETS["pbtxt"], loops(2, 3))
    start = time.process_time()
    with pytest.raises(BudgetError, match="too many steps"):
        TARGETS["pbtxt"].run(loops(6, 60))
    assert time.process_time() - start < ENOUGH_SECONDS


NO_PATHS = ["a\\u0000.toml", f"{'a' * 300}.toml", f"{'a/' * 3000}a.toml"]


@pytest.mark.parametrize("path", NO_PATHS)
@pytest.mark.parametrize("key", ["scenario", "model", "device"])
def test_names_that_can_be_no_path_are_refused(tmp_path: Path, key: str, path: str) -> None:
    from budget.api.gate import run_gate

    named = {"model": "zoo:digits", "device": "efm32pg12", key: path}
    lines = "\n".join(f'{name} = "{value}"' for name, value in named.items())
    (tmp_path / "budget.toml").write_text(f"schema = 1\n[[check]]\n{lines}\n")
    try:
        (outcome,) = run_gate(tmp_path / "budget.toml").outcomes
    except BudgetError as error:
        assert (key == "scenario" and "cannot be read" in error.what) or "TOML" in error.what
    else:
        assert key != "scenario" and outcome.error is not None


def test_a_front_end_that_is_no_path_is_refused() -> None:
    from budget.api.front_ends import specification_path

    with pytest.raises(BudgetError, match="no front end"):
        specification_path("a\0")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"time [s],power [W]\n0,1\n1e-9,1\n", "too short to be repeated"),
        (b"time [s],power [W]\n0,1\n1e300,1\n", "no number"),
        (b"time [s],power [W]\n0,1e200\n1,1\n", "no number"),
    ],
)
def test_traces_whose_numbers_end_in_nothing_are_refused(data: bytes, said: str) -> None:
    with pytest.raises(BudgetError, match=said):
        user_files.run_trace(data)


@pytest.mark.parametrize("old", [b"16000", b"[5,", b"0.03125"])
def test_front_ends_of_numbers_beyond_floats_are_refused(old: bytes) -> None:
    new = b"inf" if b"." in old else old.replace(b"5", b"16000").replace(b"16000", b"9" * 400)
    with pytest.raises(BudgetError, match="below 2"):
        user_files.run_front_end(user_seeds.front_ends()[0].replace(old, new))


def test_a_heading_of_blanks_is_read_at_once() -> None:
    start = time.process_time()
    assert not accepted(TARGETS["trace"], b"time [" + b" " * 60_000 + b",power [W]\n0,1\n1,2\n")
    assert accepted(TARGETS["trace"], b" time ( s ),power[ W ] \n0,1\n1,2\n")
    assert time.process_time() - start < ENOUGH_SECONDS


@pytest.mark.parametrize("name", ["quantity", "export"])
def test_long_numbers_are_read_in_time_that_grows_with_their_length(name: str) -> None:
    data = b"Median throughput is " * (name == "export") + b"1" * 60_000 + b"!"
    start = time.process_time()
    assert not accepted(TARGETS[name], data)
    assert time.process_time() - start < ENOUGH_SECONDS


@pytest.mark.parametrize("name", ["profile", "scenario", "gate", "sweep", "front_end"])
def test_keys_of_thousands_of_parts_are_refused_in_time(name: str) -> None:
    start = time.process_time()
    with pytest.raises(BudgetError, match="too many dots"):
        TARGETS[name].run(b"a." * 30_000 + b"b = 1")
    assert time.process_time() - start < ENOUGH_SECONDS


def test_more_checks_than_anybody_waits_for_are_refused() -> None:
    devices = b"devices = [" + b'"efm32pg12", ' * 4000 + b"]\n"
    entries = b'[[check]]\nmodel = "zoo:hotword"\n' * 300
    with pytest.raises(BudgetError, match="5,000 checks"):
        TARGETS["gate"].run(b"schema = 1\n[defaults]\n" + devices + entries)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("attribute_without_end", "library fail"),
        ("parts_without_list", "has no list"),
        ("heap_of_gigabytes", "claims more memory"),
    ],
)
def test_what_the_hdf5_library_cannot_list_is_not_read(
    tmp_path: Path, name: str, said: str
) -> None:
    """By the reader's own child, which must not pass what it did not read."""
    pytest.importorskip("h5py")
    from budget.readers import load

    path = tmp_path / "model.h5"
    path.write_bytes((Path(__file__).parent / "corpus" / "h5" / name).read_bytes())
    with pytest.raises(CorruptModelError, match=said):
        load(path)


def test_gigabytes_are_not_claimed_twice() -> None:
    """What the reader's child does, here under its limit: one claim ends the reading."""
    pytest.importorskip("h5py")
    resource = pytest.importorskip("resource")
    from budget.readers import keras_probe

    data = (Path(__file__).parent / "corpus" / "h5" / "heap_of_gigabytes").read_bytes()
    before = resource.getrlimit(resource.RLIMIT_DATA)
    keras_probe.limit_data(512 << 20)
    try:
        assert keras_probe.read(data) == keras_probe.CLAIMS_MEMORY
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
