"""Reads an HDF5 file once in a process of its own, before this one trusts it.

The HDF5 library is written in C; a file made to harm can send it into an endless loop (seen with
flipped bits in the heap of variable-length text) or crash it. A child that reads everything there
is, under limits of time and memory, shows whether it does.

    python -m budget.readers.keras_probe < weights.h5
"""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

from budget.errors import CorruptModelError, ModelError

UNLISTED = 3  # exit status of a child that could not read everything
CLAIMS_MEMORY = 4  # of one that was asked for more memory than the file can fill
CPU_LIMIT_S = 5
WALL_LIMIT_S = 300.0
_MEMORY_BYTES = 4 << 30
_MORE_BYTES = 512 << 20
_PER_SECOND_BYTES = 20 << 20


def probe(data: bytes, where: str) -> None:
    """Passes if a child process can read everything in the file.

    Args:
        data: the whole HDF5 file.
        where: its name, for messages.

    Raises:
        CorruptModelError: the child did not come to an end, could not list what there is, or found
            no memory for it.
    """
    command = [sys.executable, "-m", "budget.readers.keras_probe"]
    try:
        done = subprocess.run(
            command, input=data, capture_output=True, timeout=WALL_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise CorruptModelError("reading it never ends", where=where) from None
    if done.returncode < 0:
        raise CorruptModelError(
            f"reading it makes the HDF5 library fail (signal {-done.returncode})", where=where
        )
    if done.returncode == UNLISTED:
        raise CorruptModelError("not a sound HDF5 file: what it holds has no list", where=where)
    if done.returncode == CLAIMS_MEMORY:
        raise CorruptModelError(
            "not a sound HDF5 file: it claims more memory than such a file can fill", where=where
        )


def main() -> int:
    """Reads the file on standard input; only the manner of its end matters."""
    data = sys.stdin.buffer.read()
    from budget.readers.keras_hdf5 import import_h5py

    import_h5py()
    _limit(len(data))
    return read(data)


def read(data: bytes) -> int:
    """Reads everything in a file, under limits that are set; the exit status that tells how."""
    from budget.readers.keras_hdf5 import ClaimsMemoryError, Hdf5File

    try:
        file = Hdf5File(io.BytesIO(data), len(data), "")
        try:
            file.read_everything()
        except ClaimsMemoryError:
            raise
        except ModelError:
            return UNLISTED
    except ClaimsMemoryError:
        return CLAIMS_MEMORY
    except ModelError:
        return 0  # the parent meets the same error and tells it
    return 0


def limit_data(size_bytes: int) -> None:
    """Lets this process have so many bytes more than it has, where the system counts them."""
    import resource

    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return
    used = next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmData"))
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (used + size_bytes, hard))


def _limit(size_bytes: int) -> None:
    try:
        import resource
    except ImportError:  # not on Windows, where the wall clock alone has to do
        return
    seconds = CPU_LIMIT_S + size_bytes // _PER_SECOND_BYTES
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    memory_bytes = _MEMORY_BYTES + 4 * size_bytes
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    limit_data(_MORE_BYTES + 4 * size_bytes)


if __name__ == "__main__":
    sys.exit(main())
