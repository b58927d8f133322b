"""Lowered graph, target and runtime to a program in which everything is decided."""
