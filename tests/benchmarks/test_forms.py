"""A few models in five forms, and what the table says of differences."""

from __future__ import annotations

from pathlib import Path

import forms
import pytest

FEW = (("recurrent", "gru"), ("streaming", "streaming convolution"), ("zoo", "zoo digits"))


@pytest.mark.slow
@pytest.mark.parametrize(("family", "name"), FEW)
def test_five_forms_have_the_same_counts(family: str, name: str, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    result = forms.result_of(tmp_path, family, name)
    assert set(result["forms"]) == set(forms.FORMS), result.get("error")
    assert not any(forms.lost(result).values()), forms.lost(result)
    assert forms.result_of(tmp_path, family, name) == result  # kept, not run again


def test_the_table_says_what_differs() -> None:
    same = {"macs": 100, "parameters": 10, "error_ratio": 1e-7}
    result = {
        "name": "m",
        "forms": {
            ".keras": same,
            ".h5": same,
            "SavedModel": {**same, "macs": 90},
            "frozen graph": {**same, "error_ratio": 0.5},
            ".tflite": {"error": "cannot be read"},
        },
    }
    assert forms.lost(result) == {
        ".keras": "",
        ".h5": "",
        "SavedModel": "-10 MAC",
        "frozen graph": "outputs differ by 5.0e-01",
        ".tflite": "cannot be read",
    }
    table = forms.render([result])
    assert "| m | 100 | 10 | = | = | -10 MAC |" in table
    assert "0 of 1 models have the same counts in all five forms." in table
