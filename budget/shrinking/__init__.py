"""Makes a model smaller until it fits."""
