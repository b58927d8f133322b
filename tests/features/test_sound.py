"""WAV files, specifications beside models, and `budget hear`."""

from __future__ import annotations

import json
import shutil
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from budget.api.front_ends import front_end_path, with_front_end
from budget.api.hear import hear
from budget.cli.app import application
from budget.errors import CorruptModelError, UsageError
from budget.features import FeatureSpec, extract, find_specification, read_sound
from budget.graph import Graph
from budget.scenario.schema import Preprocess, Scenario
from budget.zoo import MODELS, shipped_path

SHIPPED = FeatureSpec.load(MODELS / "hotword.features.toml")


def write_wav(
    path: Path, samples: np.ndarray, *, rate_hz: int = 16000, channels: int = 1, width: int = 2
) -> Path:
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(width)
        sound.setframerate(rate_hz)
        sound.writeframes(samples.tobytes())
    return path


def test_samples_come_back(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(-(2**15), 2**15, 1234).astype(np.int16)
    assert np.array_equal(read_sound(write_wav(tmp_path / "a.wav", samples), SHIPPED), samples)


def test_files_that_are_no_such_sound_are_refused(tmp_path: Path) -> None:
    samples = np.zeros(64, np.int16)
    stereo = write_wav(tmp_path / "stereo.wav", samples, channels=2)
    with pytest.raises(UsageError, match="2 channels of 16 bits at 16000 Hz"):
        read_sound(stereo, SHIPPED)
    with pytest.raises(UsageError, match="at 8000 Hz") as caught:
        read_sound(write_wav(tmp_path / "slow.wav", samples, rate_hz=8000), SHIPPED)
    assert "-r 16000 -b 16 -c 1" in caught.value.hint
    (tmp_path / "text.wav").write_text("no sound at all")
    with pytest.raises(CorruptModelError, match="not a WAV file"):
        read_sound(tmp_path / "text.wav", SHIPPED)
    (tmp_path / "short.wav").write_bytes(b"RIFF")
    with pytest.raises(CorruptModelError, match="not a WAV file"):
        read_sound(tmp_path / "short.wav", SHIPPED)
    with pytest.raises(UsageError, match="cannot be read"):
        read_sound(tmp_path / "none.wav", SHIPPED)
    with pytest.raises(UsageError, match="no sound"):
        hear("zoo:hotword", [write_wav(tmp_path / "empty.wav", samples[:0])])


def test_specification_beside_a_model(tmp_path: Path) -> None:
    spec = tmp_path / "kws.features.toml"
    spec.touch()
    assert find_specification(tmp_path / "kws.tflite") == spec
    assert find_specification(tmp_path / "kws-large-v2.int8.tflite") == spec
    assert find_specification(tmp_path / "other.tflite", spec) == spec
    with pytest.raises(UsageError, match="lies beside the model") as caught:
        find_specification(tmp_path / "other.tflite")
    assert "other.features.toml" in caught.value.hint


def test_where_commands_look(tmp_path: Path) -> None:
    shipped = MODELS / "hotword.features.toml"
    assert front_end_path("zoo:hotword-large") == shipped
    assert front_end_path("any.tflite", "zoo:hotword") == shipped
    assert front_end_path(shipped_path("hotword") or "") == shipped
    with pytest.raises(UsageError, match="no front end 'zoo:digits'"):
        front_end_path("any.tflite", "zoo:digits")
    with pytest.raises(UsageError, match="lies beside the model"):
        front_end_path("zoo:digits")
    with pytest.raises(UsageError, match="a graph has no file"):
        front_end_path(Graph("g", "canonical", {}, (), (), ()))
    scenario = with_front_end(Scenario(), "zoo:hotword")
    assert scenario.preprocess.features == str(shipped)
    named = Scenario(preprocess=Preprocess(features="zoo:hotword"))
    assert with_front_end(named, "zoo:digits") is named


@pytest.mark.tool("espeak-ng")
@pytest.mark.skipif(not shutil.which("espeak-ng"), reason="no speech synthesiser")
def test_spoken_words_are_heard(tmp_path: Path) -> None:
    """Words of a synthesiser, in the middle of a second, as the network was trained."""
    words = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
    files = []
    for word in words:
        raw = tmp_path / "raw.wav"
        command = ["espeak-ng", "-v", "en-us", "-s", "150", "-a", "40", "-w", str(raw), word]
        subprocess.run(command, check=True)
        with wave.open(str(raw), "rb") as sound:
            rate_hz = sound.getframerate()
            spoken = np.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(float)
        at = np.arange(0, len(spoken), rate_hz / 16000)
        spoken = np.interp(at, np.arange(len(spoken)), spoken)[:16000]
        clip = np.random.default_rng(1).standard_normal(16000) * 20
        start = (16000 - len(spoken)) // 2
        clip[start : start + len(spoken)] += spoken / max(np.abs(spoken).max(), 1) * 6000
        files.append(write_wav(tmp_path / f"{word}.wav", np.round(clip).astype(np.int16)))
    result = hear("zoo:hotword", files)
    right = sum(answer.label == word for answer, word in zip(result.answers, words))
    assert right >= 7, [(w, a.label) for w, a in zip(words, result.answers)]


def test_hear_command(tmp_path: Path) -> None:
    samples = np.random.default_rng(2).integers(-3000, 3000, 40000).astype(np.int16)
    file = write_wav(tmp_path / "long.wav", samples)
    done = CliRunner().invoke(application(["hear"]), ["hear", "zoo:hotword", str(file), "--json"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert [answer["start_s"] for answer in document["answers"]] == [0, 1]
    result = hear("zoo:hotword", [file])
    assert np.array_equal(result.answers[1].features, extract(SHIPPED, samples[16000:32000]))
    table = CliRunner().invoke(application(["hear"]), ["hear", "zoo:hotword", str(file)])
    assert "1 s" in table.output
    assert result.answers[0].label in table.output


def test_front_end_is_counted_with_the_model() -> None:
    def document(*words: str) -> dict:
        done = CliRunner().invoke(application(words), [*words, "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    stages = document("summarize", "zoo:hotword", "--front-end")["front_end"]["stages"]
    assert sum(stage["macs"] for stage in stages) == 344_470
    check = ("check", "zoo:hotword", "-d", "stm32l4r5", "--runtime", "budget-c", "--rate", "1/s")
    without, counted = document(*check), document(*check, "--front-end")
    assert without["front_end"] is None
    assert [s["cycles"] for s in counted["front_end"]["stages"]] == [s["cycles"] for s in stages]
    for index, key in ((0, "flash_bytes"), (1, "state_bytes")):
        more = counted["constraints"][index]["need"]["value"]
        more -= without["constraints"][index]["need"]["value"]
        assert more == pytest.approx(counted["front_end"][key])
    step = next(s for s in counted["ledger"]["entries"] if s["name"] == "pre-process")
    assert step["time"]["value"] == pytest.approx(
        counted["front_end"]["cycles"] / counted["clock_hz"], rel=1e-6
    )
