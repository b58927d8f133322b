"""Builds and times kernel variants; makes the tables that plan reads."""
