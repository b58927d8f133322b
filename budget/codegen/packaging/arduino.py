"""An Arduino library: its properties and an example sketch that runs the self-test.

The layout is the flat one of the Arduino library specification (sources beside
library.properties, examples/NAME/NAME.ino): https://arduino.github.io/arduino-cli/latest/library-specification/
"""

from __future__ import annotations

from budget.codegen.packaging.package import Package


def render_arduino(package: Package) -> dict[str, str]:
    """library.properties and examples/NAME_selftest/NAME_selftest.ino."""
    name = package.name
    properties = {
        "name": name,
        "version": package.version,
        "author": "budget",
        "maintainer": "budget",
        "sentence": package.sentence,
        "paragraph": f"{name}_init() and {name}_invoke(); no allocation, no other library.",
        "category": "Data Processing",
        "url": "https://pypi.org/project/mcu-budget/",
        "architectures": "*",
        "includes": package.headers[0],
    }
    sketch = f"""\
// Runs the recorded inferences on the board and tells the result over the serial port.
#include <{package.headers[0]}>

static int put(int character)
{{
    return (int)Serial.write((uint8_t)character);
}}

void setup()
{{
    Serial.begin(115200);
    while (!Serial) {{
    }}
    const unsigned long started = micros();
    const int wrong = {name}_selftest(put);
    Serial.print(micros() - started);
    Serial.println(wrong == 0 ? " us, all outputs as recorded" : " us, outputs differ");
}}

void loop()
{{
}}
"""
    text = "".join(f"{key}={value}\n" for key, value in properties.items())
    example = f"{name}_selftest"
    return {"library.properties": text, f"examples/{example}/{example}.ino": sketch}
