"""One netCDF file per dataset, never seen half written: moved to its place whole, refused unless it still is.

Why: HDF5 promises nothing after a crash, and a torn file often reads as a valid one full of NaN. On a full disk HDF5
itself crashes (segmentation fault), so that it writes to memory and plain Python to the disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import xarray as xr

from mcrisk.errors import InfrastructureError, MistakeError

__all__ = ["content_digest", "placed", "read", "write"]

FILE_BYTES = 8 << 30  # largest file read


def write(dataset: xr.Dataset, path: Path) -> None:
    """Write a netCDF file whole or not at all: beside its place, synced, then moved there.

    Its attribute `complete` is 0 where the dataset says so: the figures of a campaign that is not flown to its end.
    """
    complete = dataset.copy()
    complete.attrs = dataset.attrs | {"content_digest": content_digest(dataset)}
    complete.attrs["complete"] = np.int8(dataset.attrs.get("complete", 1))  # of the campaign; the file is always whole
    complete.attrs["checksum"] = _checksum(complete)
    encoding: dict[str, Any] = {}
    for name, one in complete.variables.items():
        if one.dtype == object and one.ndim == 1 and not 0 < one.size <= 1000:  # an empty one would lose its type
            members = sorted(set(one.values.tolist()))
            codes = np.searchsorted(members, one.values.astype(str)).astype(np.int32)
            attrs = one.attrs | {
                "flag_values": np.arange(len(members), dtype=np.int32),
                "flag_names": "\n".join(members),
            }
            complete[name] = (one.dims, codes, attrs)
        elif one.dtype != object and one.ndim:
            encoding[str(name)] = {"zlib": True, "complevel": 4, "shuffle": True}
    content = io.BytesIO()
    complete.to_netcdf(content, engine="h5netcdf", encoding=encoding)
    with placed(path, remedy="free space, or choose --out") as file:
        file.write(content.getbuffer())


@contextlib.contextmanager
def placed(path: Path, remedy: str) -> Iterator[BinaryIO]:
    """A new file beside `path`, synced and moved there at the end; after any failure what was there is there."""
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
        with beside.open("xb") as file:
            temporary = beside
            yield file
        _sync(temporary)
        temporary.replace(path)
        temporary = None
        _sync(path.parent)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InfrastructureError(f"{path}: not written ({reason})", remedy=remedy) from error
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                temporary.unlink()


def read(path: Path, what: str = "a results file", remedy: str = "run the campaign again") -> xr.Dataset:
    """The dataset of a file, in memory; refuses one that is not complete to the last bit."""
    if not path.is_file():
        raise MistakeError(str(path), f"{what} of mcrisk", "none")
    if path.stat().st_size > FILE_BYTES:
        raise MistakeError(str(path), f"at most {FILE_BYTES >> 30} GiB", f"{path.stat().st_size >> 30} GiB")
    complete = f"complete {what.removeprefix('a ')}"
    try:
        dataset = _decoded(xr.load_dataset(path, engine="h5netcdf"))
        ours = {"complete", "checksum"} <= dataset.attrs.keys()
        intact = dataset.attrs.get("checksum") == _checksum(dataset)
    except Exception as error:  # h5py and xarray raise what they like for torn files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InfrastructureError(f"{path}: not a {complete} ({reason})", remedy=remedy) from error
    if not ours:
        raise InfrastructureError(f"{path}: not a {complete} of mcrisk", remedy=remedy)
    if not intact:
        raise InfrastructureError(f"{path}: its content is not what was written (checksum)", remedy=remedy)
    return dataset


def _decoded(dataset: xr.Dataset) -> xr.Dataset:
    """The dataset as it was before `write` encoded its names."""
    for name, one in list(dataset.variables.items()):
        if "flag_names" in one.attrs:
            attrs = {key: value for key, value in one.attrs.items() if key not in ("flag_names", "flag_values")}
            dataset[name] = (one.dims, np.array(one.attrs["flag_names"].split("\n"), object)[one.values], attrs)
        elif one.dtype.kind in "UT":
            dataset[name] = dataset[name].astype(object)
        dataset[name].encoding = {}
    return dataset


def content_digest(dataset: xr.Dataset) -> str:
    """SHA-256 over names, dimensions and values of all variables: equal bits, equal digest. Attributes do not count."""
    whole = hashlib.sha256()
    for name in sorted(map(str, dataset.variables)):
        one = dataset.variables[name]
        values = np.asarray(one.values)
        if values.dtype.kind in "OUT":
            content = json.dumps([str(value) for value in values.reshape(-1)]).encode()
        else:
            content = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).tobytes()
        head = json.dumps([name, list(map(str, one.dims)), list(one.shape), len(content)])
        whole.update(head.encode() + content)
    return whole.hexdigest()


def _checksum(dataset: xr.Dataset) -> str:
    """SHA-256 over all that a file holds, attributes included, but for itself."""
    content = json.dumps(
        [content_digest(dataset)]
        + [
            [str(name), key, np.asarray(value).tolist()]
            for name, attrs in [
                ("", dataset.attrs),
                *((one, dataset[one].attrs) for one in sorted(dataset.variables, key=str)),
            ]
            for key, value in sorted(attrs.items())
            if key != "checksum"
        ]
    )
    return hashlib.sha256(content.encode()).hexdigest()


def _sync(path: Path) -> None:
    """Flush a file or folder to the disk, where the system can."""
    handle = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
