"""A device's whole cycle, its energy source, and its life over time."""
