"""Tells before a board is bought whether a neural network will run there, and on what energy."""

__version__ = "0.1.0"
