"""File formats: schemas and wire decoding that readers and writers share."""
