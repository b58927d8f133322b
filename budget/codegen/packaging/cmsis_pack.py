"""A CMSIS-Pack description of the library as one component.

As https://open-cmsis-pack.github.io/Open-CMSIS-Pack-Spec/main/html/packFormat.html has it: the
file's name is vendor, dot, pack name.
"""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from budget.codegen.packaging.package import Package

_VENDOR = "budget"
# The specification dates every release; the package's own version says what is newer.
_DATE = "2000-01-01"


def render_cmsis_pack(package: Package) -> dict[str, str]:
    """VENDOR.NAME.pdsc."""
    name = package.name
    files = [("include", "./")]
    files += [("header", file) for file in package.headers]
    files += [("source", file) for file in package.sources]
    rows = "\n".join(
        f"        <file category={quoteattr(category)} name={quoteattr(path)}/>"
        for category, path in files
    )
    text = f"""\
<?xml version="1.0" encoding="UTF-8"?>
<package schemaVersion="1.7.7" xmlns:xs="http://www.w3.org/2001/XMLSchema-instance" \
xs:noNamespaceSchemaLocation="PACK.xsd">
  <vendor>{_VENDOR}</vendor>
  <name>{name}</name>
  <description>{escape(package.sentence)}</description>
  <url>https://pypi.org/project/mcu-budget/</url>
  <releases>
    <release version="{package.version}" date="{_DATE}">As emitted.</release>
  </releases>
  <taxonomy>
    <description Cclass="Machine Learning">Neural networks</description>
  </taxonomy>
  <components>
    <component Cclass="Machine Learning" Cgroup="Model" Csub="{name}" Cversion="{package.version}">
      <description>{escape(package.sentence)}</description>
      <files>
{rows}
        <file category="source" name="{package.selftest}" attr="template" \
select="Recorded inferences"/>
      </files>
    </component>
  </components>
</package>
"""
    return {f"{_VENDOR}.{name}.pdsc": text}
