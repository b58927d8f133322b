"""Graphs as TensorFlow 1 left them: heads that decode pictures, queues, savers, labels as text."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow_models as models

from budget.analysis.costs import total_cost
from budget.errors import UnsupportedModelError
from budget.ops.interpreter import run
from budget.readers.graphdef import read_graphdef
from budget.transforms.lower import lower

SHAPE = (1, 16, 16, 3)


@pytest.fixture(scope="module")
def classifier() -> tuple[bytes, np.ndarray, np.ndarray]:
    """A GraphDef, an image and the probabilities for it."""
    tf = models.tensorflow()
    v1 = tf.compat.v1
    image = np.random.default_rng(0).uniform(0, 255, SHAPE).astype(np.float32)

    def work() -> tuple[bytes, np.ndarray]:
        with tf.Graph().as_default() as graph, v1.Session() as session:
            jpeg = v1.placeholder(tf.string, [], name="jpeg")
            pixels = tf.cast(tf.io.decode_jpeg(jpeg, channels=3), tf.float32)
            resized = v1.image.resize_bilinear(
                tf.expand_dims(pixels, 0), SHAPE[1:3], name="resized"
            )
            weights = np.random.default_rng(1).normal(size=(3, 3, 3, 4)).astype(np.float32)
            y = tf.nn.relu(tf.nn.conv2d((resized - 128.0) / 128.0, weights, 1, "SAME"))
            scores = tf.reduce_mean(y, [1, 2], name="scores")
            tf.gather(tf.constant(["a", "b", "c", "d"]), tf.argmax(scores, 1), name="label")
            v1.FIFOQueue(4, [tf.float32], name="queue").enqueue(1.0, name="feed")
            v1.train.Saver([v1.get_variable("step", [], use_resource=False)])
            expected = session.run(scores, {resized: image})
            return graph.as_graph_def().SerializeToString(), np.asarray(expected)

    data, expected = models.quietly(work)
    return data, image, expected


def test_the_network_behind_the_head_is_read(
    classifier: tuple[bytes, np.ndarray, np.ndarray],
) -> None:
    data, image, expected = classifier
    graph = read_graphdef(data, "old.pb", ["resized"], ["scores"], {"resized": SHAPE})
    lowered = lower(graph)
    assert total_cost(lowered).macs == 16 * 16 * 4 * 27
    found = run(lowered, {lowered.inputs[0]: image})[lowered.outputs[0]]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_head_that_is_left_in_is_told(classifier: tuple[bytes, np.ndarray, np.ndarray]) -> None:
    with pytest.raises(UnsupportedModelError, match="Decode"):
        lower(read_graphdef(classifier[0], "old.pb", ["jpeg"], ["scores"], {"jpeg": ()}))
