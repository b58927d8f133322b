"""A virtual microcontroller that runs and times firmware."""
