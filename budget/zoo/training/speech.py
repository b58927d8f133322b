"""Spoken words, synthesised with espeak-ng and mixed with noise, as features of one second each.

Training and held-out clips share no voice: the variants of espeak-ng that speak the held-out
clips speak none of the training ones, and one accent is heard only in the held-out set. Half the
words behind the class *unknown* are new there too.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import wave
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from budget.errors import MissingToolError
from budget.features import FeatureSpec, extract_cepstrum

Sound = NDArray[np.float32]

KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
LABELS = (*KEYWORDS, "silence", "unknown")
SAMPLE_RATE_HZ = 16000

_ACCENTS = ("en-us", "en-gb", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-scotland", "en-029")
_ACCENTS_HELD_OUT = (*_ACCENTS, "en-gb-x-gbcwmd")
_VARIANTS = (
    "m1 m2 m3 m4 m5 m6 m7 f1 f2 f3 f4 Alex Alicia Andrea Annie Denis Diogo Gene Henrique Hugo "
    "Jacky Lee Marco Mario Michael Nguyen Storm adam announcer antonio aunty belinda boris caleb "
    "ed edward grandma gustave iven john kaukovalta linda marcelo max michel miguel norbert pablo "
    "pedro quincy rob sandro shelby steph travis zac"
)
_VARIANTS_HELD_OUT = (
    "m8 f5 Andy Gene2 Mike anika benjamin david grandpa iven2 paul robert steph2 victor"
)
_OTHER_WORDS = (
    "house water seven marvin happy wow dog cat bird tree bed three zero nine learn visual "
    "forward money paper window yellow orange table music river people summer maybe under always"
)
_OTHER_WORDS_HELD_OUT = (
    "sheila follow backward five garden coffee winter button letter doctor simple kitchen morning "
    "number planet"
)


@dataclass(frozen=True)
class Clips:
    """Labelled clips.

    Attributes:
        cepstrum: int32, [clip][frame][coefficient], Q8, before scaling to int8.
        labels: index into `LABELS`.
        snr_db: speech over noise; 0 for clips of the class silence.
        voices: names of espeak-ng's voices; empty for silence.
    """

    cepstrum: NDArray[np.int32]
    labels: NDArray[np.uint8]
    snr_db: NDArray[np.float32]
    voices: tuple[str, ...]


@dataclass(frozen=True)
class Utterance:
    """One word as one voice says it; a word of "" stands for silence."""

    word: str
    voice: str
    words_per_minute: int
    pitch: int


def make_clips(spec: FeatureSpec, *, held_out: bool, per_word: int, takes: int, seed: int) -> Clips:
    """Synthesises clips and computes their features.

    Args:
        spec: the front end; its output scaling is not used.
        held_out: speak with the held-out voices.
        per_word: utterances of each keyword; *unknown* gets as many again and a half.
        takes: clips made of each utterance, each with its own noise, place and level.
        seed: of every choice.
    """
    utterances = _cast(held_out, per_word, np.random.default_rng([seed, held_out]))
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        sounds = list(pool.map(synthesize, utterances))
    babble = [sound for sound, said in zip(sounds, utterances) if said.word]
    cepstra: list[NDArray[np.int32]] = []
    snrs: list[float] = []
    for take in range(takes):
        for start in range(0, len(sounds), 200):
            audio = []
            for index in range(start, min(start + 200, len(sounds))):
                rng = np.random.default_rng([seed, held_out, take, index])
                clip, snr_db = mix(sounds[index], babble, rng)
                audio.append(clip)
                snrs.append(snr_db)
            cepstra.append(extract_cepstrum(spec, np.stack(audio)).astype(np.int32))
    labels = np.array([_label(said.word) for said in utterances], np.uint8)
    return Clips(
        np.concatenate(cepstra),
        np.tile(labels, takes),
        np.array(snrs, np.float32),
        tuple(said.voice for said in utterances) * takes,
    )


def cast_summary() -> str:
    """Who speaks and what is said, for the model cards."""
    return (
        f"{len(_VARIANTS.split())} voice variants in {len(_ACCENTS)} accents speak the training\n"
        f"words; {len(_VARIANTS_HELD_OUT.split())} other variants, in "
        f"{len(_ACCENTS_HELD_OUT)} accents of which one is new, speak the held-out words.\n"
        f"*Unknown* is {len(_OTHER_WORDS.split())} other words, and "
        f"{len(_OTHER_WORDS_HELD_OUT.split())} more in the held-out set alone."
    )


@cache
def _program() -> str:
    program = shutil.which("espeak-ng")
    if program is None:
        raise MissingToolError(
            "espeak-ng is not installed", hint="install it, on Debian: apt-get install espeak-ng"
        )
    return program


def synthesize(said: Utterance) -> Sound:
    """The utterance at 16 kHz, silence trimmed, peak 1; empty for silence.

    Raises:
        MissingToolError: espeak-ng is not installed.
    """
    if not said.word:
        return np.zeros(0, np.float32)
    from scipy.signal import resample_poly

    command = [_program(), "--stdout", "-v", said.voice, "-s", str(said.words_per_minute)]
    command += ["-p", str(said.pitch), said.word]
    output = subprocess.run(command, capture_output=True, check=True).stdout
    with wave.open(io.BytesIO(output)) as file:
        rate = file.getframerate()
        frames = file.readframes(len(output))
    sound = np.frombuffer(frames, "<i2").astype(np.float32)
    divisor = int(np.gcd(rate, SAMPLE_RATE_HZ))
    sound = resample_poly(sound, SAMPLE_RATE_HZ // divisor, rate // divisor)
    loud = np.flatnonzero(np.abs(sound) > 0.02 * np.abs(sound).max())
    sound = sound[loud[0] : loud[-1] + 1]
    return np.asarray(sound / np.abs(sound).max(), np.float32)


def mix(
    sound: Sound, babble: Sequence[Sound], rng: np.random.Generator
) -> tuple[NDArray[np.int16], float]:
    """One second with the word somewhere in it, noise under it, at some loudness.

    Returns:
        int16 samples and the ratio of speech to noise in dB (0 where nothing is said).
    """
    noise = _noise(babble, rng)
    level = 10 ** (rng.uniform(-38, -12) / 20)
    clip = np.zeros(SAMPLE_RATE_HZ, np.float32)
    snr_db = 0.0
    if len(sound):
        sound = sound[:SAMPLE_RATE_HZ]
        slack = SAMPLE_RATE_HZ - len(sound)
        centre, reach = slack // 2, min(slack // 2, 1600)
        start = centre + int(rng.integers(-reach, reach + 1))
        clip[start : start + len(sound)] = sound / np.sqrt(np.mean(sound**2))
        snr_db = float(rng.uniform(5, 30))
        clip += noise * 10 ** (-snr_db / 20)
    else:
        clip = noise * np.float32(10 ** (-rng.uniform(5, 30) / 20))
    scaled = np.round(clip * level * 32768)
    return np.clip(scaled, -32768, 32767).astype(np.int16), snr_db


def _noise(babble: Sequence[Sound], rng: np.random.Generator) -> Sound:
    """Unit-power noise: 1/f^a with a from 0 to 2, a hum, or a murmur of other words."""
    count = SAMPLE_RATE_HZ
    kind = rng.choice(["coloured", "coloured", "hum", "babble"])
    frequency = np.maximum(np.fft.rfftfreq(count, 1 / SAMPLE_RATE_HZ), 20)
    slope = rng.uniform(0, 2)
    spectrum = np.fft.rfft(rng.standard_normal(count)) * frequency ** (-slope / 2)
    noise = np.fft.irfft(spectrum, count)
    noise /= np.sqrt(np.mean(noise**2))
    if kind == "hum":
        time_s = np.arange(count) / SAMPLE_RATE_HZ
        base_hz = rng.choice([50, 60, 100, 120, 180])
        for harmonic in range(1, 8):
            phase = rng.uniform(0, 2 * np.pi)
            noise += np.sin(2 * np.pi * base_hz * harmonic * time_s + phase) * rng.uniform(0, 1)
    elif kind == "babble":
        noise *= 0.3
        for _ in range(5):
            other = babble[int(rng.integers(len(babble)))][:count]
            start = int(rng.integers(count))
            end = min(count, start + len(other))
            noise[start:end] += other[: end - start] * 2
    return np.asarray(noise / np.sqrt(np.mean(noise**2)), np.float32)


def _cast(held_out: bool, per_word: int, rng: np.random.Generator) -> list[Utterance]:
    """Who says what: keywords, other words, and silence, in a fixed order."""
    accents = _ACCENTS_HELD_OUT if held_out else _ACCENTS
    variants = (_VARIANTS_HELD_OUT if held_out else _VARIANTS).split()
    known = _OTHER_WORDS.split()
    others = known + _OTHER_WORDS_HELD_OUT.split() if held_out else known
    words = [word for word in KEYWORDS for _ in range(per_word)]
    unknown = per_word if held_out else per_word * 3 // 2
    # the new words twice as often, so that half of the held-out clips are of them
    weights = np.array([1 if word in known else 2 for word in others], float)
    words += [str(word) for word in rng.choice(others, unknown, p=weights / weights.sum())]
    said = [
        Utterance(
            word,
            f"{rng.choice(accents)}+{rng.choice(variants)}",
            int(rng.integers(110, 210)),
            int(rng.integers(20, 81)),
        )
        for word in words
    ]
    return said + [Utterance("", "", 0, 0)] * per_word


def _label(word: str) -> int:
    if not word:
        return LABELS.index("silence")
    return LABELS.index(word) if word in KEYWORDS else LABELS.index("unknown")


def coefficient_scaling(
    cepstrum: NDArray[np.int32], *, steps_per_deviation: int, shift: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Offsets and multipliers that give each coefficient mean 0 and the wanted spread in int8."""
    flat = cepstrum.reshape(-1, cepstrum.shape[-1])
    offset = np.round(flat.mean(axis=0)).astype(int)
    multiplier = np.round(steps_per_deviation * 2**shift / flat.std(axis=0)).astype(int)
    return tuple(offset.tolist()), tuple(multiplier.tolist())
