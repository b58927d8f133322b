"""Latency, energy, flash and RAM of one inference."""
