"""The scripts behind the shipped models, as far as they run in seconds."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from budget.errors import MissingToolError
from budget.features import FeatureSpec, extract, scale_cepstrum
from budget.graph import Graph
from budget.readers import load as read
from budget.zoo import MODELS
from budget.zoo.training import cards, manifest, speech
from budget.zoo.training.data import specification

pytest.importorskip("scipy.signal")
SPEC = FeatureSpec.load(MODELS / "hotword.features.toml")
needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is absent")


@needs_espeak
def test_words_are_synthesised_alike_each_time() -> None:
    said = speech.Utterance("yes", "en-us+f5", 150, 50)
    sound = speech.synthesize(said)
    assert 0.1 < len(sound) / speech.SAMPLE_RATE_HZ < 1
    assert np.abs(sound).max() == pytest.approx(1)
    assert np.array_equal(sound, speech.synthesize(said))


@needs_espeak
def test_clips_are_reproducible_and_share_no_voice() -> None:
    sets = [
        speech.make_clips(SPEC, held_out=held_out, per_word=2, takes=2, seed=5)
        for held_out in (False, False, True)
    ]
    train, again, held_out = sets
    assert np.array_equal(train.cepstrum, again.cepstrum)
    assert train.cepstrum.shape == (2 * (20 + 3 + 2), 49, 10)
    assert set(train.labels.tolist()) == set(range(12))
    variants = [{voice.split("+")[1] for voice in s.voices if voice} for s in (train, held_out)]
    assert not variants[0] & variants[1]


def test_held_out_voices_and_words_are_others() -> None:
    assert not set(speech._VARIANTS.split()) & set(speech._VARIANTS_HELD_OUT.split())
    assert not set(speech._OTHER_WORDS.split()) & set(speech._OTHER_WORDS_HELD_OUT.split())
    assert set(speech._ACCENTS) < set(speech._ACCENTS_HELD_OUT)
    for name in ("hotword", "hotword-large"):
        assert speech.cast_summary() in (MODELS / f"{name}.md").read_text()


def test_missing_espeak_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    speech._program.cache_clear()
    with pytest.raises(MissingToolError, match="espeak-ng is not installed") as caught:
        speech.synthesize(speech.Utterance("yes", "en-us", 150, 50))
    assert "apt-get install espeak-ng" in caught.value.hint


@pytest.mark.parametrize("is_said", [True, False])
def test_mixing_keeps_the_ratio_it_reports(is_said: bool) -> None:
    tone = np.sin(np.arange(8000) * 0.7).astype(np.float32)
    for index in range(12):
        rng = np.random.default_rng(index)
        clip, snr_db = speech.mix(tone if is_said else tone[:0], [tone], rng)
        assert clip.dtype == np.int16
        assert clip.shape == (16000,)
        if not is_said:
            assert snr_db == 0
        elif snr_db > 20:
            spectrum = np.abs(np.fft.rfft(clip / 1.0)) ** 2
            peak = int(spectrum.argmax())
            assert peak == pytest.approx(0.7 / (2 * np.pi) * 16000, abs=2)


def test_scaling_spreads_every_coefficient_alike() -> None:
    random = np.random.default_rng(0)
    spread = np.array([7000.0, 900, 300, 120, 90, 80, 70, 60, 50, 40]) * 4
    cepstrum = (random.standard_normal((50, 49, 10)) * spread + 3 * spread).astype(np.int32)
    offset, multiplier = speech.coefficient_scaling(cepstrum, steps_per_deviation=32, shift=10)
    scaled = scale_cepstrum(replace(SPEC, offset=offset, multiplier=multiplier), cepstrum)
    assert np.abs(scaled.std(axis=(0, 1)) - 32).max() < 5
    assert np.abs(scaled.mean(axis=(0, 1))).max() < 1


def test_specification_is_written_as_it_is_read() -> None:
    text = specification(SPEC)
    assert FeatureSpec.parse(tomllib.loads(text)) == SPEC
    assert text == (MODELS / "hotword.features.toml").read_text()


def test_wilson_interval_against_its_defining_equation() -> None:
    for right, count in ((0, 10), (5, 10), (590, 600), (600, 600)):
        score = cards.Score(right, count)
        for bound in score.interval:
            # the bounds are where the normal test of p = bound just rejects at 1.96 deviations
            reach = 1.96**2 * bound * (1 - bound) / count
            assert (score.accuracy - bound) ** 2 == pytest.approx(reach, abs=1e-12)


def test_confusion_counts_everything() -> None:
    labels, answers = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0])
    rows = cards.confusion(("a", "b"), labels, answers).splitlines()
    assert rows[2:] == ["| **a** | 1 | 1 |", "| **b** | 1 | 2 |"]


def test_manifest_lists_every_other_file(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"")
    (tmp_path / "a").write_bytes(b"abc")
    manifest.write_manifest(tmp_path)
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
    assert manifest.checksums(tmp_path)["a"] == digest
    assert list(manifest.checksums(tmp_path)) == ["a", "b"]


def numbered(graph: Graph) -> list[Any]:
    """The nodes, with numbers of tensors for their names."""
    places = {name: place for place, name in enumerate(graph.tensors)}
    return [
        (node.op, node.attributes, [places.get(name) for name in (*node.inputs, *node.outputs)])
        for node in graph.nodes
    ]


@pytest.mark.slow
def test_stand_ins_come_out_alike_but_for_names(tmp_path: Path) -> None:
    for name in ("tensorflow", "keras", "numpy"):
        found = importlib.util.find_spec(name) and version(name)
        if f"{name} {found}" not in (MODELS / "tiny.md").read_text():
            pytest.skip(f"made with another version of {name}")
    command = [sys.executable, "-m", "budget.zoo.training", "tiny", "--folder", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    made = manifest.checksums(tmp_path)
    assert len(made) == 5
    # Keras numbers layers over all that a process makes: names tell what was made before, the card
    # and the manifest how long they are; all else is the same bit for bit
    for name in sorted(name for name in made if name.endswith(".tflite")):
        again, shipped = (read(folder / name) for folder in (tmp_path, MODELS))
        assert numbered(again) == numbered(shipped)
        for ours, theirs in zip(again.tensors.values(), shipped.tensors.values(), strict=True):
            assert ours.type == theirs.type
            assert (ours.data is None) == (theirs.data is None)
            assert ours.data is None or np.array_equal(ours.data, theirs.data)


@needs_espeak
@pytest.mark.slow
def test_held_out_set_comes_out_byte_for_byte() -> None:
    found = cards.versions(with_speech=True).split(", ")[-1]
    if found not in (MODELS / "hotword.md").read_text():
        pytest.skip("made with another version of espeak-ng")
    shipped = np.load(MODELS / "hotword.heldout.npz")
    clips = speech.make_clips(SPEC, held_out=True, per_word=50, takes=1, seed=1)
    features = scale_cepstrum(SPEC, clips.cepstrum.astype(np.int64))
    assert np.array_equal(features, shipped["features"])
    assert np.array_equal(clips.labels, shipped["labels"])


@needs_espeak
@pytest.mark.slow
def test_shipped_hotword_understands_a_new_voice() -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    model = interpreter.Interpreter(
        str(MODELS / "hotword.tflite"),
        experimental_op_resolver_type=interpreter.OpResolverType.BUILTIN_REF,
    )
    model.allocate_tensors()
    heard = []
    for index, word in enumerate(speech.KEYWORDS):
        sound = speech.synthesize(speech.Utterance(word, "en-gb+paul", 150, 45))
        clip, _ = speech.mix(sound, [sound], np.random.default_rng(index))
        features = extract(SPEC, clip).reshape(1, 49, 10, 1)
        model.set_tensor(model.get_input_details()[0]["index"], features)
        model.invoke()
        answer = model.get_tensor(model.get_output_details()[0]["index"]).argmax()
        heard.append(speech.LABELS[answer] == word)
    assert sum(heard) >= 8
