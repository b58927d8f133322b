"""What a front end costs, counted like layers."""

from __future__ import annotations

import numpy as np

from budget.features.spec import FeatureSpec
from budget.ops.operator import Cost


def front_end_stages(spec: FeatureSpec) -> dict[str, Cost]:
    """Arithmetic of each stage for one clip.

    A multiplication, with the addition that may follow it, counts as one MAC. ``alu`` counts other
    additions, rounding shifts, comparisons and table look-ups, one each. FLOPs are 0. Bytes are
    those of operands, tables and results of a stage, each once a frame, in the narrowest of int16,
    int32 and int64 that holds them.
    """
    length, half = spec.length_samples, spec.fft_points // 2
    bins, bands, count = half + 1, spec.mel_bands, spec.coefficients
    butterflies = half // 2 * (half.bit_length() - 1)
    weights = int(np.count_nonzero(spec.mel_weights))
    # stage: MACs, other arithmetic, bytes read, bytes written
    each = {
        "window": (length, length, 4 * length, 4 * length),
        # a butterfly: two rounding shifts behind the products, four additions
        "fft": (4 * butterflies, 6 * butterflies, 12 * half, 8 * half),
        # a bin: four additions before its product, two shifts, two additions behind it
        "split": (4 * half, 8 * half + 2, 12 * half, 8 * bins),
        # a root: 31 steps, each a sum, a comparison, a shift and a difference
        "power": (2 * bins, 124 * bins if spec.values == "magnitude" else 0, 8 * bins, 8 * bins),
        "mel": (weights, 0, 8 * bins + 2 * weights, 8 * bands),
        # add one, find the leading bit, shift; two look-ups, their difference; behind the product
        # a shift, two sums and a last shift
        "log": (bands, 10 * bands, 8 * bands + 4 * 33, 2 * bands),
        "cosine": (bands * count, count, 2 * bands + 2 * bands * count, 4 * count)
        if spec.transform != "none"
        else (0, 0, 0, 0),
        # subtract, shift, add, compare twice
        "output": (count, 5 * count, 10 * count, count),
    }
    return {
        stage: Cost(
            macs=spec.frames * macs,
            macs_run=spec.frames * macs,
            alu=spec.frames * alu,
            read_bytes=spec.frames * read_bytes,
            write_bytes=spec.frames * write_bytes,
        )
        for stage, (macs, alu, read_bytes, write_bytes) in each.items()
    }


def front_end_cost(spec: FeatureSpec) -> Cost:
    """Arithmetic of one clip's features, all stages; see `front_end_stages`."""
    return sum(front_end_stages(spec).values(), Cost())
