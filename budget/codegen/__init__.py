"""Programs to C."""
