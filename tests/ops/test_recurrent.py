"""Fused recurrent operators over several inferences, against LiteRT and TensorFlow Lite Micro."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import recurrent_files as files
from recurrent_files import LSTMS, SVDFS, inputs, stream

from budget.graph import DType
from budget.ops.operator import Rounding
from budget.readers.tflite import read_tflite
from budget.transforms.lower import lower


def compare(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> None:
    for mine, other in zip(found, expected, strict=True):
        if mine.dtype == np.float32:
            np.testing.assert_allclose(mine, other, atol=3e-6)
        else:
            np.testing.assert_array_equal(mine, other)
    assert len(np.unique(np.concatenate([y.ravel() for y in found]))) > 3


@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.INT8])
@pytest.mark.parametrize("case", LSTMS)
def test_lstm_equals_litert(case: str, dtype: DType) -> None:
    random = np.random.default_rng(len(case))
    data = files.lstm(random, dtype, **LSTMS[case])
    graph = lower(read_tflite(data, "lstm.tflite"))
    assert [node.op for node in graph.nodes] == ["lstm"]
    xs = inputs(graph, random)
    compare(stream(graph, xs), files.litert(data, xs))


@pytest.mark.parametrize("dtype", [DType.INT8, DType.INT16])
@pytest.mark.parametrize("case", LSTMS)
def test_lstm_equals_microcontrollers(case: str, dtype: DType) -> None:
    pytest.importorskip("tflite_micro")
    random = np.random.default_rng(len(case))
    data = files.lstm(random, dtype, **LSTMS[case])
    graph = lower(read_tflite(data, "lstm.tflite"))
    xs = inputs(graph, random)
    compare(stream(graph, xs, Rounding.TFLM), files.microcontroller(data, xs))


@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.INT8])
@pytest.mark.parametrize("case", SVDFS)
def test_svdf_equals_litert_and_microcontrollers(case: str, dtype: DType) -> None:
    random = np.random.default_rng(len(case))
    # integer kernels accept RELU only, and do not apply it
    options = SVDFS[case] if dtype is DType.FLOAT32 else {**SVDFS[case], "activation": "RELU"}
    data = files.svdf(random, dtype, **options)
    graph = lower(read_tflite(data, "svdf.tflite"))
    xs = inputs(graph, random, 9)
    found = stream(graph, xs)
    compare(found, files.litert(data, xs))
    if dtype is DType.INT8:
        pytest.importorskip("tflite_micro")
        compare(stream(graph, xs, Rounding.TFLM), files.microcontroller(data, xs))
