"""Fuzzes the readers: python tests/fuzz/run.py [--inputs 1000000] [--targets tflite,graphdef]

Each target runs in a process of its own. With atheris (`pip install atheris`; Linux on x86-64)
mutants that reach new code are kept and mutated on; without it, or with `--unguided`, those that
are read are. Whatever ends
in anything but a result or a `BudgetError`, takes more than a second of processor time, or makes
the process grow by more than 1 GiB is written to `--findings`, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import importlib.util
import json
import mmap
import os
import pickle
import resource
import struct
import subprocess
import sys
import time
import traceback
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parent))

MAX_SECONDS = 1.0
MAX_GROWTH_BYTES = 1 << 30
MAX_INPUT_BYTES = 64 << 10
HANG_SECONDS = 60
MANY_FINDINGS = 200
SOUND_INPUTS = 200
_COUNTS = struct.Struct("<QQQ")
MIN_SOUND_BYTES = 1 << 10  # mutants grow, and large ones are slow and no richer
ADDRESS_BYTES = 6 << 30  # what is asked for beyond it fails, and is a finding


class Judge:
    """Runs inputs of one target and keeps count of what came of them."""

    def __init__(self, name: str, findings: Path, count: int) -> None:
        from targets import TARGETS

        self.target = TARGETS[name]
        self.folder = findings / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.state = findings / f"{name}.json"
        self.count = count
        self.inputs = self.accepted = self.refused = 0
        self.slowest_s = 0.0
        self.sound: list[bytes] = []
        largest = max(map(len, self.target.seeds()))
        self.most_sound_bytes = max(MIN_SOUND_BYTES, 2 * largest)
        self.found: dict[str, int] = {}
        self.before = self.peak = _peak_bytes()
        self.grown = self.killed = 0
        self.shared: mmap.mmap | None = None
        self.left = findings / f"{name}.left"

    def __call__(self, data: bytes) -> None:
        from targets import accepted

        self.inputs += 1
        self.share()
        start = time.thread_time()
        try:
            if accepted(self.target, data):
                self.accepted += 1
                if len(data) <= self.most_sound_bytes:
                    self._remember(data)
            else:
                self.refused += 1
        except Exception as error:  # noqa: BLE001 any is a finding
            self._keep(_place(error), data)
        seconds = time.thread_time() - start
        if seconds > MAX_SECONDS:
            # once more without what made it slow by chance: a collection of garbage, a first import
            gc.collect()
            start = time.thread_time()
            try:
                accepted(self.target, data)
            except Exception as error:  # noqa: BLE001 any is a finding
                self._keep(_place(error), data)
            seconds = min(seconds, time.thread_time() - start)
            if seconds > MAX_SECONDS:
                self._keep(f"slow: {seconds:.0f} s", data)
        self.slowest_s = max(self.slowest_s, seconds)
        peak = _peak_bytes()
        self.grown = max(self.grown, peak - self.before)
        if peak > self.peak + (64 << 20):
            if peak - self.before > MAX_GROWTH_BYTES:
                self._keep("memory", data)
            self.peak = peak
        self.share()
        if self.inputs % 1000 == 0 or self.inputs >= self.count:
            self.save()

    def _remember(self, data: bytes) -> None:
        """Keeps a few of the inputs that were read, each as likely as any other."""
        if len(self.sound) < SOUND_INPUTS:
            self.sound.append(data)
        elif (place := hash(data) % self.accepted) < SOUND_INPUTS:
            self.sound[place] = data

    def _keep(self, what: str, data: bytes) -> None:
        self.found[what] = self.found.get(what, 0) + 1
        if self.found[what] == 1 and len(self.found) <= MANY_FINDINGS:
            name = hashlib.sha256(what.encode()).hexdigest()[:12]
            (self.folder / name).write_bytes(data)
            (self.folder / f"{name}.txt").write_text(f"{what}\n{traceback.format_exc()}")
            self.save()

    def share(self) -> None:
        """Counts where another process sees them, whatever becomes of this one."""
        if self.shared is not None:
            _COUNTS.pack_into(self.shared, 0, self.inputs, self.accepted, self.refused)

    def leave(self) -> None:
        """Hands on to the next child what no count tells."""
        self.save()
        self.left.write_bytes(pickle.dumps((self.sound, self.found, self.slowest_s, self.grown)))

    def take_over(self, *, killed: bool) -> None:
        """Goes on where a child stopped."""
        assert self.shared is not None
        self.inputs, self.accepted, self.refused = _COUNTS.unpack_from(self.shared)
        if killed:
            self.refused += 1
            self.killed += 1
            if self.state.exists():
                self.found = dict(json.loads(self.state.read_text())["found"])
        else:
            left = pickle.loads(self.left.read_bytes())
            self.sound, self.found, self.slowest_s, self.grown = left
        self.save()

    def save(self) -> None:
        """Writes the counts where the driver finds them, whatever becomes of this process."""
        counts = {
            "inputs": self.inputs,
            "accepted": self.accepted,
            "refused": self.refused,
            "slowest_s": round(self.slowest_s, 3),
            "grown_bytes": self.grown,
            "killed": self.killed,
            "found": self.found,
        }
        self.state.write_text(json.dumps(counts))


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _place(error: BaseException) -> str:
    """What makes a finding one of its kind: the error's type and where in the program it rose."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/budget/" in frame.filename] or list(frames)
    # deep recursion rises anywhere: where it entered tells more
    frame = ours[min(len(ours), 12) - 1] if isinstance(error, RecursionError) else ours[-1]
    return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.name}"


def fuzz(name: str, count: int, seed: int, findings: Path, *, unguided: bool) -> None:
    """Feeds one target in this process."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_BYTES, ADDRESS_BYTES))
    guided = not unguided and importlib.util.find_spec("atheris") is not None
    if guided:
        import atheris

        with atheris.instrument_imports(include=["budget"]):
            _import_readers(name)
    judge = Judge(name, findings, count)
    beginnings = [*judge.target.seeds(), *judge.target.corpus()]
    for data in beginnings:
        judge(data)  # lazy imports happen here, outside any measurement that matters
    judge.slowest_s, judge.before = 0.0, _peak_bytes()
    if guided and not judge.target.in_children:
        _fuzz_guided(judge, beginnings, count, seed, findings)
    elif judge.target.in_children:
        _fuzz_in_children(judge, beginnings, Random(seed))
    else:
        _fuzz_here(judge, beginnings, Random(seed), count)
    judge.save()


def _fuzz_here(judge: Judge, beginnings: list[bytes], chance: Random, until: int) -> None:
    while judge.inputs < until:
        data = chance.choice(judge.sound or beginnings)
        for _ in range(chance.choice((1, 1, 1, 2))):
            data = judge.target.mutate(data, chance)[:MAX_INPUT_BYTES]
        judge(data)


def _fuzz_in_children(judge: Judge, beginnings: list[bytes], chance: Random) -> None:
    """Some hundreds of inputs in each of many children.

    One that a library kills has counted its inputs; the last of them is refused, as the reader
    refuses what its own child does not survive.
    """
    import hdf5_child

    judge.shared = mmap.mmap(-1, _COUNTS.size)
    while judge.inputs < judge.count:
        judge.share()
        child = os.fork()
        if not child:
            status = 1
            try:
                hdf5_child.lose_this_process()
                until = min(judge.count, judge.inputs + hdf5_child.INPUTS_EACH)
                _fuzz_here(judge, beginnings, chance, until)
                judge.leave()
                status = 0
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        judge.take_over(killed=os.WIFSIGNALED(status))
        if not os.WIFSIGNALED(status) and os.waitstatus_to_exitcode(status):
            raise RuntimeError("a child failed")
        chance.random()
        chance.seed(chance.getrandbits(64))


def _import_readers(name: str) -> None:
    """Loads what the target runs, so that it is instrumented."""
    from targets import TARGETS, accepted

    for data in TARGETS[name].seeds():
        accepted(TARGETS[name], data)


def _fuzz_guided(
    judge: Judge, beginnings: list[bytes], count: int, seed: int, findings: Path
) -> None:
    import atheris

    corpus = findings / "corpus" / judge.target.name
    corpus.mkdir(parents=True, exist_ok=True)
    for data in beginnings:
        (corpus / hashlib.sha1(data).hexdigest()).write_bytes(data)

    def mutate(data: bytes, max_size: int, number: int) -> bytes:
        chance = Random(number)
        if chance.random() < 0.15:
            return bytes(atheris.Mutate(data, max_size))
        if judge.sound and chance.random() < 0.5:  # what is refused early leads nowhere deep
            data = chance.choice(judge.sound)
        return judge.target.mutate(data, chance)[:max_size]

    options = [
        f"-runs={count}", f"-seed={seed}", f"-max_len={MAX_INPUT_BYTES}", "-rss_limit_mb=3072",
        f"-timeout={HANG_SECONDS}", f"-artifact_prefix={judge.folder}/", "-print_final_stats=0",
        "-verbosity=0", "-len_control=0", "-reload=0", "-mutate_depth=1",
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(corpus)], judge, custom_mutator=mutate)
    atheris.Fuzz()


def drive(names: list[str], count: int, seed: int, findings: Path, *, unguided: bool) -> int:
    """One process after another; a table at the end."""
    from targets import TARGETS

    print(
        "target            inputs      read   refused  slowest s  grown MiB  findings", flush=True
    )
    totals, bad = 0, 0
    whole = sum(TARGETS[name].share for name in names)
    for name in names:
        wanted = max(100, round(count * TARGETS[name].share / whole))
        words = [sys.executable, __file__, "--one", name, "--inputs", str(wanted)]
        words += ["--seed", str(seed), "--findings", str(findings)]
        words += ["--unguided"] * unguided
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        state = findings / f"{name}.json"
        counts = json.loads(state.read_text()) if state.exists() else {"inputs": 0, "found": {}}
        found = dict(counts["found"])
        if done.returncode:
            found[f"ended with {done.returncode}: {done.stderr.strip()[-300:]}"] = 1
        totals += counts["inputs"]
        bad += len(found)
        print(
            f"{name:13} {counts['inputs']:10,} {counts.get('accepted', 0):9,}"
            f" {counts.get('refused', 0):9,} {counts.get('slowest_s', 0):10.2f}"
            f" {counts.get('grown_bytes', 0) >> 20:10,} {len(found):9}",
            flush=True,
        )
        for what, times in found.items():
            print(f"    {what} ({times} times)", flush=True)
    print(f"{'all':13} {totals:10,}", flush=True)
    return 1 if bad else 0


def main() -> int:
    """Runs the targets named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--targets", default="")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--unguided", action="store_true", help="many more inputs, less deep")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    from targets import TARGETS, clean_up

    if given.one:
        try:
            fuzz(given.one, given.inputs, given.seed, given.findings, unguided=given.unguided)
        finally:
            clean_up()
        return 0
    names = given.targets.split(",") if given.targets else list(TARGETS)
    given.findings.mkdir(parents=True, exist_ok=True)
    return drive(names, given.inputs, given.seed, given.findings, unguided=given.unguided)


if __name__ == "__main__":
    sys.exit(main())
