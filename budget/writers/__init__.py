"""Graphs to model files."""
