"""What fuzzing found and a small file cannot show."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from budget.errors import BudgetError, CorruptModelError, ModelError

sys.path.insert(0, str(Path(__file__).parent))

import user_files
from targets import TARGETS, accepted


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
