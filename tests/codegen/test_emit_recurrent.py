"""Recurrent layers as C: a sequence of inferences whose states stay in the context."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import recurrent_files as files
from host import HostModel
from recurrent_files import LSTMS, SVDFS, inputs, stream

from budget.codegen import EmitOptions
from budget.errors import UnsupportedModelError
from budget.graph import DType
from budget.ops.operator import Rounding
from budget.plan import plan
from budget.readers.tflite import read_tflite
from budget.transforms.lower import lower


def check(data: bytes, folder: Path, rounding: Rounding, seed: int) -> None:
    graph = lower(read_tflite(data, "m.tflite"))
    program = plan(graph)
    flags = ("-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all")
    model = HostModel(program, folder, EmitOptions(name="m", rounding=rounding), flags)
    xs = inputs(graph, np.random.default_rng(seed), 6)
    for _ in range(2):  # `init` forgets
        model.function("init")()
        for x, expected in zip(xs, stream(graph, xs, rounding), strict=True):
            found = model.run({graph.inputs[0]: x})[graph.outputs[0]]
            if found.dtype == np.float32:
                np.testing.assert_allclose(found, expected, atol=3e-6)
            else:
                np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.INT8, DType.INT16])
@pytest.mark.parametrize("case", LSTMS)
def test_lstm(case: str, dtype: DType, rounding: Rounding, tmp_path: Path) -> None:
    data = files.lstm(np.random.default_rng(len(case)), dtype, **LSTMS[case])
    if dtype is DType.INT16 and rounding is Rounding.TFLITE:
        with pytest.raises(UnsupportedModelError, match="microcontroller kernel only"):
            check(data, tmp_path, rounding, 1)
        return
    check(data, tmp_path, rounding, 1)


@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.INT8])
@pytest.mark.parametrize("case", SVDFS)
def test_svdf(case: str, dtype: DType, tmp_path: Path) -> None:
    data = files.svdf(np.random.default_rng(len(case)), dtype, **SVDFS[case])
    check(data, tmp_path, Rounding.TFLITE, 2)
