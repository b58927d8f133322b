"""Every target on its seeds, on what once broke it, and on a few mutants; see run.py for many."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER))

from targets import TARGETS, Target, accepted  # noqa: E402

SLOW_TO_START = ("h5", "keras")  # they want h5py, and fork


@pytest.fixture(params=list(TARGETS))
def target(request: pytest.FixtureRequest) -> Target:
    if request.param in SLOW_TO_START:
        pytest.importorskip("h5py")
    return TARGETS[request.param]


def test_a_seed_is_read(target: Target) -> None:
    assert any(accepted(target, data) for data in target.seeds())


def test_what_once_broke_it_is_read_or_refused(target: Target) -> None:
    for data in target.corpus():
        accepted(target, data)


def test_mutants_are_read_or_refused(target: Target) -> None:
    chance = Random(7)
    read = 0
    for _ in range(60):
        read += accepted(target, target.mutate(chance.choice(target.seeds()), chance))
    assert 0 < read < 60  # mutants reach the reader, and not all are alike


def test_mutations_are_the_same_each_time(target: Target) -> None:
    seed = target.seeds()[0]
    assert target.mutate(seed, Random(3)) == target.mutate(seed, Random(3))


def test_the_corpus_is_small() -> None:
    kept = [path for name in ("corpus", "seeds") for path in (FOLDER / name).rglob("*")]
    assert sum(path.stat().st_size for path in kept if path.is_file()) < 100_000


def test_a_finding_is_kept_and_told(tmp_path: Path) -> None:
    """A reader that is broken on purpose must not pass."""
    program = (
        f"import sys; sys.path.insert(0, {str(FOLDER)!r})\n"
        "import targets, run, dataclasses\n"
        "from pathlib import Path\n"
        "def broken(data): return 1 / (len(data) % 3)\n"
        "target = dataclasses.replace(targets.TARGETS['transforms'], run=broken)\n"
        "targets.TARGETS['transforms'] = target\n"
        "run.fuzz('transforms', 50, 1, Path(sys.argv[1]), unguided=True)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
    counts = json.loads((tmp_path / "transforms.json").read_text())
    assert counts["inputs"] == 50
    assert list(counts["found"]) == ["ZeroDivisionError at <string>:broken"]
    assert counts["found"].popitem()[1] + counts["accepted"] + counts["refused"] == 50
    assert [path for path in (tmp_path / "transforms").iterdir() if not path.suffix]


def test_an_input_that_kills_a_child_is_refused_and_the_others_go_on(tmp_path: Path) -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(FOLDER)!r})\n"
        "import targets, run, dataclasses, os, signal\n"
        "from pathlib import Path\n"
        "def deadly(data):\n"
        "    if len(data) % 50 == 1: os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    return 1 / (len(data) % 31)\n"
        "target = dataclasses.replace(targets.TARGETS['labels'], run=deadly, in_children=True,\n"
        "    seeds=lambda: [b'abc'])\n"
        "targets.TARGETS['labels'] = target\n"
        "run.fuzz('labels', 900, 1, Path(sys.argv[1]), unguided=True)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
    counts = json.loads((tmp_path / "labels.json").read_text())
    assert counts["inputs"] == 900 and counts["killed"] > 0
    assert list(counts["found"]) == ["ZeroDivisionError at <string>:deadly"]
