"""Transforms of TensorFlow graphs under the names and syntax of the Graph Transform Tool.

Its documentation is at
https://github.com/tensorflow/tensorflow/blob/v1.15.0/tensorflow/tools/graph_transforms/README.md.
"""
