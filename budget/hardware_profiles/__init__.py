"""Profiles of parts, as TOML files."""
