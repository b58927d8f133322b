"""Each way in which a profile can be wrong, and what its author is told."""

import os
from pathlib import Path

import pytest

from budget.errors import ProfileError
from budget.hardware import library
from budget.hardware.profiles import Device, Power, Profile

HEAD = 'id = "p"\nname = "A part"\n'
REFERENCE = '[references.ds]\ntitle = "A data sheet of this part"\n'
VOLT = '{ value = "3V", kind = "datasheet", reference = "ds" }'
HZ = '{ value = "40MHz", kind = "datasheet", reference = "ds" }'
WATT = '{ value = "2mW", kind = "datasheet", reference = "ds" }'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the user's that is searched."""
    monkeypatch.setenv("BUDGET_PROFILES", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("mcus", "runtimes", "harvesters", "converters", "storage", "radios", "sensors"):
        (tmp_path / name).mkdir()
    return tmp_path


def write(folder: Path, text: str, name: str = "p", kind: str = "mcus") -> str:
    (folder / kind / f"{name}.toml").write_text(text, encoding="utf-8")
    return name


def clock(figure: str) -> str:
    return f"{HEAD}{REFERENCE}[clock]\nmax_hz = {figure}\n"


def refused(name: str, where: str, what: str, hint: str) -> None:
    with pytest.raises(ProfileError) as caught:
        library.device(name)
    assert caught.value.exit_code == 4
    assert where in caught.value.where
    assert what in caught.value.what
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("figure", "what", "hint"),
    [
        ('"40MHz"', "a figure with its source is expected here", 'value = "40MHz", kind = …'),
        ('{ value = "40MHz", kind = "datasheet" }', "the figure has no reference", "write {"),
        ('{ kind = "datasheet", reference = "ds" }', "the figure has no value", "write {"),
        ('{ value = "40MHz", reference = "ds" }', "the figure has no kind", "write {"),
        (
            '{ value = "40MHz", kind = "datasheet", reference = "dss" }',
            "there is no reference 'dss'",
            "did you mean ds?",
        ),
        (
            '{ value = "40MHz", kind = "guessed", reference = "ds" }',
            "'guessed' is not a kind",
            "one of measured, datasheet, fitted, derived, recalled, assumed",
        ),
        (
            '{ value = "40mA", kind = "datasheet", reference = "ds" }',
            "'40mA' is a current",
            "a frequency such as 40MHz was expected",
        ),
        (
            '{ value = "40 mhz", kind = "datasheet", reference = "ds" }',
            "'mhz' in '40 mhz' is not a unit",
            "did you mean mHz or MHz?",
        ),
        (
            '{ value = true, kind = "datasheet", reference = "ds" }',
            "True is not a quantity",
            "write a number and its unit",
        ),
        (
            '{ value = inf, kind = "datasheet", reference = "ds" }',
            "the number is not finite",
            "give an ordinary number",
        ),
        (
            '{ value = "40MHz", low = "50MHz", high = "60MHz", kind = "datasheet", '
            'reference = "ds" }',
            "low ≤ value ≤ high does not hold",
            "none may be negative",
        ),
        (
            '{ value = "-40MHz", kind = "datasheet", reference = "ds" }',
            "low ≤ value ≤ high does not hold",
            "none may be negative",
        ),
        (
            '{ value = "40MHz", kind = "datasheet", reference = "ds", were = "p. 1" }',
            "unknown key",
            "did you mean where?",
        ),
        (
            '{ value = "40MHz", kind = "datasheet", reference = "ds", where = 7 }',
            "a str is expected here",
            "found 7",
        ),
    ],
)
def test_figures(folder: Path, figure: str, what: str, hint: str) -> None:
    refused(write(folder, clock(figure)), "p.toml: clock.max_hz", what, hint)


@pytest.mark.parametrize(
    ("text", "where", "what", "hint"),
    [
        (HEAD + "clok = 1\n", "p.toml: clok", "unknown key", "did you mean clock?"),
        (
            clock(HZ) + f"mxn_hz = {HZ}\n",
            "p.toml: clock.mxn_hz",
            "unknown key",
            "did you mean min_hz or max_hz?",
        ),
        ('id = "p"\n', "p.toml: name", "this key is missing", "a Device must give it"),
        ('name = "x"\n', "p.toml", "the profile has no id", 'write id = "p"'),
        ('id = "q"\nname = "x"\n', "p.toml", "'q' is not the file's name", "make them equal"),
        (HEAD + "clock = 3\n", "p.toml: clock", "a table is expected here", "write [clock]"),
        (HEAD + "[clock]\n", "p.toml: clock.max_hz", "this key is missing", "a Clock must"),
        (HEAD + "sleep = 3\n", "p.toml: sleep", "a table is expected", "write [sleep.NAME]"),
        (
            HEAD + "[flash]\nwait_states = 3\n",
            "p.toml: flash.wait_states",
            "an array of tables",
            "[[flash.wait_states]]",
        ),
        (HEAD + "core = 4\n", "p.toml: core", "a str is expected here", "found 4"),
        (HEAD + "cores = true\n", "p.toml: cores", "a int is expected here", "found True"),
        (HEAD + "isa = [1]\n", "p.toml: isa", "a list of strings", '["dsp"]'),
        (HEAD + 'category = "gpu"\n', "p.toml: category", "'gpu' is not one of mcu", "pick one"),
        (HEAD + "references = 3\n", "p.toml: references", "a table is expected", "[references.ID]"),
        (HEAD + "[references.ds]\n", "references.ds", "needs a title", "write title"),
        (
            HEAD + REFERENCE + 'link = "x"\n',
            "p.toml: references.ds.link",
            "unknown key",
            "one of checked, note, title, url",
        ),
        (
            HEAD + REFERENCE + 'checked = "yesterday"\n',
            "p.toml: references.ds.checked",
            "a check has a day and a place",
            'such as "2026-11-22: read"',
        ),
        (HEAD + "x = = 3\n", "p.toml", "not a TOML file", "https://toml.io"),
    ],
)
def test_files(folder: Path, text: str, where: str, what: str, hint: str) -> None:
    refused(write(folder, text), where, what, hint)


def test_curves(folder: Path) -> None:
    ratio = '{ value = 1.0, kind = "measured", reference = "ds" }'
    text = (
        f"{HEAD}{REFERENCE}[[curves]]\ninput_v = {VOLT}\nspread_ratio = {ratio}\n"
        'input_a = ["1uA", "2uA"]\nefficiency_ratio = [0.5, 0.6]\n'
    )
    write(folder, text, kind="converters")
    assert library.converter("p").efficiency(4.5e-6, 3.0).value == pytest.approx(0.558, abs=1e-3)
    for wrong in ('["2uA", "1uA"]', '["1uA"]', '["0uA", "1uA"]'):
        write(folder, text.replace('["1uA", "2uA"]', wrong), kind="converters")
        os.utime(folder / "converters" / "p.toml", ns=(0, len(wrong)))
        with pytest.raises(ProfileError, match="two or more rising currents"):
            library.converter("p")
    write(folder, text.replace('["1uA", "2uA"]', "3"), kind="converters")
    with pytest.raises(ProfileError, match="a list is expected here"):
        library.converter("p")


def test_unknown_ids_get_suggestions() -> None:
    for loader, wrong, right in (
        (library.device, "efm32pg13", "efm32pg12"),
        (library.runtime, "tflm-cmsisnn", "tflm-cmsis-nn"),
        (library.harvester, "indoor-ligth", "indoor-light"),
        (library.converter, "bq25571", "bq25570"),
        (library.storage, "cr2034", "cr2032"),
        (library.radio, "lora-sf8", "lora-sf7"),
        (library.sensor, "vm1011", "vm1010"),
    ):
        with pytest.raises(ProfileError) as caught:
            loader(wrong)
        assert f"'{wrong}'" in caught.value.what
        assert right in caught.value.hint


def test_a_hopeless_id_gets_the_list() -> None:
    with pytest.raises(ProfileError) as caught:
        library.runtime("zzzzzz")
    assert "one of" in caught.value.hint and "x-cube-ai" in caught.value.hint


def test_paths(folder: Path) -> None:
    name = write(folder, clock(HZ))
    assert library.device(str(folder / "mcus" / f"{name}.toml")).max_hz == 40e6
    refused(str(folder / "absent.toml"), "absent.toml", "there is no such file", "check the path")


def test_a_folder_instead_of_a_file(folder: Path) -> None:
    (folder / "mcus" / "p.toml").mkdir()
    with pytest.raises(ProfileError, match="cannot be read"):
        library.device("p")


def test_an_edited_file_is_read_again(folder: Path) -> None:
    name = write(folder, clock(HZ))
    assert library.device(name).max_hz == 40e6
    write(folder, clock(HZ.replace("40MHz", "48MHz")))
    path = folder / "mcus" / "p.toml"
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 10**9))
    assert library.device(name).max_hz == 48e6


def test_duplicate_ids(folder: Path) -> None:
    write(folder, 'id = "efm32pg12"\nname = "x"\n', name="efm32pg12")
    refused("efm32pg12", "efm32pg12.toml", "two profiles have the id", "rename it")


def test_home_folder_is_searched_last(folder: Path) -> None:
    assert library.user_folders()[-1] == folder / "home" / ".config" / "budget" / "profiles"
    assert library.user_folders()[0] == folder


def test_extends_merges_tables_and_replaces_figures(folder: Path) -> None:
    write(folder, clock(HZ).replace('"p"', '"base"') + f"min_hz = {HZ}\n", name="base")
    write(
        folder,
        'id = "p"\nname = "Sister"\nextends = "base"\n[clock]\n'
        'max_hz = { value = "80MHz", kind = "recalled", reference = "ds" }\n',
    )
    device = library.device("p")
    assert device.clock is not None and device.clock.min_hz is not None
    assert (device.max_hz, device.clock.min_hz.value) == (80e6, 40e6)
    assert device.clock.max_hz.key == "p/clock.max_hz"
    assert device.name == "Sister"


def test_extends_in_a_circle(folder: Path) -> None:
    write(folder, 'id = "p"\nextends = "q"\n')
    write(folder, 'id = "q"\nextends = "p"\n', name="q")
    refused("p", "q.toml: extends", "profiles extend each other: p → q → p", "break it")


def test_extends_too_far(folder: Path) -> None:
    write(folder, HEAD)
    for below, name in (("p", "q"), ("q", "r"), ("r", "s")):
        write(folder, f'id = "{name}"\nextends = "{below}"\n', name=name)
    assert library.device("r").name == "A part"
    refused("s", "q.toml: extends", "s → r → q → p is too long", "at most 2 deep")


def test_extends_nothing(folder: Path) -> None:
    write(folder, 'id = "p"\nname = "x"\nextends = "efm32pg13"\n')
    refused("p", "p.toml: extends", "there is no device 'efm32pg13'", "efm32pg12")


def test_one_device_parses_one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    original = library._parse

    def spy(path: Path) -> dict[str, object]:
        parsed.append(path.name)
        return original(path)

    monkeypatch.setattr(library, "_parse", spy)
    monkeypatch.setattr(library, "_LOADED", {})
    library.device("stm32l4r5")
    library.device("stm32l4r5")
    assert library.devices()
    assert parsed == ["stm32l4r5.toml"]


def test_clock_voltage_and_supply_out_of_range() -> None:
    device = library.device("efm32pg12")
    for arguments, what, hint in (
        ((50e6,), "a clock of 5e+07 Hz is out of range", "1e+06 to 4e+07 Hz"),
        ((40e6, 5.0), "a supply of 5 V is out of range", "1.8 to 3.8 V"),
        ((-1.0,), "out of range", "Hz"),
    ):
        with pytest.raises(ProfileError) as caught:
            device.power_w(*arguments)
        assert what in caught.value.what
        assert hint in caught.value.hint
    with pytest.raises(ProfileError, match="there is no supply 'solar'"):
        device.power_w(supply="solar")


def test_engines_and_microcontrollers_are_not_mixed_up() -> None:
    with pytest.raises(ProfileError, match="has no power while running"):
        library.device("dsp-20pj").power_w()
    with pytest.raises(ProfileError, match="no energy per MAC"):
        library.device("efm32pg12").mac_energy_j()


def test_incomplete_profiles_say_what_they_lack(folder: Path) -> None:
    write(folder, clock(HZ) + '[power]\nboundary = "core"\n')
    with pytest.raises(ProfileError, match="neither a run current with its voltage"):
        library.device("p").power_w()
    for kind, what in (
        ("harvesters", "neither a power nor a power density"),
        ("storage", "neither a capacity nor a capacitance"),
    ):
        volts = f"voltage_v = {VOLT}\n" if kind == "storage" else ""
        write(folder, HEAD + volts + REFERENCE, kind=kind)
        with pytest.raises(ProfileError, match=what):
            if kind == "storage":
                _ = library.storage("p").energy_j
            else:
                library.harvester("p").power(1.0)
    with pytest.raises(ProfileError, match="depends on its area"):
        library.harvester("indoor-light").power()
    with pytest.raises(ProfileError, match="no mode 'asleep'"):
        library.sensor("vm1010").mode("asleep")


def test_an_unknown_core_and_a_circle_of_cores(folder: Path) -> None:
    with pytest.raises(ProfileError) as caught:
        library.runtime("tflm-cmsis-nn").on("z80")
    assert "no figures for z80" in caught.value.what and "cortex-m4" in caught.value.hint
    assert not library.runtime("tflm-cmsis-nn").supports("z80")
    assert library.runtime("rule-of-thumb").supports("z80")
    write(folder, HEAD + '[cycles.a]\nlike = "b"\n[cycles.b]\nlike = "a"\n', kind="runtimes")
    with pytest.raises(ProfileError, match="borrow from each other in a circle: a → b"):
        library.runtime("p").on("a")


def test_power_models(folder: Path) -> None:
    """P = V·(static + clock·current), against arithmetic by hand."""
    current = '{ value = "100uA/MHz", kind = "datasheet", reference = "ds" }'
    static = '{ value = "1mA", kind = "datasheet", reference = "ds" }'
    text = (
        clock(HZ)
        + f"[supply]\nvoltage_v = {VOLT}\n[power]\n"
        + f'boundary = "board"\nregulator = "ldo"\nrun_a_per_hz = {current}\n'
        + f"run_v = {VOLT}\nstatic_a = {static}\n"
    )
    write(folder, text)
    device = library.device("p")
    assert isinstance(device, Device) and isinstance(device, Profile)
    assert isinstance(device.power, Power) and device.boundary == "board"
    assert device.power_w().value == pytest.approx(3 * (1e-3 + 4e-3))
    assert device.power_w(20e6, 2.0).value == pytest.approx(2 * (1e-3 + 2e-3))
    path = folder / "mcus" / "p.toml"
    write(folder, text.replace("ldo", "dcdc"))
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 10**9))
    # a switching regulator draws the same power from any supply
    assert library.device("p").power_w(20e6, 2.0).value == pytest.approx(3 * (1e-3 + 2e-3))


def test_sleep_and_wait_states() -> None:
    device = library.device("efm32pg12")
    small, large = device.sleep_mode(0), device.sleep_mode(100_000)
    assert small is not None and large is not None
    assert (small[0], large[0]) == ("em2-16k", "em2")
    assert device.sleep_mode(10**9) is None
    assert [device.wait_states(hz) for hz in (10e6, 25e6, 26e6, 40e6, 99e6)] == [0, 0, 1, 1, None]
    assert library.device("dsp-20pj").wait_states(1e6) is None
    nordic = library.device("nrf52840").sleep_mode(200_000)
    # the mode of least power would keep RAM, but no timer wakes from it
    assert nordic is not None and nordic[1].timer


def test_radio_messages_are_split(folder: Path) -> None:
    radio = library.radio("ble-stm32wb55")
    assert [radio.packets(n) for n in (0, 1, 31, 32, 62, 63)] == [1, 1, 1, 2, 2, 3]
    two = float(radio.message_j(32).value) - float(radio.message_j(31).value)
    assert radio.byte_j is not None
    assert two == pytest.approx(radio.packet_j.value + radio.byte_j.value)
    assert library.radio("backscatter-wifi").message_s(10) is None
