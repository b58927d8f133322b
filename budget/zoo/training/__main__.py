"""``python -m budget.zoo.training NAME …``: makes shipped models again, all of them by ``all``."""

from __future__ import annotations

import argparse
from pathlib import Path

from budget.zoo import MODELS
from budget.zoo.training.manifest import write_manifest

_HOTWORDS = ("hotword", "hotword-large")


def main() -> None:
    """Makes the models asked for and renews the list of checksums."""
    parser = argparse.ArgumentParser(prog="python -m budget.zoo.training", description=__doc__)
    parser.add_argument("names", nargs="+", choices=[*_HOTWORDS, "digits", "tiny", "all"])
    parser.add_argument("--folder", type=Path, default=MODELS, help="where the files go")
    arguments = parser.parse_args()
    names, folder = set(arguments.names), arguments.folder
    if "all" in names:
        names = {*_HOTWORDS, "digits", "tiny"}
    folder.mkdir(parents=True, exist_ok=True)
    if names & set(_HOTWORDS):
        from budget.zoo.training import data, hotword

        clips = data.make_data()
        data.write_data(clips, folder)
        for recipe in (hotword.HOTWORD, hotword.HOTWORD_LARGE):
            if recipe.name in names:
                hotword.make(recipe, clips, folder)
    if "digits" in names:
        from budget.zoo.training import digits

        digits.make(folder)
    if "tiny" in names:
        from budget.zoo.training import tiny

        tiny.make(folder)
    write_manifest(folder)


if __name__ == "__main__":
    main()
