"""What a graph costs and when its tensors are alive."""
