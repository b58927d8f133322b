from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow_models as models

from budget.errors import (
    BudgetError,
    CorruptModelError,
    ModelError,
    UnsupportedModelError,
    UsageError,
)
from budget.formats.tensorflow_schema import SAVED_MODEL, SCHEMAS
from budget.graph import Graph, verify
from budget.ops.interpreter import run
from budget.ops.registry import get
from budget.readers.saved_model import read_saved_model
from budget.transforms.lower import lower


def macs_of(graph: Graph) -> int:
    total = 0
    for node in graph.nodes:
        inputs = [graph.type_of(name) if name else None for name in node.inputs]
        outputs = [graph.type_of(name) for name in node.outputs]
        total += get(node.op).cost(node.attributes, inputs, outputs).macs
    return total


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.exported("convolutions", tmp_path_factory.mktemp("exported"))


@pytest.fixture
def copied(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "model"))


def test_a_keras_export_computes_what_keras_computes(exported: Path) -> None:
    graph = verify(read_saved_model(exported))
    _, x, expected = models.frozen("convolutions")
    lowered = verify(lower(graph))
    got = run(lowered, {lowered.inputs[0]: x})[lowered.outputs[0]]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    assert graph.source.format == "saved-model" and len(graph.source.sha256) == 64
    assert any("taken as 1" in note for note in graph.source.notes)


def test_the_keyword_spotter_of_mlperf_tiny(models: Path) -> None:
    lowered = lower(read_saved_model(models / "kws_saved_model"))
    assert macs_of(lowered) == 2_656_768
    # the trained weights of the layers, batch norms in them
    assert sum(t.type.element_count for t in lowered.constants) == 22_604


@pytest.mark.slow
def test_the_checkpoint_reads_as_tensorflow_reads_it(models: Path) -> None:
    from tensorflow_models import tensorflow

    from budget.formats.tensorflow_bundle import Bundle

    prefix = models / "kws_saved_model" / "variables" / "variables"
    reader = tensorflow().train.load_checkpoint(str(prefix))
    bundle = Bundle(prefix, "kws")
    shapes = reader.get_variable_to_shape_map()
    assert set(bundle.entries) == set(shapes)
    for key in shapes:
        if key != "_CHECKPOINTABLE_OBJECT_GRAPH":
            np.testing.assert_array_equal(bundle.read(key)[1], reader.get_tensor(key))


class _Modules:
    """Modules that tf.saved_model.save takes, made when TensorFlow is there."""

    @staticmethod
    def captured():
        tf = models.tensorflow()

        class Module(tf.Module):
            def __init__(self) -> None:
                super().__init__()
                # two variables of one name, found only by following what restores them
                self.first = tf.Variable(np.full((4, 3), 2.0, np.float32), name="w")
                self.second = tf.Variable(np.full((3, 2), 0.5, np.float32), name="w")
                self.table = tf.Variable(np.arange(12, dtype=np.float32).reshape(4, 3))
                self.half = tf.Variable(np.ones(2), dtype=tf.bfloat16)
                self.constant = tf.constant([1.0, -1.0, 2.0])

            @tf.function
            def inner(self, x):
                return x @ self.first + self.constant, tf.gather(self.table, [2, 0])

            @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32, name="x")])
            def serve(self, x):
                y, rows = self.inner(x)
                z = y @ self.second * tf.cast(self.half, tf.float32)
                return {"z": z, "rows": rows + tf.reduce_sum(y)}

            @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32)])
            def other(self, x):
                return {"out": x * 2.0}

        return Module()


@pytest.fixture(scope="session")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tf, made = models.tensorflow(), _Modules.captured()
    folder = tmp_path_factory.mktemp("module")
    signatures = {"serving_default": made.serve, "other": made.other}
    models.quietly(lambda: tf.saved_model.save(made, str(folder), signatures=signatures))
    return folder


def test_variables_captures_and_nested_functions_are_resolved(module: Path) -> None:
    graph = read_saved_model(module)
    lowered = verify(lower(graph))
    x = np.random.default_rng(0).normal(size=(1, 4)).astype(np.float32)
    got = run(lowered, {lowered.inputs[0]: x})
    made = _Modules.captured()  # a function does not keep its module alive
    expected = made.serve(x)
    by_name = {graph.extras["signature_outputs"][name]: i for i, name in enumerate(graph.outputs)}
    for key, index in by_name.items():
        value = got[lowered.outputs[index]]
        np.testing.assert_allclose(value, expected[key].numpy(), rtol=1e-5)
    assert "#NAME reads another: other" in graph.source.notes[0]


def test_signatures_inputs_and_outputs_can_be_chosen(module: Path) -> None:
    graph = read_saved_model(module, signature="other", input_shapes={"x": (3, 4)})
    assert graph.type_of(graph.inputs[0]).shape == (3, 4)
    assert [node.op for node in lower(graph).nodes] == ["mul"]
    only = read_saved_model(module, inputs=["x"], outputs=["rows"])
    assert len(only.outputs) == 1
    with pytest.raises(UsageError, match="no signature 'absent'") as caught:
        read_saved_model(module, signature="absent")
    assert "other, serving_default" in caught.value.hint


def test_state_that_an_inference_changes_is_not_lost_in_silence(tmp_path: Path) -> None:
    tf = models.tensorflow()

    class Counter(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.count = tf.Variable([0.0, 0.0])

        @tf.function(input_signature=[tf.TensorSpec((2,), tf.float32, name="x")])
        def serve(self, x):
            self.count.assign_add(x)
            return {"y": self.count * 2.0}

    made = Counter()
    models.quietly(
        lambda: tf.saved_model.save(made, str(tmp_path), signatures={"serving_default": made.serve})
    )
    with pytest.raises(UnsupportedModelError, match=r"tf\.AssignAddVariableOp"):
        lower(read_saved_model(tmp_path))


def _old_style(folder: Path, trace: Path, *, resource: bool) -> np.ndarray:
    """A SavedModel as TensorFlow 1 made them, whose main_op writes a file when it is loaded."""
    tf = models.tensorflow()
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, (None, 4), name="x")
        initial = np.arange(8, dtype=np.float32).reshape(4, 2)
        weights = v1.get_variable("w", initializer=initial, use_resource=resource)
        y = tf.matmul(x, weights, name="y")
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(folder))
        signature = v1.saved_model.predict_signature_def({"x": x}, {"y": y})
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {"predict": signature},
            main_op=tf.io.write_file(str(trace), "was run"),
        )
        builder.save()
    return initial


@pytest.mark.parametrize("resource", [False, True])
def test_a_main_op_is_never_run(tmp_path: Path, resource: bool) -> None:
    trace = tmp_path / "trace.txt"
    weights = models.quietly(lambda: _old_style(tmp_path / "m", trace, resource=resource))
    lowered = lower(read_saved_model(tmp_path / "m"))
    x = np.ones((1, 4), np.float32)
    np.testing.assert_allclose(run(lowered, {"x": x})[lowered.outputs[0]], x @ weights)
    assert not trace.exists()
    # and yet the model does what it is said to do
    tf = models.tensorflow()
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        models.quietly(
            lambda: tf.compat.v1.saved_model.load(session, ["serve"], str(tmp_path / "m"))
        )
    assert trace.exists()


def test_missing_files_are_told(copied: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no saved_model\.pb"):
        read_saved_model(tmp_path)
    shard = next((copied / "variables").glob("*.data-*"))
    moved = shard.rename(tmp_path / "shard")
    with pytest.raises(ModelError, match="is missing") as caught:
        read_saved_model(copied)
    assert "whole folder" in caught.value.hint
    shard.write_bytes(moved.read_bytes()[:500])
    with pytest.raises(CorruptModelError, match="is cut off"):
        read_saved_model(copied)
    (copied / "variables" / "variables.index").unlink()
    with pytest.raises(ModelError, match="variables of the model are missing"):
        read_saved_model(copied)


def _changed(folder: Path, change) -> None:
    path = folder / "saved_model.pb"
    saved = SAVED_MODEL.decode(path.read_bytes())
    change(saved.meta_graphs[0])
    path.write_bytes(saved.encode())


def test_inconsistent_models_are_refused(copied: Path) -> None:
    original = (copied / "saved_model.pb").read_bytes()

    def attempt(change, error, match: str) -> None:
        (copied / "saved_model.pb").write_bytes(original)
        _changed(copied, change)
        with pytest.raises(error, match=match):
            read_saved_model(copied)

    def unnamed(meta) -> None:
        meta.signature_def = {
            name + suffix: value
            for name, value in meta.signature_def.items()
            for suffix in ("_a", "_b")
            if not name.startswith("__")
        }

    def no_input(meta) -> None:
        info = next(iter(meta.signature_def["serving_default"].inputs.values()))
        info.name = "absent:0"

    def no_function(meta) -> None:
        meta.graph_def.library = SCHEMAS["FunctionDefLibrary"].new()

    def all_serve(meta) -> None:
        meta.meta_info_def.tags = ["train"]
        meta.signature_def = {}

    attempt(unnamed, UsageError, "no signature is the default")
    attempt(no_input, CorruptModelError, "'absent:0' does not exist")
    attempt(no_function, CorruptModelError, "is not in the library")
    attempt(all_serve, UnsupportedModelError, "no signature")
    (copied / "saved_model.pb").write_bytes(b"")
    with pytest.raises(CorruptModelError, match="holds no graph"):
        read_saved_model(copied)


def test_variables_that_do_not_match_are_refused(module: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(module, tmp_path / "m"))

    def other_shape(meta) -> None:
        nodes = []
        for raw in meta.graph_def.node:
            node = SCHEMAS["NodeDef"].decode(raw)
            if node.op == "VarHandleOp":
                node.attr["shape"].shape.dim = [SCHEMAS["Dim"].new(size=7)]
            nodes.append(node.encode())
        meta.graph_def.node = nodes

    _changed(folder, other_shape)
    with pytest.raises(CorruptModelError, match="in the checkpoint"):
        read_saved_model(folder)

    def unrestored(meta) -> None:
        nodes = []
        for raw in meta.graph_def.node:
            node = SCHEMAS["NodeDef"].decode(raw)
            if node.op == "VarHandleOp":
                node.attr["shared_name"].s = b"elsewhere"
            nodes.append(node.encode())
        meta.graph_def.node = nodes
        meta.saver_def.restore_op_name = ""

    shutil.copy(module / "saved_model.pb", folder / "saved_model.pb")
    _changed(folder, unrestored)
    with pytest.raises(ModelError, match="no value for variable"):
        read_saved_model(folder)


@pytest.fixture(scope="module")
def partitioned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray, np.ndarray]:
    """A model of TensorFlow 1 with variables in parts, a queue and a saver; x and its answer."""
    tf = models.tensorflow()
    v1 = tf.compat.v1
    folder = tmp_path_factory.mktemp("partitioned") / "model"
    x = np.random.default_rng(0).normal(size=(1, 300)).astype(np.float32)

    def work() -> np.ndarray:
        with tf.Graph().as_default(), v1.Session() as session:
            v1.set_random_seed(1)
            # a queue feeds training; the model is served from the placeholder
            queue = v1.FIFOQueue(4, [tf.float32], shapes=[[300]])
            queue.enqueue(tf.zeros([300]))
            fed = v1.placeholder_with_default(queue.dequeue_many(1), [None, 300], name="x")
            parts = v1.fixed_size_partitioner(3)
            scope = v1.variable_scope("dense", partitioner=parts, use_resource=False)
            with scope:
                weights = v1.get_variable("w", [300, 4], initializer=v1.random_normal_initializer())
            with v1.variable_scope("out", partitioner=v1.fixed_size_partitioner(2, axis=1)):
                last = v1.get_variable("w", [4, 6], initializer=v1.random_normal_initializer())
            hidden = tf.nn.relu(tf.matmul(fed, tf.convert_to_tensor(weights)))
            y = tf.matmul(hidden, tf.convert_to_tensor(last), name="y")
            session.run(v1.global_variables_initializer())
            v1.saved_model.simple_save(session, str(folder), {"x": fed}, {"y": y})
            return np.asarray(session.run(y, {fed: x}))

    return folder, x, models.quietly(work)


def test_partitioned_variables_are_joined(
    partitioned: tuple[Path, np.ndarray, np.ndarray],
) -> None:
    folder, x, expected = partitioned
    lowered = verify(lower(read_saved_model(folder)))
    assert macs_of(lowered) == 300 * 4 + 4 * 6
    got = run(lowered, {lowered.inputs[0]: x})[lowered.outputs[0]]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_a_slice_that_no_one_can_read_is_refused(
    partitioned: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(partitioned[0], tmp_path / "m"))

    def garbled(meta) -> None:
        nodes = []
        for raw in meta.graph_def.node:
            node = SCHEMAS["NodeDef"].decode(raw)
            if node.name.endswith("shape_and_slices"):
                tensor = node.attr["value"].tensor
                tensor.string_val = [b"300 4 a,b:-" for _ in tensor.string_val]
            nodes.append(node.encode())
        meta.graph_def.node = nodes

    _changed(folder, garbled)
    with pytest.raises(CorruptModelError, match="names no slice"):
        read_saved_model(folder)


@pytest.mark.parametrize("part", ["saved_model.pb", "variables/variables.index"])
def test_damage_gives_one_clear_error(exported: Path, tmp_path: Path, part: str) -> None:
    folder = Path(shutil.copytree(exported, tmp_path / "model"))
    original = (folder / part).read_bytes()
    rng, corrupt = random.Random(7), 0
    for _ in range(60):
        data = models.damaged(original, rng)
        (folder / part).write_bytes(data)
        try:
            lower(read_saved_model(folder))
        except BudgetError as error:
            corrupt += isinstance(error, CorruptModelError)
    assert corrupt > 15
