"""Sound from a WAV file."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from budget.errors import CorruptModelError, UsageError
from budget.features.spec import FeatureSpec

_MOST_BYTES = 256 << 20


def read_sound(path: Path | str, spec: FeatureSpec) -> NDArray[np.int16]:
    """The samples of a WAV file, as the front end hears them.

    Args:
        path: 16-bit mono PCM at the specification's sample rate.
        spec: the front end.

    Returns:
        int16, [samples].

    Raises:
        UsageError: the file cannot be read, or is in another form.
        CorruptModelError: it is not a WAV file.
    """
    try:
        with wave.open(str(path), "rb") as sound:
            form = sound.getnchannels(), sound.getsampwidth(), sound.getframerate()
            data = sound.readframes(min(sound.getnframes(), _MOST_BYTES // 4))
    except OSError as error:
        raise UsageError(
            f"cannot be read: {error.strerror}", where=str(path), hint="name a WAV file"
        ) from None
    except (wave.Error, EOFError, RuntimeError) as error:  # the last: of a chunk beyond the end
        raise CorruptModelError(
            f"not a WAV file of PCM: {error or 'it ends too early'}", where=str(path)
        ) from None
    if form != (1, 2, spec.sample_rate_hz):
        channels, width, rate_hz = form
        raise UsageError(
            f"{channels} channels of {8 * width} bits at {rate_hz} Hz; the front end hears one of "
            f"16 bits at {spec.sample_rate_hz} Hz",
            where=str(path),
            hint=f"sox {Path(path).name} -r {spec.sample_rate_hz} -b 16 -c 1 converted.wav",
        )
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.int16)
