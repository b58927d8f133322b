"""How many threads numpy's linear algebra takes."""

from __future__ import annotations

import os


def single_thread() -> None:
    """One thread, unless the user set otherwise; call it before numpy is imported.

    The fits solve hundreds of systems of a few hundred rows: threads that wait for each other
    make that ten times as slow on a machine that does anything else.
    """
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
