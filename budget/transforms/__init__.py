"""Graph to graph: passes and the lowering to canonical operators."""
