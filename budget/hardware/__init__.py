"""Figures with provenance and the profiles made of them."""
