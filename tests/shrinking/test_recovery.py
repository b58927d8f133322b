"""A shrunk network learns again: from labels, from the original, with rounding, after a cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tensorflow_models import quietly, tensorflow

from budget import zoo
from budget.api.models import lower, prepare
from budget.errors import MissingToolError, UsageError
from budget.graph import Graph
from budget.shrinking import recovery
from budget.shrinking.augmentation import UNKNOWN, augmented, joined
from budget.shrinking.dequantize import dequantize
from budget.shrinking.evaluation import answers, explained, integer_outputs, score
from budget.shrinking.examples import Examples, from_arrays, split
from budget.shrinking.prune import prune
from budget.shrinking.quantize import quantize_int8
from budget.shrinking.recovery import Training, float_outputs, recover, taught_by
from budget.shrinking.scaling import better_scaling, present_range, rescaled
from budget.shrinking.way import Calibration
from budget.transforms.channels import Channels

QUICK = Training(epochs=4, rate=3e-3)


@pytest.fixture(scope="module", autouse=True)
def _needs_tensorflow() -> None:
    tensorflow()
    quietly(lambda: recovery.tensorflow("training"))


@pytest.fixture(scope="module")
def original() -> Graph:
    return dequantize(prepare("zoo:digits").graph)


@pytest.fixture(scope="module")
def examples(original: Graph) -> Examples:
    with np.load(zoo.MODELS / "digits.training.npz") as file:
        pixels = (file["features"].astype(np.float32) + 128) / 255
        return from_arrays(
            original, {original.inputs[0]: pixels[..., None]}, file["labels"].astype(np.int64)
        )


@pytest.fixture(scope="module")
def pruned(original: Graph, examples: Examples) -> Graph:
    calibration = Calibration(list(examples.samples(32)))
    keep = {group.name: 0.4 for group in Channels(original).groups()}
    return prune(original, calibration, keep, compensate=False).graph


def right(graph: Graph, examples: Examples) -> float:
    assert examples.labels is not None
    return score(answers(float_outputs(graph, examples)), examples.labels).ratio


def test_a_quantised_network_comes_back_in_float(original: Graph, examples: Examples) -> None:
    integers = prepare("zoo:digits").graph
    some = examples.take(range(60))
    ours = float_outputs(original, some)
    theirs = integer_outputs(integers, some)[integers.outputs[0]]
    assert np.abs(ours - theirs).max() < 0.06
    assert (answers(ours) == answers(theirs)).mean() > 0.97


@pytest.mark.parametrize("lesson", ["labels", "original", "both"])
def test_a_pruned_network_recovers(
    original: Graph, examples: Examples, pruned: Graph, lesson: str
) -> None:
    learn, _, held_out = split(examples, seed=1)
    before = right(pruned, held_out)
    taught = None if lesson == "labels" else taught_by(original, learn)
    given = learn if lesson != "original" else from_arrays(pruned, learn.inputs, None)
    found = recover(pruned, given, taught=taught, training=Training(epochs=12, rate=5e-3))
    assert right(found.graph, held_out) > max(0.9, before + 0.3)
    assert found.losses[-1] < found.losses[0] and len(found.losses) == 12
    assert [n.op for n in found.graph.nodes] == [n.op for n in pruned.nodes]


def test_training_is_seeded_and_goes_on_where_it_was_cut_off(
    original: Graph, examples: Examples, pruned: Graph, tmp_path: Path
) -> None:
    learn = examples.take(range(256))
    taught = taught_by(original, learn)
    seen: list[tuple[int, int]] = []

    def cut(epoch: int, of: int, loss: float) -> None:
        seen.append((epoch, of))
        if epoch == 3:
            raise KeyboardInterrupt

    whole = recover(pruned, learn, taught=taught, training=QUICK).graph
    state = tmp_path / "state.npz"
    with pytest.raises(KeyboardInterrupt):
        recover(pruned, learn, taught=taught, training=QUICK, progress=cut, checkpoint=state)
    assert seen == [(1, 4), (2, 4), (3, 4)]
    again = recover(pruned, learn, taught=taught, training=QUICK, checkpoint=state)
    assert len(again.losses) == 2  # the third epoch was not filed
    for name, tensor in whole.tensors.items():
        if tensor.data is not None:
            np.testing.assert_array_equal(tensor.data, again.graph.tensors[name].data)
    # another network's state is passed over
    other = recover(original, learn, taught=taught, training=Training(epochs=1), checkpoint=state)
    assert len(other.losses) <= 1


def test_training_with_rounding_undoes_what_rounding_costs(
    original: Graph, examples: Examples
) -> None:
    learn, _, held_out = split(examples, seed=2)
    # representative data much louder than the real: the steps are too coarse
    wide = [{n: v * 30 for n, v in s.items()} for s in learn.samples(8)]
    quantized = quantize_int8(original, wide)
    taught = taught_by(original, learn)
    given = float_outputs(original, held_out)
    plain = explained(given, float_outputs(original, held_out, as_quantized=quantized))
    gentle = Training(epochs=10, rate=1e-3, label_share=0.0)
    found = recover(original, learn, taught=taught, training=gentle, as_quantized=quantized).graph
    better = explained(given, float_outputs(found, held_out, as_quantized=quantized))
    assert 1 - better < 0.7 * (1 - plain)


def test_losses_and_inputs_that_are_no_numbers_are_told(
    original: Graph, examples: Examples, pruned: Graph
) -> None:
    some = examples.take(range(128))
    with pytest.raises(UsageError, match="the loss is not a number after 1 pass") as told:
        recover(pruned, some, training=Training(epochs=2, rate=1e30))
    assert "--learning-rate" in told.value.hint
    values = some.inputs[original.inputs[0]].copy()
    values[3, 0, 0, 0] = np.nan
    broken = from_arrays(original, {original.inputs[0]: values}, some.labels)
    with pytest.raises(UsageError, match=r"1 of 128 examples of .* not finite"):
        recover(pruned, broken, training=QUICK)
    with pytest.raises(UsageError, match="nothing to learn from"):
        recover(pruned, from_arrays(original, some.inputs, None), training=QUICK)


def test_values_are_learned_where_outputs_are_no_classes() -> None:
    original = lower(zoo.load("autoencoder?inputs=32&width=24&code=4"))
    random = np.random.default_rng(0)
    values = (random.normal(0, 1, (512, 6)) @ random.normal(0, 1, (6, 32))).astype(np.float32)
    examples = from_arrays(original, {original.inputs[0]: values}, None)
    keep = {group.name: 0.6 for group in Channels(original).groups()}
    calibration = Calibration(list(examples.samples(64)))
    small = prune(original, calibration, keep, compensate=False).graph
    taught = taught_by(original, examples)
    before = explained(taught, float_outputs(small, examples))
    found = recover(small, examples, taught=taught, training=Training(epochs=20, rate=3e-3)).graph
    assert 1 - explained(taught, float_outputs(found, examples)) < (1 - before) / 5


def test_copies_are_new_seeded_and_unlabelled(examples: Examples) -> None:
    some = examples.take(range(40))
    name = next(iter(some.inputs))
    copies = augmented(some, 3, seed=5)
    assert len(copies) == 120 and copies.labels is None
    assert np.array_equal(copies.inputs[name], augmented(some, 3, seed=5).inputs[name])
    assert not np.array_equal(copies.inputs[name], augmented(some, 3, seed=6).inputs[name])
    both = joined(some, copies)
    assert both.labels is not None
    assert (both.labels[:40] == some.labels).all() and (both.labels[40:] == UNKNOWN).all()
    assert joined(copies, copies).labels is None


def test_a_wrong_scale_is_noticed_and_the_right_one_found(
    original: Graph, examples: Examples
) -> None:
    assert present_range(examples) == (0.0, 1.0)
    now, better = better_scaling(original, examples, (0.0, 1.0))
    assert better is None and now.score.ratio > 0.9
    wrong = rescaled(examples, (0.0, 1.0), (-1.0, 1.0))
    assert present_range(wrong) == (-1.0, 1.0)
    now, better = better_scaling(original, wrong, (-1.0, 1.0))
    assert better is not None and better.words == "0 to 1" and better.score.ratio > 0.9
    assert present_range(rescaled(examples, (0.0, 1.0), (-900.0, 900.0))) is None


def test_without_tensorflow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "tensorflow", None)
    for name in [n for n in sys.modules if n.startswith("budget.tf.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingToolError, match="TensorFlow") as told:
        recovery.tensorflow("training")
    assert "mcu-budget[tensorflow]" in told.value.hint


def test_a_fault_of_our_own_is_not_taken_for_a_missing_tensorflow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "budget.tf.trainable", None)
    with pytest.raises(ModuleNotFoundError, match="budget"):
        recovery.tensorflow("trainable")
