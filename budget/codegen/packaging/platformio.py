"""A PlatformIO library: its library.json.

As https://docs.platformio.org/en/latest/manifests/library-json/ describes it.
"""

from __future__ import annotations

import json

from budget.codegen.packaging.package import Package


def render_platformio(package: Package) -> dict[str, str]:
    """library.json."""
    document = {
        "name": package.name,
        "version": package.version,
        "description": package.sentence,
        "keywords": "neural network, inference, tflite",
        "frameworks": "*",
        "platforms": "*",
        "headers": package.headers[0],
        "build": {
            "includeDir": ".",
            "srcDir": ".",
            "srcFilter": [f"+<{file}>" for file in (*package.sources, package.selftest)],
        },
    }
    return {"library.json": json.dumps(document, indent=2) + "\n"}
