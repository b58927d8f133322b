"""Everything that imports TensorFlow; nothing else does."""
