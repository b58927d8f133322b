"""Reference architectures and the small models that ship."""
