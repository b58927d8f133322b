"""Architectures: counts against published ones, options, and errors."""

from __future__ import annotations

import numpy as np
import pytest

from budget import zoo
from budget.errors import UsageError
from budget.graph import Graph, dump, verify
from budget.ops import registry


def total_macs(graph: Graph) -> int:
    return sum(
        registry.get(node.op)
        .cost(
            node.attributes,
            [graph.type_of(name) for name in node.inputs],
            [graph.type_of(name) for name in node.outputs],
        )
        .macs
        for node in graph.nodes
    )


def total_weights(graph: Graph) -> int:
    return sum(tensor.type.element_count for tensor in graph.constants)


# MACs: MLPerf Tiny's four models as counted from their files; MobileNets as their papers (569 M,
# 300 M) and TensorFlow's profiler on keras.applications have them; GoogLeNet's by hand in
# test_inception_v1_by_hand; the small DNN's 158.4 K operations (arXiv 1711.07128, table 3: 158.8 K
# with biases) are twice these MACs.
@pytest.mark.parametrize(
    ("name", "macs"),
    [
        ("ds_cnn", 2_656_768),
        ("mobilenet_v1?alpha=0.25&resolution=96&classes=2", 7_489_664),
        ("resnet8", 12_501_632),
        ("autoencoder", 264_192),
        ("mobilenet_v1", 568_740_352),
        ("mobilenet_v2", 300_774_272),
        ("hotword_fc", 79_200),
    ],
)
def test_macs_are_the_published_ones(name: str, macs: int) -> None:
    assert total_macs(zoo.load(name)) == macs


# Keras's trainable parameters less one of the two that each batch-norm channel has: folding
# leaves a bias.
@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("mobilenet_v1", 4_231_976 - 10_944),
        ("mobilenet_v2", 3_504_872 - 17_056),
        ("inception_v1", 6_998_552),
    ],
)
def test_parameters_are_the_published_ones(name: str, weights: int) -> None:
    assert total_weights(zoo.load(name)) == weights


def test_inception_v1_by_hand() -> None:
    # image side, and channels in and out of every branch, from the paper's table 1
    blocks = [
        (28, 192, 64, 96, 128, 16, 32, 32),
        (28, 256, 128, 128, 192, 32, 96, 64),
        (14, 480, 192, 96, 208, 16, 48, 64),
        (14, 512, 160, 112, 224, 24, 64, 64),
        (14, 512, 128, 128, 256, 24, 64, 64),
        (14, 512, 112, 144, 288, 32, 64, 64),
        (14, 528, 256, 160, 320, 32, 128, 128),
        (7, 832, 256, 160, 320, 32, 128, 128),
        (7, 832, 384, 192, 384, 48, 128, 128),
    ]
    macs = 112**2 * 49 * 3 * 64 + 56**2 * 64 * 64 + 56**2 * 9 * 64 * 192 + 1024 * 1000
    for side, depth, one, reduce_3, three, reduce_5, five, pool in blocks:
        ones = one + reduce_3 + reduce_5 + pool
        macs += side**2 * (depth * ones + 9 * reduce_3 * three + 25 * reduce_5 * five)
    assert total_macs(zoo.load("inception_v1")) == macs
    assert 1.4e9 <= macs <= 1.6e9


@pytest.mark.parametrize("name", zoo.ARCHITECTURES)
def test_graphs_are_sound_and_reproducible(name: str) -> None:
    graph = zoo.load(name)
    verify(graph)
    assert graph.dialect == "canonical"
    assert graph.source.name == f"zoo:{name}"
    if name not in ("inception_v1", "mobilenet_v1", "mobilenet_v2"):
        assert dump(graph) == dump(zoo.load(name))
        assert dump(graph) != dump(zoo.load(name, seed=1))


@pytest.mark.parametrize("name", ["digits_cnn", "ds_cnn", "resnet8", "hotword_fc"])
def test_answers_are_probabilities_that_differ(name: str) -> None:
    graph = zoo.load(name)
    shape = graph.type_of(graph.inputs[0]).shape
    values = {tensor.name: tensor.data for tensor in graph.constants}
    values["input"] = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    for node in graph.nodes:
        operands = [values[tensor] for tensor in node.inputs]
        results = registry.get(node.op).run_float(node.attributes, operands)
        values.update(zip(node.outputs, results))
    answer = values[graph.outputs[0]]
    assert answer.shape == graph.type_of(graph.outputs[0]).shape
    assert float(answer.sum()) == pytest.approx(1, abs=1e-5)
    assert np.ptp(answer) > 0.01  # He's scaling kept the signal alive


def test_options_as_text_and_as_values_agree() -> None:
    text = zoo.load("mobilenet_v2?alpha=0.35&resolution=96&classes=5")
    assert dump(text) == dump(zoo.load("mobilenet_v2", alpha=0.35, resolution=96, classes=5))
    assert text.type_of("input").shape == (1, 96, 96, 3)
    assert text.type_of(text.outputs[0]).shape == (1, 5)
    assert zoo.load("ds_cnn?width=8", width=4).type_of("conv").shape[3] == 4


@pytest.mark.parametrize("resolution", [8, 9, 31, 32, 33, 97, 224])
@pytest.mark.parametrize("name", ["inception_v1", "mobilenet_v1", "mobilenet_v2", "resnet8"])
def test_every_resolution_works(name: str, resolution: int) -> None:
    small = {} if name in ("inception_v1", "resnet8") else {"alpha": 0.1}
    verify(zoo.load(name, resolution=resolution, classes=2, **small))


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("resnet9", "the zoo has no 'resnet9'", "mobilenet_v1"),
        ("../models/hotword", "the zoo has no", "hotword"),
        ("resnet8?depth=3&x=1", "no option depth, x", "resolution=32, width=16"),
        ("resnet8?width=wide", "option width='wide' is not a whole number", "width=16"),
        ("mobilenet_v1?alpha=", "option alpha='' is not a number", "alpha=1.0"),
        ("resnet8?width=0", "option width=0 is not from 1 to 4096", "width=16"),
        ("mobilenet_v1?alpha=nan", "option alpha=nan is not from 0.05 to 4.0", "alpha=1.0"),
    ],
)
def test_errors_name_the_remedy(name: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        zoo.load(name)
    assert message in caught.value.what
    assert hint in caught.value.hint
    assert caught.value.where.startswith("zoo:")
