"""Opens .keras archives, .h5 files and configurations, taking no more memory than they merit."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from budget.errors import CorruptModelError, UnsupportedModelError
from budget.formats.keras_config import MAX_CONFIG_BYTES
from budget.readers.keras_hdf5 import Hdf5File, import_h5py, text
from budget.readers.keras_probe import probe

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
ZIP_SIGNATURE = b"PK\x03\x04"
_MAX_MEMBERS = 1 << 16
_COMPRESSION_LIMIT = 100


@dataclass(frozen=True, slots=True)
class KerasFile:
    """What was in a file.

    Attributes:
        config: JSON text of the model.
        weights: HDF5 file with the weights; None if the file has none.
        format: ``keras``, ``h5`` or ``keras-json``.
        sha256: of the whole file.
        keras_version: that wrote the file, such as ``2.4.0``; some functions changed since.
    """

    config: bytes | str
    weights: Hdf5File | None
    format: str
    sha256: str
    keras_version: str


def open_keras(path: Path) -> KerasFile:
    """Tells the three forms apart by their first bytes.

    Raises:
        CorruptModelError: it is none of them, or broken.
        UnsupportedModelError: it holds weights without a model.
    """
    where = path.name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CorruptModelError(f"cannot be read: {error.strerror}", where=where) from None
    digest = hashlib.sha256(data).hexdigest()
    if data.startswith(HDF5_SIGNATURE):
        return _open_hdf5(data, digest, where)
    if data.startswith(ZIP_SIGNATURE):
        return _open_archive(data, digest, where)
    if data.lstrip()[:1] == b"{":
        return KerasFile(data, None, "keras-json", digest, _version(data))
    raise CorruptModelError(
        "neither a .keras archive nor an HDF5 file nor a model's JSON", where=where
    )


def _open_hdf5(data: bytes, digest: str, where: str) -> KerasFile:
    import_h5py()
    probe(data, where)
    file = Hdf5File(io.BytesIO(data), len(data), where)
    config = file.attribute("", "model_config")
    if config is None:
        raise UnsupportedModelError(
            "the file holds weights without the model they belong to",
            where=where,
            hint="save the whole model: model.save('model.keras')",
        )
    if not isinstance(config, bytes | str):
        raise CorruptModelError("model_config is not text", where=where)
    version = file.attribute("", "keras_version")
    return KerasFile(text(config), file, "h5", digest, "2" if version is None else text(version))


def _open_archive(data: bytes, digest: str, where: str) -> KerasFile:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if len(archive.infolist()) > _MAX_MEMBERS:
                raise CorruptModelError("the archive has too many members", where=where)
            config = _member(archive, "config.json", MAX_CONFIG_BYTES, len(data), where)
            metadata = _member(archive, "metadata.json", MAX_CONFIG_BYTES, len(data), where)
            weights = _member(archive, "model.weights.h5", None, len(data), where)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        raise CorruptModelError(f"not a sound archive: {error}", where=where) from None
    except (NotImplementedError, RuntimeError, IndexError, KeyError, UnicodeError) as error:
        raise CorruptModelError(
            f"the archive is encrypted or oddly made: {error}", where=where
        ) from None
    if config is None:
        raise CorruptModelError("the archive has no config.json", where=where)
    if weights is None:
        raise UnsupportedModelError(
            "the archive has no model.weights.h5",
            where=where,
            hint="weights split over several files are not read: save the model as one .keras file",
        )
    import_h5py()
    probe(weights, where)
    file = Hdf5File(io.BytesIO(weights), len(weights), where)
    return KerasFile(config, file, "keras", digest, _version(metadata or b""))


def _version(data: bytes) -> str:
    """What a JSON text names as Keras's version, without reading all of it."""
    found = re.search(rb'"keras_version"\s*:\s*"(\d[^"]{0,40})"', data)
    return found.group(1).decode("ascii", "replace") if found else "3"


def _member(
    archive: zipfile.ZipFile, name: str, limit_bytes: int | None, archive_bytes: int, where: str
) -> bytes | None:
    """A member's bytes. Only names that are known are looked up, and nothing is ever unpacked."""
    found = [info for info in archive.infolist() if info.filename == name]
    if not found:
        return None
    if len(found) > 1:
        raise CorruptModelError(f"the archive has {name} twice", where=where)
    size_bytes = found[0].file_size
    allowed_bytes = archive_bytes * _COMPRESSION_LIMIT
    if limit_bytes is not None:
        allowed_bytes = min(allowed_bytes, limit_bytes)
    if size_bytes > allowed_bytes:
        raise CorruptModelError(
            f"{name} claims {size_bytes:,} bytes in an archive of {archive_bytes:,}", where=where
        )
    with archive.open(found[0]) as member:
        content = member.read(size_bytes + 1)
    if len(content) != size_bytes:
        raise CorruptModelError(f"{name} has not the size it claims", where=where)
    return content
