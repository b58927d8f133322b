"""Every way to shrink: found by name, valid graphs, and what each promises."""

from __future__ import annotations

import numpy as np
import pytest

from budget.api.models import load, lower
from budget.errors import UnsupportedModelError, UsageError
from budget.graph import Array, DType, Graph, GraphBuilder, TensorType, verify
from budget.ops import NoAttributes, registry
from budget.ops.fully_connected import FullyConnectedAttributes
from budget.ops.interpreter import run
from budget.ops.shaping import ReshapeAttributes, SliceAttributes, StridedSliceAttributes
from budget.shrinking.early_exit import cuts, macs_of
from budget.shrinking.prune import SCORES, importance, prune
from budget.shrinking.quantize import random_samples
from budget.shrinking.refit import refit
from budget.shrinking.stored import real_outputs, stored_inputs
from budget.shrinking.way import Calibration, Shrunk, find, names, parse, way_class
from budget.transforms.channels import Channels
from budget.transforms.low_rank import low_rank
from budget.transforms.resolution import averaging, frames, interpolation, resize_inputs


def graph_of(model: str) -> Graph:
    return lower(load(model))


def small(count: int = 16) -> tuple[Graph, Calibration]:
    graph = graph_of("zoo:digits_cnn")
    return graph, Calibration(random_samples(graph, count))


def outputs(shrunk: Shrunk, sample: dict[str, Array]) -> np.ndarray:
    given = shrunk.adapt(sample) if shrunk.adapt else sample
    graph = shrunk.graph
    found = real_outputs(graph, run(graph, stored_inputs(graph, given)))
    return np.asarray(found[graph.outputs[0]])


@pytest.mark.parametrize("name", names())
def test_every_way_works_with_its_defaults(name: str) -> None:
    graph, calibration = small()
    way = find(name)
    assert parse(way.describe()) == way and way.words
    for strength in way.strengths():
        value = getattr(way, strength.name)
        assert value in strength.choices or strength.low <= value <= strength.high
    shrunk = way.apply(graph, calibration)
    verify(shrunk.graph)
    assert shrunk.note
    assert np.isfinite(outputs(shrunk, calibration.samples[0])).all()
    # the same again: nothing depends on more than the seed
    again = way.apply(graph, Calibration(calibration.samples))
    np.testing.assert_array_equal(
        outputs(shrunk, calibration.samples[1]), outputs(again, calibration.samples[1])
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("melt", "no way to shrink called 'melt'"),
        ("prune:share=1", "no strength 'share'"),
        ("prune:keep=2", "not from 0.05 to 1"),
        ("prune:keep=much", "not from 0.05 to 1"),
        ("prune:score=luck", "not one of activation"),
        ("mixed:kept=1.5", "not a whole number"),
        ("prune:keep", "is not KEY=VALUE"),
        ("cluster:values=7", "not one of 16, 32"),
    ],
)
def test_settings_that_make_no_sense(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse(text)


def test_calibration() -> None:
    graph, calibration = small(3)
    with pytest.raises(UsageError, match="no representative data"):
        Calibration([])
    first = calibration.activations(graph)
    assert calibration.activations(graph) is first
    assert [list(o) for o in calibration.outputs(graph)] == [list(graph.outputs)] * 3
    assert calibration.adapted(None) is calibration
    halved = find("rate").apply(graph, calibration)
    adapted = calibration.adapted(halved.adapt)
    (name,) = graph.inputs
    assert adapted.samples[0][name].shape == halved.graph.type_of(name).shape
    assert way_class("rate").recovers


def nothing_to_shrink() -> Graph:
    builder = GraphBuilder("curve")
    builder.input("x", TensorType((4,), DType.FLOAT32))
    builder.tensor("y", TensorType((4,), DType.FLOAT32))
    builder.node("relu", ["x"], ["y"], NoAttributes())
    builder.output("y")
    return builder.build()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prune", "no channels can be removed"),
        ("low-rank", "no layer can be split"),
        ("mixed", "no layer has weights"),
        ("resolution", "no input is a picture"),
        ("rate", "no input is a picture"),
        ("early-exit", "only a classifier"),
    ],
)
def test_graphs_that_cannot_shrink(text: str, words: str) -> None:
    graph = nothing_to_shrink()
    if text == "prune":
        with pytest.raises(UnsupportedModelError, match=words):
            prune(graph, Calibration(random_samples(graph, 2)), {})
    else:
        with pytest.raises(UnsupportedModelError, match=words):
            parse(text).apply(graph, Calibration(random_samples(graph, 2)))


def test_settings_from_code_are_checked_too() -> None:
    from budget.shrinking.cluster import Cluster

    graph, calibration = small(2)
    with pytest.raises(UsageError, match="7 values"):
        Cluster(values=7).apply(graph, calibration)
    with pytest.raises(UsageError, match="no score 'luck'"):
        importance(graph, Channels(graph), calibration, "luck")
    with pytest.raises(UsageError, match="no group of channels nowhere"):
        prune(graph, calibration, {"nowhere": 0.5})
    with pytest.raises(UsageError, match="too few examples"):
        find("early-exit").apply(graph, calibration)


def test_a_network_held_by_no_single_tensor_has_no_exit() -> None:
    builder = GraphBuilder("two")
    builder.input("x", TensorType((1, 4), DType.FLOAT32))
    for name in ("w", "v"):
        builder.constant(name, np.ones((3, 4), np.float32))
    for name, weights in (("a", "w"), ("b", "v")):
        builder.tensor(name, TensorType((1, 3), DType.FLOAT32))
        builder.node("fully_connected", ["x", weights], [name], FullyConnectedAttributes())
    builder.tensor("y", TensorType((1, 3), DType.FLOAT32))
    builder.node("add", ["a", "b"], ["y"], registry.get("add").Attributes())
    builder.output("y")
    graph = builder.build()
    assert cuts(graph) == []
    with pytest.raises(UnsupportedModelError, match="no single tensor"):
        find("early-exit").apply(graph, Calibration(random_samples(graph, 12)))


@pytest.mark.parametrize("model", ["zoo:ds_cnn", "zoo:resnet8", "zoo:autoencoder"])
@pytest.mark.parametrize("score", SCORES)
def test_fitting_what_is_left_helps(model: str, score: str) -> None:
    """On the very examples, fitted weights come nearer than cut ones, layer for layer."""
    graph = graph_of(model)
    calibration = Calibration(random_samples(graph, 6))
    keep = {group.name: 0.7 for group in Channels(graph).groups()}
    errors = []
    for compensate in (False, True):
        made = prune(graph, calibration, keep, score=score, compensate=compensate)
        assert macs_of(made.graph.nodes, made.graph) < 0.8 * macs_of(graph.nodes, graph)
        values = calibration.outputs(graph)
        errors.append(
            sum(
                float(np.square(outputs(made, s) - v[graph.outputs[0]]).sum())
                for s, v in zip(calibration.samples, values)
            )
        )
    assert errors[1] < errors[0]


def test_kept_channels_come_in_multiples() -> None:
    graph, calibration = small(4)
    made = find("prune", keep=0.6, multiple=8).apply(graph, calibration)
    for node in made.graph.nodes[:-2]:
        if node.op == "conv_2d":
            assert made.graph.type_of(node.outputs[0]).shape[3] % 8 == 0


def test_everything_kept_changes_nothing() -> None:
    graph, calibration = small(4)
    for text in ("prune:keep=1,compensate=no", "resolution:scale=1", "rate:frames=1"):
        made = parse(text).apply(graph, calibration)
        for sample, value in zip(calibration.samples, calibration.outputs(graph)):
            np.testing.assert_allclose(outputs(made, sample), value[graph.outputs[0]], atol=1e-6)


def test_layers_of_low_rank_lose_nothing() -> None:
    random = np.random.default_rng(0)
    builder = GraphBuilder("thin")
    builder.input("x", TensorType((1, 30), DType.FLOAT32))
    w = random.normal(size=(20, 4)) @ random.normal(size=(4, 30))
    builder.constant("w", w.astype(np.float32))
    builder.constant("b", random.normal(size=20).astype(np.float32))
    builder.tensor("y", TensorType((1, 20), DType.FLOAT32))
    builder.node("fully_connected", ["x", "w", "b"], ["y"], FullyConnectedAttributes())
    builder.output("y")
    graph = builder.build()
    calibration = Calibration(random_samples(graph, 40))
    by_weights, notes = low_rank(graph, 1e-6)
    assert notes == [("fully_connected", "20×30 through rank 4")] or "rank 4" in notes[0][1]
    by_data = find("low-rank", error=1e-6).apply(graph, calibration)
    for made in (Shrunk(verify(by_weights), ""), by_data):
        assert macs_of(made.graph.nodes, made.graph) == 4 * (20 + 30)
        for sample, value in zip(calibration.samples[:3], calibration.outputs(graph)):
            np.testing.assert_allclose(outputs(made, sample), value["y"], rtol=1e-3, atol=1e-3)


def test_parts_of_an_early_exit_make_the_whole() -> None:
    graph, calibration = small(24)
    made = find("early-exit", depth=0.4, agreement=0.5).apply(graph, calibration)
    assert made.rest is not None and made.threshold is not None
    for sample in calibration.samples[:3]:
        found = run(made.graph, sample)
        early, middle = (found[name] for name in made.graph.outputs)
        assert early.shape == (1, 10) and abs(float(early.sum()) - 1) < 1e-5
        whole = run(made.rest, {made.rest.inputs[0]: middle})
        np.testing.assert_array_equal(whole[graph.outputs[0]], run(graph, sample)[graph.outputs[0]])
    total = macs_of(graph.nodes, graph)
    head = 10 * made.graph.type_of(made.graph.outputs[1]).shape[-1]
    parts = macs_of(made.graph.nodes, made.graph) + macs_of(made.rest.nodes, made.rest)
    assert parts == total + head


def test_half_the_frames_of_slow_features_change_little() -> None:
    """Features that stay for two frames: a first layer of stride 2 reads the same from half."""
    graph = graph_of("zoo:ds_cnn")
    (name,) = graph.inputs
    random = np.random.default_rng(0)
    samples = [
        {name: np.repeat(random.normal(size=(1, 25, 10, 1)), 2, axis=1)[:, :49].astype(np.float32)}
        for _ in range(4)
    ]
    calibration = Calibration(samples)
    made = find("rate", frames=0.5).apply(graph, calibration)
    assert made.graph.type_of(name).shape == (1, 25, 10, 1)
    first, other = made.graph.nodes[0], graph.nodes[0]
    assert made.graph.type_of(first.outputs[0]) == graph.type_of(other.outputs[0])
    for sample, value in zip(samples, calibration.outputs(graph)):
        np.testing.assert_allclose(outputs(made, sample), value[graph.outputs[0]], atol=0.05)


@pytest.mark.parametrize(
    "model", ["zoo:resnet8", "zoo:mobilenet_v2?alpha=0.35&resolution=64&classes=4", "zoo:ds_cnn"]
)
@pytest.mark.parametrize("scale", [0.5, 0.8])
def test_smaller_pictures_pass_every_layer(model: str, scale: float) -> None:
    graph = graph_of(model)
    calibration = Calibration(random_samples(graph, 2))
    made = find("resolution", scale=scale).apply(graph, calibration)
    for node in made.graph.nodes:
        types = [made.graph.type_of(n) if n else None for n in node.inputs]
        inferred = registry.get(node.op).infer(node.attributes, types)
        assert [t.shape for t in inferred] == [made.graph.type_of(n).shape for n in node.outputs]
    assert outputs(made, calibration.samples[0]).shape == graph.type_of(graph.outputs[0]).shape
    assert macs_of(made.graph.nodes, made.graph) < macs_of(graph.nodes, graph)


def test_resampling() -> None:
    for old, new in ((9, 4), (8, 8), (5, 1), (49, 37)):
        up, down = interpolation(old, new), averaging(old, new)
        np.testing.assert_allclose(up.sum(1), 1)
        np.testing.assert_allclose(down.sum(1), 1)
        np.testing.assert_allclose(down.sum(0), new / old)
        kept = frames(old, new)
        assert len(kept) == new and (np.diff(kept) > 0).all() and kept[-1] < old
    np.testing.assert_array_equal(interpolation(6, 6), np.eye(6))


@pytest.mark.parametrize("op", ["reshape", "slice", "strided_slice", "fully_connected", "add"])
def test_what_holds_on_to_its_size_is_named(op: str) -> None:
    builder = GraphBuilder("held")
    builder.input("x", TensorType((1, 8, 6, 2), DType.FLOAT32))
    inputs = ["x"]
    if op == "reshape":
        attributes = ReshapeAttributes((1, 6, 8, 2))
    elif op == "slice":
        attributes = SliceAttributes((0, 2, 0, 0), (1, 4, 6, 2))
    elif op == "strided_slice":
        attributes = StridedSliceAttributes((0, 2, 0, 0), (1, 8, 6, 2), (1, 1, 1, 1))
    elif op == "add":
        attributes = registry.get("add").Attributes()
        inputs.append(builder.constant("c", np.ones((1, 8, 6, 2), np.float32)))
    else:
        attributes = FullyConnectedAttributes()
        inputs.append(builder.constant("w", np.ones((3, 12), np.float32)))
    types = [builder.tensors[name].type for name in inputs]
    (type,) = registry.get(op).infer(attributes, types)
    builder.tensor("y", type)
    builder.node(op, inputs, ["y"], attributes)
    builder.output("y")
    with pytest.raises(UnsupportedModelError, match="holds on to its size"):
        resize_inputs(builder.build(), {"x": (4, 3)})


def test_layers_that_share_weights_are_not_fitted() -> None:
    builder = GraphBuilder("shared")
    builder.input("x", TensorType((1, 4), DType.FLOAT32))
    random = np.random.default_rng(0)
    builder.constant("w", random.normal(size=(4, 4)).astype(np.float32))
    builder.constant("v", random.normal(size=(4, 4)).astype(np.float32))
    previous = "x"
    for index, weights in enumerate(("w", "w", "v")):
        name = builder.tensor(f"y{index}", TensorType((1, 4), DType.FLOAT32))
        builder.node("fully_connected", [previous, weights], [name], FullyConnectedAttributes())
        previous = name
    builder.output(previous)
    graph = verify(builder.build())
    calibration = Calibration(random_samples(graph, 20))
    fitted = refit(graph, graph, calibration.activations(graph), {})
    np.testing.assert_array_equal(fitted.constant("w"), graph.constant("w"))
    np.testing.assert_allclose(fitted.constant("v"), graph.constant("v"), atol=1e-4)
