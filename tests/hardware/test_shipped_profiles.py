"""The profiles that ship: all load, every figure can be looked up, and known numbers come out."""

import tomllib
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

import pytest

from budget.hardware import library
from budget.hardware.figure import Kind, Reference, total
from budget.hardware.profiles import Device, Profile

LOADERS: dict[str, tuple[Callable[[], list[str]], Callable[[str], Profile]]] = {
    "device": (library.devices, library.device),
    "runtime": (library.runtimes, library.runtime),
    "harvester": (library.harvesters, library.harvester),
    "checkpoint": (library.checkpoints, library.checkpoint),
    "converter": (library.converters, library.converter),
    "storage": (library.storages, library.storage),
    "radio": (library.radios, library.radio),
    "sensor": (library.sensors, library.sensor),
}
FOLDER = Path(str(resources.files("budget.hardware_profiles")))
ALL = [(kind, name) for kind, (names, _) in LOADERS.items() for name in names()]


def every() -> Iterator[Profile]:
    for kind, name in ALL:
        yield LOADERS[kind][1](name)


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_loads_and_every_figure_has_a_source(kind: str, name: str) -> None:
    profile = LOADERS[kind][1](name)
    assert profile.id == name
    assert profile.name
    for path, figure in profile.figures():
        assert figure.reference is not None, path
        assert len(figure.reference.title) > 10, path
        assert 0 <= figure.low <= figure.value <= figure.high, path
        assert figure.key.endswith(path)


def test_every_file_is_found_by_one_loader() -> None:
    assert len(list(FOLDER.rglob("*.toml"))) == len(ALL)


def test_figure_keys_are_unique() -> None:
    keys = [figure.key for profile in every() for _, figure in profile.figures()]
    # alif-e7 is alif-e3 under another name: its figures carry its own
    assert len(keys) == len(set(keys))


def test_a_reference_means_the_same_everywhere() -> None:
    known: dict[str, Reference] = {}
    for profile in every():
        for _, figure in profile.figures():
            assert figure.reference is not None
            known.setdefault(figure.reference.id, figure.reference)
            assert known[figure.reference.id].title == figure.reference.title
            assert known[figure.reference.id].url == figure.reference.url
            assert known[figure.reference.id].checked == figure.reference.checked


def test_no_reference_is_declared_in_vain() -> None:
    for path in FOLDER.rglob("*.toml"):
        text = path.read_text(encoding="utf-8")
        for reference in tomllib.loads(text).get("references", {}):
            assert f'reference = "{reference}"' in text, f"{path.name}: {reference}"


def test_the_range_of_cores_is_covered() -> None:
    devices = [library.device(name) for name in library.devices()]
    cores = {device.core for device in devices if device.category == "mcu"}
    assert {"cortex-m0plus", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55", "rv32imc"} <= (
        cores
    )
    assert sum(device.category == "mcu" for device in devices) >= 36


@pytest.mark.parametrize("name", library.devices())
def test_a_microcontroller_has_what_a_verdict_needs(name: str) -> None:
    device = library.device(name)
    if device.category == "engine":
        assert device.mac_energy_j().value > 0
        return
    assert device.ram_bytes is not None and device.ram_bytes >= 2048
    assert device.flash_bytes is None or device.flash_bytes >= 32768
    power = device.power_w()
    # 20 to 400 pJ each cycle: outside of that somebody mistook a prefix
    assert device.max_hz is not None
    assert 10e-12 < float(power.value) / device.max_hz < 4e-9
    assert power.unit == "W"
    assert power.low < power.value < power.high
    half = device.power_w(device.max_hz / 2)
    assert float(half.value) <= float(power.value)
    for mode in device.sleep.values():
        assert 1e-9 < float(mode.power_w.value) < 0.1 * float(power.value)


def test_the_article_s_microcontroller_and_the_data_sheet_s() -> None:
    article = library.device("efm32-article")
    assert article.power_w(40e6).value == pytest.approx(2.5e-3)
    assert (article.flash_bytes, article.ram_bytes) == (1024 * 1024, 256 * 1024)
    sheet = library.device("efm32pg12")
    # 63 µA/MHz · 40 MHz · 3.3 V
    assert sheet.power_w(40e6).value == pytest.approx(63e-6 * 40 * 3.3)
    assert sheet.power_w().low > article.power_w().high
    assert "63 µA" in article.note and "2.52 mA" in sheet.note


def test_the_article_s_dsp() -> None:
    dsp = library.device("dsp-20pj")
    energy = dsp.mac_energy_j() * 1.5e9
    assert energy.value == pytest.approx(30e-3)
    assert dsp.boundary == "datapath"
    assert dsp.ram_bytes is None and dsp.flash_bytes is None and dsp.max_hz is None


@pytest.mark.parametrize(
    ("name", "microwatts_per_cm2"),
    [
        ("human-vibration", 4),
        ("industrial-vibration", 100),
        ("human-thermal", 25),
        ("indoor-light", 10),
        ("outdoor-light", 10_000),
        ("gsm-rf", 0.1),
        ("wifi-rf", 0.001),
    ],
)
def test_the_article_s_harvesters(name: str, microwatts_per_cm2: float) -> None:
    power = library.harvester(name).power(1e-4)
    assert power.value == pytest.approx(microwatts_per_cm2 * 1e-6)


def test_industrial_heat_is_a_range() -> None:
    power = library.harvester("industrial-thermal").power(1e-4)
    assert (power.low, power.high) == (pytest.approx(1e-3), pytest.approx(10e-3))


def test_the_article_s_guess_of_speed() -> None:
    cycles = library.runtime("rule-of-thumb").on("cortex-m4")
    step = cycles.step("conv", macs=1_000_000, outputs=5, flops=2_000_000)
    assert 2_000_000 / (float(step.value) / 40e6) == pytest.approx(2e6)
    # the same whichever way it is asked
    assert float(cycles.mac("conv").value) * 1_000_000 == step.value


def test_the_default_supply_of_the_stm32l4r5_and_its_alternative() -> None:
    device = library.device("stm32l4r5")
    ldo = device.power_w()
    assert ldo.kind is Kind.MEASURED
    # behind the linear regulator the current stays: at 3 V submissions measured 70 to 78 mW
    assert 65e-3 < float(device.power_w(voltage_v=3.0).value) < 80e-3
    assert device.power_w(supply="smps").value == pytest.approx(33.1e-3)


def test_published_messages() -> None:
    assert library.radio("ble-stm32wb55").message_j(31).value == pytest.approx(47e-6, rel=0.03)
    # 20 B of application payload are 33 B on the air: 6.17 mJ, and two receive windows
    assert library.radio("lora-sf7").message_j(20).value == pytest.approx(7.04e-3, rel=0.02)
    sf12 = library.radio("lora-sf12").message_s(20)
    assert sf12 is not None and sf12.value == pytest.approx(1.8104, rel=0.005)


def test_bq25570_follows_its_curves() -> None:
    converter = library.converter("bq25570")
    # 10 µA and 100 µA at 0.5 V are points of the sheet
    assert converter.efficiency(5e-6, 0.5).value == pytest.approx(0.353, rel=1e-6)
    assert converter.efficiency(50e-6, 0.5).value == pytest.approx(0.765, rel=1e-6)
    assert library.converter("bq25570-measured").efficiency(5e-6, 0.5).value == pytest.approx(
        0.14, abs=0.02
    )
    assert converter.efficiency(1e-9, 0.5).value == 0.0
    assert library.converter("direct").efficiency(1e-3, 1.0).value == 1.0


def test_storage_energy() -> None:
    assert library.storage("cr2032").energy_j.value == pytest.approx(225e-3 * 3600 * 3.0)
    supercap = library.storage("supercap-7.5f")
    assert supercap.energy_j.value == pytest.approx(7.5 * (5.5**2 - 1.8**2) / 2)


@pytest.mark.parametrize("name", library.sensors())
def test_a_sensor_s_modes_exist(name: str) -> None:
    sensor = library.sensor(name)
    assert sensor.active_w.value > sensor.standby_w.value >= 0
    assert sensor.category


@pytest.mark.parametrize("name", library.runtimes())
def test_a_runtime_prices_every_core_it_lists(name: str) -> None:
    runtime = library.runtime(name)
    for core in runtime.cycles:
        cycles = runtime.on(core)
        for operator in ("conv", "pointwise", "depthwise", "fully_connected", "other"):
            macs = 0 if operator == "other" else 10_000
            step = cycles.step(operator, macs=macs, outputs=100, flops=2 * macs + 100)
            assert step.unit == "cycles"
            assert step.low <= step.value <= step.high
            if macs:
                # 0.2 (vectors) to 400 (floating point in software) cycles for each
                assert 0.2 < float(step.value) / macs < 400


def test_ratios_between_cores() -> None:
    runtime = library.runtime("x-cube-ai")
    m4, m7, m33 = (
        float(runtime.on(core).mac("conv").value)
        for core in ("cortex-m4", "cortex-m7", "cortex-m33")
    )
    # without wait states; with them a Cortex-M4 takes a fifth more
    assert 0.6 < m7 / m4 < 1.0
    assert 0.7 < m33 / m4 < 1.3


def test_user_device_is_a_device(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    text = (FOLDER / "accelerators" / "dsp-20pj.toml").read_text(encoding="utf-8")
    path.write_text(text.replace('id = "dsp-20pj"', 'id = "mine"'), encoding="utf-8")
    device = library.device(str(path))
    assert isinstance(device, Device)
    assert device.id == "mine"


@pytest.mark.parametrize(
    ("name", "network", "microjoules"),
    [
        ("gap9", "ic", 27.7),
        ("gap9", "kws", 18.6),
        ("gap9", "vww", 40.8),
        ("xg24-mvp", "ic", 1235),
        ("xg24-mvp", "kws", 402),
        ("xg24-mvp", "vww", 1139),
        ("ndp120", "ic", 102),
        ("ndp120", "kws", 31.5),
        ("ndp120", "vww", 71.7),
    ],
)
def test_accelerators_against_published_energies(
    name: str, network: str, microjoules: float
) -> None:
    """MLPerf Tiny round 1.0; MACs by operator counted from the networks' shapes by hand."""
    macs = {
        "ic": (12_500_992, 0, 640),
        "kws": (320_000 + 2_048_000, 288_000, 768),
        "vww": (497_664 + 6_193_152, 798_336, 512),
    }[network]
    device = library.device(name)
    parts = ("conv", "depthwise", "fully_connected")
    energy = total((device.mac_energy_j(part) * count for part, count in zip(parts, macs)), "J")
    assert float(energy.low) * 0.97 < microjoules * 1e-6 < float(energy.high) * 1.03
