"""What the common command costs before it does anything."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

from budget import zoo

CHECK = ["-m", "budget", "check", "{model}", "--device", "efm32pg12", "--rate", "1/s"]


def test_check_of_a_tflite_file_imports_no_tensorflow() -> None:
    model = str(zoo.shipped_path("hotword"))
    code = (
        "import sys; sys.argv = ['budget', 'check', sys.argv[1], '--device', 'efm32pg12']\n"
        "from budget.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'tensorflow', 'keras', 'h5py', 'scipy', 'google', 'flatbuffers'}\n"
        "assert not heavy & {name.split('.')[0] for name in sys.modules}, sys.modules.keys()\n"
    )
    result = subprocess.run([sys.executable, "-c", code, model], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def seconds(*arguments: str) -> float:
    """Processor time of one run of the interpreter, which may keep what it compiled."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_check_takes_at_most_twice_the_imports_it_cannot_avoid() -> None:
    """Ratios of two runs in turn: a busy machine disturbs some of them, not the best third."""
    model = str(zoo.shipped_path("hotword"))
    command = [part.format(model=model) for part in CHECK]
    seconds(*command)  # compiles what is not compiled yet
    pairs = [(seconds("-c", "import numpy, typer, rich"), seconds(*command)) for _ in range(9)]
    ratios = sorted(check / base for base, check in pairs)
    assert ratios[len(ratios) // 3] <= 2, [f"{ratio:.2f}" for ratio in ratios]
