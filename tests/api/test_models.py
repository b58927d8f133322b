"""Loading and preparing models: precision, notes, refusals."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

import budget
from budget.api.models import prepare
from budget.cli.app import application
from budget.cli.options import shapes
from budget.errors import UsageError


def test_a_float_model_is_judged_as_int8_and_says_so() -> None:
    model = prepare("zoo:ds_cnn")
    assert model.precision == "int8"
    assert any("float model" in note for note in model.notes)
    assert prepare("zoo:ds_cnn", precision="float32").precision == "float32"


def test_a_quantised_model_keeps_its_precision() -> None:
    assert prepare("zoo:digits").precision == "int8"
    with pytest.raises(UsageError, match="already") as caught:
        prepare("zoo:digits", precision="float32")
    assert "float model" in caught.value.hint


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(UsageError, match="int4") as caught:
        prepare("zoo:digits", precision="int4")
    assert "int16x8" in caught.value.hint


def test_shapes_on_the_command_line() -> None:
    assert shapes(["1,96,96,3", "x=1x2"]) == {"": (1, 96, 96, 3), "x": (1, 2)}
    with pytest.raises(UsageError, match="is not a shape"):
        shapes(["1,two"])


def test_version_and_compare_in_this_process() -> None:
    runner = CliRunner()
    assert runner.invoke(application(), ["--version"]).output.startswith("budget ")
    words = ["compare", "zoo:digits", "--devices", "stm32l4r5"]
    assert runner.invoke(application(words), words).exit_code == 0


def test_public_names_are_found_and_others_are_not() -> None:
    assert set(budget.__all__) == set(dir(budget))
    for name in budget.__all__:
        assert getattr(budget, name)
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = budget.nothing_like_it
