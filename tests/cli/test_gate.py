"""budget.toml as a gate: what it reads, what it refuses, and what others read of its result."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from budget.api.against import compare_documents, load_document
from budget.api.gate import find_gate, load_gate, run_gate
from budget.cli.app import application
from budget.errors import ProfileError, UsageError
from budget.report.github import github_lines
from budget.report.junit import junit_text, write_junit
from budget.zoo import MODELS

ROOT = Path(__file__).resolve().parents[2]
GOOD = """\
schema = 1

[defaults]
rate_hz = "1/s"
runtime = "budget-c"

[[check]]
name = "hotword"
model = "models/hotword.tflite"
devices = ["stm32l4r5", "efm32pg12"]

[check.limits]
flash_bytes = "64KiB"
latency_s = "100ms"
"""
TIGHT = """
[[check]]
model = "models/hotword-large.tflite"
device = "stm32g071"

[check.limits]
macs = 1000000
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "repository"
    (folder / "models").mkdir(parents=True)
    for name in ("hotword.tflite", "hotword-large.tflite", "hotword.features.toml"):
        shutil.copy(MODELS / name, folder / "models" / name)
    (folder / "budget.toml").write_text(GOOD)
    monkeypatch.chdir(folder)
    return folder


def budget(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(application(["check"]), ["check", *words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout


def test_everything_fits(repository: Path) -> None:
    code, shown = budget()
    assert code == 0
    assert "hotword on stm32l4r5" in shown
    assert "2 of 2 pass" in shown


def test_found_from_a_folder_below_but_not_beyond_the_repository(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = repository / "firmware" / "src"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert find_gate() == repository / "budget.toml"
    assert budget()[0] == 0
    (repository / "firmware" / ".git").mkdir()
    assert find_gate() is None
    with pytest.raises(UsageError, match="no device is named"):
        budget()
    assert budget("--config", str(repository / "budget.toml"))[0] == 0


def test_a_model_on_the_command_line_is_checked_alone(repository: Path) -> None:
    code, shown = budget("zoo:digits", "-d", "efm32pg12", "--json")
    assert code == 0
    assert json.loads(shown)["command"] == "check"


def test_what_does_not_fit_and_limits(repository: Path) -> None:
    (repository / "budget.toml").write_text(GOOD + TIGHT)
    code, shown = budget("--json")
    assert code == 1
    document = json.loads(shown)
    assert [entry["exit_code"] for entry in document["entries"]] == [0, 0, 1]
    status = {c["name"]: c["status"] for c in document["entries"][2]["constraints"]}
    assert status["mac-limit"] == "fail"
    assert status["flash"] == "pass"
    check = document["entries"][2]["check"]
    assert check["model"]["macs"] > 1e6, "the limit failed for a reason"


def test_an_entry_that_cannot_be_checked_does_not_stop_the_others(repository: Path) -> None:
    more = '\n[[check]]\nmodel = "zoo:none"\ndevice = "efm32pg12"\n'
    (repository / "budget.toml").write_text(GOOD + more + TIGHT)
    gate = run_gate(repository / "budget.toml")
    assert [outcome.exit_code for outcome in gate.outcomes] == [0, 0, 2, 1]
    assert gate.exit_code == 2
    assert budget()[0] == 2
    assert "the zoo has no 'none'" in budget()[1]


def test_too_close_to_call_fails_unless_told_otherwise(repository: Path) -> None:
    text = GOOD.replace('devices = ["stm32l4r5", "efm32pg12"]', 'device = "stm32l4r5"')
    check = run_gate(repository / "budget.toml").outcomes[0].check
    assert check is not None and check.inference.latency is not None
    middle_ms = float(check.inference.latency.value) * 1e3
    text = text.replace('"100ms"', f'"{middle_ms:.6f}ms"')
    (repository / "budget.toml").write_text(text)
    assert budget()[0] == 6
    (repository / "budget.toml").write_text(
        text.replace("[check.limits]", 'too_close = "pass"\n[check.limits]')
    )
    code, shown = budget()
    assert code == 0
    assert "(passes)" in shown
    lines = github_lines(run_gate(repository / "budget.toml"))
    assert [line.partition(" ")[0] for line in lines] == ["::warning"]


def test_front_end_scenario_and_profiles_of_the_repository(repository: Path) -> None:
    (repository / "devices").mkdir()
    board = (ROOT / "budget/hardware_profiles/mcus/stm32l4r5.toml").read_text()
    (repository / "devices" / "board.toml").write_text(
        board.replace('id = "stm32l4r5"', 'id = "board"')
    )
    (repository / "life.toml").write_text('rate_hz = "2/s"\n')
    (repository / "budget.toml").write_text(
        'schema = 1\n[[check]]\nmodel = "models/hotword.tflite"\ndevice = "devices/board.toml"\n'
        'scenario = "life.toml"\nfront_end = true\n'
    )
    outcome = run_gate(repository / "budget.toml").outcomes[0]
    assert outcome.error is None
    assert outcome.plan.name == "hotword.tflite on board"
    assert outcome.check is not None
    assert outcome.check.question.rate_hz == 2
    assert outcome.check.question.around.specification is not None


@pytest.mark.parametrize(
    ("old", "new", "where", "what"),
    [
        ("schema = 1", "schema = 2", "budget.toml: schema", "reads schema 1"),
        ("[[check]]", "[[chekc]]", "budget.toml: chekc", "unknown key"),
        ("[[check]]", "[check]", "budget.toml: check", "nothing to check"),
        ("[defaults]", "[[defaults]]", "budget.toml: defaults", "a table is expected"),
        ("rate_hz", "rate", "budget.toml: defaults.rate", "unknown key"),
        ('"1/s"', '"1kg"', "budget.toml: defaults.rate_hz", "kg"),
        ("devices =", "device =", "budget.toml: check.0.device", "a str is expected"),
        ('devices = ["stm32l4r5", "efm32pg12"]', "", "budget.toml: check.0.device", "missing"),
        ("model =", "modle =", "budget.toml: check.0.modle", "unknown key"),
        ('model = "models/hotword.tflite"', "", "budget.toml: check.0.model", "missing"),
        ('"64KiB"', '"64ms"', "budget.toml: check.0.limits.flash_bytes", "64ms"),
        ("flash_bytes", "flash", "budget.toml: check.0.limits.flash", "unknown key"),
        ('name = "hotword"', 'too_close = "maybe"', "budget.toml: check.0.too_close", "maybe"),
        ("[[check]]", "[[check]", "budget.toml", "not a TOML file"),
    ],
)
def test_mistakes_are_told(repository: Path, old: str, new: str, where: str, what: str) -> None:
    assert old in GOOD
    path = repository / "budget.toml"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(ProfileError) as caught:
        load_gate(path)
    assert caught.value.where.endswith(where)
    assert what in caught.value.what
    assert caught.value.hint


def test_other_mistakes(repository: Path) -> None:
    with pytest.raises(ProfileError, match="cannot be read"):
        load_gate(repository / "none.toml")
    path = repository / "budget.toml"
    path.write_text("schema = 1\ncheck = [3]\n")
    with pytest.raises(ProfileError, match="a table is expected"):
        load_gate(path)


def test_junit_says_what_the_table_says(repository: Path) -> None:
    more = '\n[[check]]\nname = "a\\u0001b"\nmodel = "zoo:none"\ndevice = "efm32pg12"\n'
    (repository / "budget.toml").write_text(GOOD + TIGHT + more)
    assert budget("--junit", "out.xml")[0] == 2
    root = ElementTree.parse(repository / "out.xml").getroot()
    suite = root.find("testsuite")
    assert suite is not None
    assert {key: suite.get(key) for key in ("tests", "failures", "errors")} == {
        "tests": "4",
        "failures": "1",
        "errors": "1",
    }
    cases = suite.findall("testcase")
    assert [case.get("line") for case in cases] == ["7", "7", "16", "23"]
    assert [len(case.findall("failure")) for case in cases] == [0, 0, 1, 0]
    assert "mac-limit" in cases[2].find("failure").get("message")  # type: ignore[union-attr,operator]
    assert cases[3].find("error").get("type") == "UsageError"  # type: ignore[union-attr]
    assert "�" in cases[3].get("name", "")
    assert junit_text(run_gate(repository / "budget.toml")).startswith("<?xml")
    with pytest.raises(UsageError, match="cannot be written"):
        write_junit(run_gate(repository / "budget.toml"), repository / "budget.toml" / "out.xml")


def test_github_annotations(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repository / "budget.toml").write_text(
        GOOD + TIGHT.replace("device =", 'name = "50%: a,b"\ndevice =')
    )
    monkeypatch.setenv("GITHUB_WORKSPACE", str(repository.parent))
    code, shown = budget("--github")
    assert code == 1
    lines = [line for line in shown.splitlines() if line.startswith("::")]
    assert len(lines) == 1
    head, _, message = lines[0].removeprefix("::").partition("::")
    assert head == ("error file=repository/budget.toml,line=16,title=50%25%3A a%2Cb on stm32g071")
    assert "mac-limit: needs" in message
    assert "%0A" in message
    monkeypatch.delenv("GITHUB_WORKSPACE")
    assert "file=budget.toml," in budget("--github")[1]
    code, shown = budget("--github", "--json")
    assert json.loads(shown)["exit_code"] == 1, "standard output stays one document"


def test_single_checks_have_the_same_reports(repository: Path) -> None:
    words = ("models/hotword.tflite", "-d", "stm32l4r5", "--deadline", "1ms")
    code, shown = budget(*words, "--github", "--junit", "one.xml")
    assert code == 1
    assert "::error title=hotword.tflite on stm32l4r5::deadline: needs" in shown
    assert ElementTree.parse(repository / "one.xml").getroot().get("failures") == "1"


def test_against_an_older_model_layer_by_layer() -> None:
    words = ("zoo:hotword-large", "-d", "stm32l4r5", "--against", "zoo:hotword")
    code, shown = budget(*words, "--json")
    assert code == 0
    change = json.loads(shown)["against"][0]
    before = json.loads(budget("zoo:hotword", "-d", "stm32l4r5", "--json")[1])
    after = json.loads(budget("zoo:hotword-large", "-d", "stm32l4r5", "--json")[1])
    needs = {need["name"]: need for need in change["needs"]}
    for name in ("latency", "energy", "cycles"):
        assert needs[name]["before"] == before["inference"][name]["value"]
        assert needs[name]["after"] == after["inference"][name]["value"]
    sums = {"before": 0.0, "after": 0.0}
    for layer in change["layers"]:
        for side in sums:
            sums[side] += (layer[side] or {}).get("macs", 0)
    assert sums == {"before": before["model"]["macs"], "after": after["model"]["macs"]}
    text = budget(*words)[1]
    assert "layers changed" in text


def test_nothing_changed_and_layers_that_come_and_go(repository: Path) -> None:
    one = GOOD.replace('devices = ["stm32l4r5", "efm32pg12"]', 'device = "efm32pg12"')
    (repository / "budget.toml").write_text(one.partition("[check.limits]")[0])
    code, shown = budget("--json")
    assert code == 0
    (repository / "old.json").write_text(shown)
    code, shown = budget("--against", "old.json", "--json")
    changes = json.loads(shown)["against"]
    assert [change["layers"] for change in changes] == [[]]
    assert changes[0]["unchanged_layers"] > 5
    assert "0 layers changed" in budget("--against", "old.json")[1]
    assert "as before" in budget("--against", str(repository / "budget.toml"))[1]

    old = json.loads((repository / "old.json").read_text())
    new = json.loads((repository / "old.json").read_text())
    gone = new["entries"][0]["check"]["layers"].pop(2)
    found = compare_documents(old, new)[0]
    changed = [layer for layer in found.layers if layer.is_change]
    assert [(layer.name, layer.after) for layer in changed] == [(gone["name"], None)]
    back = compare_documents(new, old)[0]
    assert [layer.before for layer in back.layers if layer.is_change] == [None]
    (repository / "new.json").write_text(json.dumps(new))
    assert "+ " in budget("--against", "new.json")[1]
    new["entries"] = []
    (repository / "new.json").write_text(json.dumps(new))
    assert "nothing to compare" in budget("--against", "new.json")[1]


def test_documents_that_cannot_be_compared(repository: Path) -> None:
    (repository / "bad.json").write_text("{")
    with pytest.raises(UsageError, match="cannot be read"):
        load_document(repository / "bad.json")
    (repository / "bad.json").write_text('{"command": "emit"}')
    with pytest.raises(UsageError, match="not what budget check"):
        load_document(repository / "bad.json")
    (repository / "bad.json").write_text('{"command": "check"}')
    with pytest.raises(UsageError, match="of a check, the new one of a gate"):
        budget("--against", "bad.json")
    with pytest.raises(UsageError, match=r"not as it should be: .constraints"):
        budget("zoo:digits", "-d", "stm32l4r5", "--against", "bad.json")


def environment(folder: Path, **more: str) -> dict[str, str]:
    bin = Path(sys.executable).parent
    path = f"{bin}{os.pathsep}{os.environ['PATH']}"
    home = {"HOME": str(folder), "GIT_CONFIG_GLOBAL": str(folder / "gitconfig")}
    return {**os.environ, "PATH": path, **home, **more}


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    command = ["git", "-C", str(folder), *identity, *words]
    subprocess.run(command, check=True, capture_output=True, env=environment(folder.parent))


@pytest.mark.slow
@pytest.mark.tool("pre-commit")
def test_pre_commit_hook_stops_a_commit_that_does_not_fit(repository: Path) -> None:
    """pre-commit itself runs the hook, with the program that is installed here."""
    pytest.importorskip("pre_commit")
    yaml = pytest.importorskip("yaml")
    manifest = ROOT / ".pre-commit-hooks.yaml"
    subprocess.run(
        [sys.executable, "-m", "pre_commit", "validate-manifest", str(manifest)], check=True
    )
    (hook,) = yaml.safe_load(manifest.read_text())
    # an environment of its own would download everything: the same hook with what is there
    local = {"repo": "local", "hooks": [{**hook, "language": "system"}]}
    local["hooks"][0].pop("minimum_pre_commit_version")
    (repository / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [local]}))
    git(repository, "init", "-q")
    git(repository, "add", "-A")

    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pre_commit", "run"]
        return subprocess.run(
            command,
            cwd=repository,
            capture_output=True,
            text=True,
            env=environment(repository.parent),
        )

    done = run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Passed" in done.stdout
    (repository / "budget.toml").write_text(GOOD + TIGHT)
    git(repository, "add", "-A")
    done = run()
    assert done.returncode == 1, done.stdout + done.stderr
    assert "exit code: 1" in done.stdout
    assert "mac-limit" in done.stdout
    git(repository, "reset", "-q")
    (repository / "notes.txt").write_text("no model")
    git(repository, "add", "notes.txt")
    assert "Skipped" in run().stdout


def test_action_has_the_documented_form() -> None:
    pytest.importorskip("check_jsonschema")
    command = [sys.executable, "-m", "check_jsonschema"]
    command += ["--builtin-schema", "vendor.github-actions", str(ROOT / "action.yml")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("fits", [True, False])
def test_steps_of_the_action(repository: Path, fits: bool) -> None:
    """Its check step as the runner would start it: inputs by environment, bash without profile."""
    yaml = pytest.importorskip("yaml")
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    step = action["runs"]["steps"][-1]
    (repository / "budget.toml").write_text(GOOD if fits else GOOD + TIGHT)
    values = {}
    for name, expression in step["env"].items():
        key = expression.removeprefix("${{ inputs.").removesuffix(" }}")
        values[name] = action["inputs"][key]["default"]
    output = repository / "output"
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=repository,
        capture_output=True,
        text=True,
        env=environment(repository.parent, **values, GITHUB_OUTPUT=str(output)),
    )
    code = 0 if fits else 1
    assert done.returncode == code, done.stdout + done.stderr
    assert output.read_text() == f"exit-code={code}\n"
    assert json.loads((repository / "budget-check.json").read_text())["exit_code"] == code
    assert (repository / "budget-junit.xml").is_file()
    assert ("::error " in done.stdout) is not fits
