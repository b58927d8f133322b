"""Every figure can be looked up, the report agrees with the pages, the library is complete."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from budget.api.profiles import KINDS, cited, list_profiles, provenance
from budget.cli.app import application
from budget.errors import UsageError
from budget.hardware import library
from budget.hardware.figure import Kind

ROOT = Path(__file__).resolve().parents[2]
# transcribed from the parts' data sheets and product pages apart from the profiles
with (Path(__file__).parent / "microcontrollers.csv").open(newline="") as table:
    MICROCONTROLLERS = list(csv.DictReader(table))
_ADDRESS = re.compile(r"https://[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,}(/[!-~]*)?")
_FILE = re.compile(r"\b(?:docs|budget|tests)/[\w./-]+\.\w+")


def budget(*words: str) -> str:
    done = CliRunner().invoke(application(words), list(words))
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_has_a_reference_to_look_up(kind: str) -> None:
    """An address, or a file of this project; only what is assumed may rest on a sentence."""
    for profile in list_profiles(kind):
        for label, figure in profile.figures():
            reference = figure.reference
            assert reference is not None and len(reference.title) > 10
            assert not reference.url or _ADDRESS.fullmatch(reference.url), reference.url
            assert reference.url or not reference.checked, "what was seen has an address"
            files = _FILE.findall(f"{reference.title} {figure.where}")
            can = bool(_ADDRESS.fullmatch(reference.url)) or any(
                (ROOT / file.rstrip(".")).exists() for file in files
            )
            built = "instruction-priced Cortex-M4 emulation" in reference.title
            built |= "arm-none-eabi-gcc" in reference.title
            assert can or built or figure.kind is Kind.ASSUMED, (profile.id, label)


def test_what_is_only_remembered_is_marked_so() -> None:
    """A data sheet or measurement named from memory carries no figure said to be read there."""
    for kind in KINDS:
        for profile in list_profiles(kind):
            for label, figure in profile.figures():
                assert figure.reference is not None
                if "from memory" in figure.reference.title:
                    assert figure.kind >= Kind.DERIVED, (profile.id, label)


def test_references_and_where_they_were_seen() -> None:
    rows = cited(provenance(["device"]))
    figures = sum(len(device.figures()) for device in list_profiles("device"))
    assert sum(count for _, count in rows) == figures
    assert [count for _, count in rows] == sorted((count for _, count in rows), reverse=True)
    document = json.loads(budget("provenance", "device", "--json"))
    assert [(row["title"], row["figures"]) for row in document["references"]] == [
        (reference.title, count) for reference, count in rows
    ]
    unseen = [count for one, count in rows if one.url and not one.checked]
    shown = " ".join(budget("provenance", "device", "--references").split())
    assert f"{len(unseen)} of {sum(bool(one.url) for one, _ in rows)} references" in shown
    assert f"{sum(unseen):,} figures rest on them" in shown
    page = " ".join(budget("devices", "stm32l072").split())
    assert "seen 2026-11-22: front page read in a public copy" in page


def test_the_report_counts_what_the_pages_show() -> None:
    document = json.loads(budget("provenance", "--json"))
    commands = {"device": "devices", "harvester": "sources", "storage": "storage"}
    pages = dict.fromkeys(Kind, 0)
    for profile in document["profiles"]:
        assert profile["counts"] or profile["id"] in ("direct", "retained-ram")
        weak = sum(profile["counts"].get(k, 0) for k in ("recalled", "assumed"))
        assert weak == len(profile["weak"])
        for kind in Kind:
            pages[kind] += profile["counts"].get(str(kind), 0)
    assert {str(kind): count for kind, count in pages.items()} == document["totals"]
    for profile in document["profiles"]:
        if profile["id"] not in ("stm32l4r5", "cr2032", "indoor-light"):
            continue
        page = json.loads(budget(commands[profile["kind"]], profile["id"], "--json"))["profile"]
        kinds = [figure["kind"] for figure in page["figures"]]
        assert {kind: kinds.count(kind) for kind in set(kinds)} == profile["counts"]


def test_tables_of_the_report() -> None:
    rows = provenance(["storage"])
    shown = budget("provenance", "storage")
    assert all(row.profile.id in shown for row in rows)
    weak = sum(len(row.weak) for row in rows)
    whole = sum(sum(row.counts.values()) for row in rows)
    assert f"{weak:,} of {whole:,} figures are recalled or assumed" in shown
    each = budget("provenance", "storage", "--each")
    assert sum(line.count("recalled") + line.count("assumed") for line in each.splitlines()) > weak
    with pytest.raises(UsageError, match="no kind of profile 'stuff'"):
        provenance(["stuff"])


def test_a_page_shows_sources_what_was_recalled_and_what_disagrees() -> None:
    page = budget("devices", "stm32l4r5")
    words = " ".join(page.split())
    assert "what disagrees" in words
    assert "78 mW with the linear regulator" in words
    recalled = sum(f.kind is Kind.RECALLED for _, f in library.device("stm32l4r5").figures())
    assert f"{recalled} figures are recalled" in words
    assert "https://www.st.com/" in page


@pytest.mark.parametrize("row", MICROCONTROLLERS, ids=lambda row: row["id"])
def test_every_microcontroller_is_there_with_its_data_sheet_s_figures(row: dict[str, str]) -> None:
    device = library.device(row["id"])
    if device.category == "engine":
        assert row["id"] in ("gap8", "gap9"), "their cores are priced by the multiply-add"
        return
    assert device.max_hz is not None and device.ram_bytes is not None
    if not row["id"].startswith("alif"):  # the profile is of the slower of two cores
        assert device.max_hz == float(row["max_mhz"]) * 1e6
    assert (device.flash_bytes or 0) == float(row["flash_kib"]) * 1024
    assert device.ram_bytes == float(row["ram_kib"]) * 1024
    known = [float(text) for text in row["run_ua_per_mhz"].split()]
    power = device.power
    if known and power is not None and power.run_a_per_hz is not None:
        found = power.run_a_per_hz.value * 1e12
        assert any(found == pytest.approx(value, rel=0.02) for value in known), found


def test_the_library_is_as_wide_as_it_says() -> None:
    assert len(MICROCONTROLLERS) == 42
    devices = [library.device(name) for name in library.devices()]
    engines = [device for device in devices if device.category == "engine"]
    assert len(engines) >= 12
    for name, levels in (("horowitz-45nm", 4), ("eyeriss-hierarchy", 4)):
        engine = library.device(name).engine
        assert engine is not None
        energies = [
            level.access_j.value / level.access_bytes.value for level in engine.levels.values()
        ]
        assert len(energies) == levels
        assert energies == sorted(energies), "the farther the dearer"
    sources = set(library.harvesters())
    for cell in ("amorphous", "silicon", "dye", "organic", "gaas", "perovskite"):
        powers = [
            library.harvester(f"{cell}-{lux}lx").power_density_w_per_m2 for lux in (200, 500, 1000)
        ]
        values = [power.value for power in powers if power is not None]
        assert values[1] / values[0] == pytest.approx(2.5, rel=0.05)
        assert values[2] / values[1] == pytest.approx(2.0, rel=0.05)
    assert {"teg-3k", "teg-10k", "teg-50k", "rf-minus20dbm", "rf-minus10dbm", "rf-0dbm"} <= sources
    assert {"beeby-vibration", "roundy-vibration"} <= sources
    converters = [library.converter(name) for name in library.converters()]
    assert sum(converter.cold_start_v is not None for converter in converters) >= 8
    for kind, at_least in (("storage", 15), ("radio", 12), ("sensor", 15)):
        assert len(list_profiles(kind)) >= at_least


def test_rectifiers_give_less_than_they_get() -> None:
    for name, dbm in (("rf-minus20dbm", -20), ("rf-minus10dbm", -10), ("rf-0dbm", 0)):
        power = library.harvester(name).power_w
        assert power is not None
        assert 0 < power.low < power.high < 10 ** (dbm / 10) * 1e-3
