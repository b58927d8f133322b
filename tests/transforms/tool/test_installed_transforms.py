"""A transform of the user's own, installed as a package of its own, named in its metadata."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import tool_graphs as graphs

from budget.errors import UsageError
from budget.transforms.tool.nodes import NodeDef, NodeGraph
from budget.transforms.tool.pipeline import plan_steps

ROOT = Path(__file__).resolve().parents[3]
# the very lines that the README shows
(SOURCE,) = (
    block
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    if "class MergeRelus(Transform)" in block
)
INFO = "merge_relus-1.0.dist-info"
FILES = {
    "merge_relus.py": SOURCE,
    f"{INFO}/METADATA": "Metadata-Version: 2.1\nName: merge-relus\nVersion: 1.0\n",
    f"{INFO}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
    "Tag: py3-none-any\n",
    f"{INFO}/entry_points.txt": "[budget.transforms]\nmerge_relus = merge_relus:MergeRelus\n",
}


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder in which pip has installed the package, from a wheel as a build makes it."""
    wheel, target = tmp_path / "merge_relus-1.0-py3-none-any.whl", tmp_path / "target"
    record = "".join(f"{name},,\n" for name in [*FILES, f"{INFO}/RECORD"])
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in {**FILES, f"{INFO}/RECORD": record}.items():
            archive.writestr(name, text)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index",
                    "--target", str(target), str(wheel)], check=True)  # fmt: skip
    return target


def test_an_installed_transform_is_used(installed: Path, tmp_path: Path) -> None:
    """The command line finds it, lists it and runs it between others."""
    nodes = [
        NodeDef("x", "Placeholder", attributes=_types()),
        NodeDef("a", "Relu", ("x",), attributes={"T": _types()["dtype"]}),
        NodeDef("b", "Relu", ("a",), attributes={"T": _types()["dtype"]}),
    ]
    path, out = tmp_path / "in.pb", tmp_path / "out.pb"
    path.write_bytes(NodeGraph.decode(b"", "in.pb").with_nodes(nodes).encode())
    environment = {**os.environ, "PYTHONPATH": str(installed)}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "budget", "transform", str(path), str(out),
                               "-t", *words], capture_output=True, text=True, check=False,
                              env=environment)  # fmt: skip

    result = run("remove_device merge_relus", "--tolerance", "0")
    assert result.returncode == 0, result.stderr
    after = NodeGraph.decode(out.read_bytes(), "out.pb")
    assert graphs.ops(after) == ["Placeholder", "Relu"]
    assert after.nodes["b"].inputs == ("x",)
    refused = run("no_such_transform")
    assert refused.returncode == 2
    assert "merge_relus" in refused.stderr.replace("\n", "")
    with pytest.raises(UsageError, match="not recognised"):
        plan_steps("merge_relus")  # here it is not installed


def _types() -> dict[str, object]:
    from budget.formats.tensorflow_schema import DataType
    from budget.formats.tensorflow_values import Shape

    return {"dtype": DataType.FLOAT, "shape": Shape((1, 4))}
