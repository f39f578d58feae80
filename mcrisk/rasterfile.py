"""Files of elevation models, opened as rasters: what GDAL reads, and netCDF grids.

GeoTIFF, PDS3 and PDS4 images, ISIS cubes and many more by GDAL, as the rasterio wheel brings it; netCDF by xarray,
since GDAL shows it as one dataset for each variable.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import MistakeError, visible
from .orbit import MEAN_RADIUS
from .raster import Raster, ellipsoid, load_rasterio

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .raster import Window

    Reals = NDArray[np.float64]

__all__ = ["open_raster"]

HEIGHT_NAMES = ("elevation", "elev", "height", "altitude", "topography", "topo", "dem", "radius", "z", "band1")
X_NAMES, Y_NAMES = ("lon", "longitude", "x", "easting"), ("lat", "latitude", "y", "northing")


def open_raster(path: Path, bounds: Sequence[float] | None = None) -> Raster:
    """A file that GDAL or xarray reads. bounds: west, south, east, north [deg], of one that does not say where it lies.

    Raises MistakeError for a file that is not there or cannot be read, one that does not say where it lies, and one of
    another body.
    """
    from .config import lies_at

    if lies_at(path) not in ("a file", "a folder"):
        raise MistakeError(visible(str(path)), "a file of an elevation model", lies_at(path))
    return (
        _open_netcdf(path, bounds)
        if path.suffix.lower() in (".nc", ".nc4", ".grd", ".cdf")
        else _open_gdal(path, bounds)
    )


def _open_gdal(path: Path, bounds: Sequence[float] | None) -> Raster:
    rasterio = load_rasterio()
    name = visible(path.name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of files without a place, which are refused below
        try:
            dataset = rasterio.open(path)
        except (rasterio.errors.RasterioError, OSError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise MistakeError(name, "an elevation model that GDAL reads", visible(reason)) from None
    if dataset.count < 1:
        raise MistakeError(name, "a raster", f"a file with {len(dataset.subdatasets)} datasets", "name one of them")
    remarks = [f"the first of its {dataset.count} bands"] if dataset.count > 1 else []
    transform, crs = tuple(dataset.transform)[:6], dataset.crs
    if crs is None:
        transform = _within(bounds, (dataset.height, dataset.width), name)
        remarks.append("it does not say where it lies: --bounds does")
    elif bounds is not None and not remarks:
        remarks.append("--bounds is not heeded, since it says where it lies")
    if crs is not None:
        remarks += _body(crs, name)
    _check_place(transform, (dataset.height, dataset.width), crs is None or crs.is_geographic, name)
    scale, offset = dataset.scales[0], dataset.offsets[0]

    def read(window: Window) -> tuple[Reals, NDArray[np.bool_]]:
        place = ((window[2], window[3]), (window[0], window[1]))
        try:
            found = dataset.read(1, window=place, masked=True)
        except rasterio.errors.RasterioError as error:
            raise MistakeError(name, "pixels that can be read", visible(str(error).splitlines()[0])) from None
        raw = found.data.astype(float)
        return raw * scale + offset, ~np.ma.getmaskarray(found) & np.isfinite(raw) & (np.abs(raw) < 1e30)

    unit = dataset.units[0] or _label_unit(dataset)
    return Raster(
        name,
        dataset.driver,
        (dataset.height, dataset.width),
        transform,
        crs,
        read,
        unit.strip().lower(),
        tuple(remarks),
    )


def _open_netcdf(path: Path, bounds: Sequence[float] | None) -> Raster:
    """A grid over two coordinates: latitude and longitude, or those of a CRS that the file states as text."""
    import xarray as xr

    name = visible(path.name)
    try:
        dataset = xr.load_dataset(path)
    except Exception as error:  # h5py, scipy and xarray raise what they like for other files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MistakeError(name, "a netCDF file", visible(reason)) from None
    flat = {str(key): one for key, one in dataset.data_vars.items() if one.ndim == 2 and one.dtype.kind in "iuf"}
    chosen = next((key for want in HEIGHT_NAMES for key in flat if key.lower() == want), None)
    if chosen is None and len(flat) == 1:
        chosen = next(iter(flat))
    if chosen is None:
        raise MistakeError(
            name, f"a variable of two dimensions such as {', '.join(HEIGHT_NAMES[:4])}", ", ".join(flat) or "none"
        )
    variable = flat[chosen]
    axes = {}
    for names, axis in ((X_NAMES, "x"), (Y_NAMES, "y")):
        found = [dim for dim in variable.dims if str(dim).lower() in names]
        if len(found) == 1 and found[0] in dataset.coords:
            axes[axis] = str(found[0])
    geographic = bool(axes) and axes.get("x", "").lower().startswith("lon")
    texts = (one.attrs.get(key) for one in dataset.variables.values() for key in ("crs_wkt", "spatial_ref", "proj4"))
    text = next((str(one) for one in texts if one), "")
    remarks: list[str] = []
    crs = None
    transform: tuple[float, ...]
    if len(axes) == 2:
        variable = variable.transpose(axes["y"], axes["x"])
        for one in axes.values():
            if dataset[one].dtype.kind not in "iuf":
                raise MistakeError(f"{name}: {one}", "numbers", str(dataset[one].dtype))
        x, y = (dataset[axes[one]].values.astype(float) for one in "xy")
        (a, c), (e, f) = _steps(x, name, axes["x"]), _steps(y, name, axes["y"])
        transform = (a, 0.0, c, 0.0, e, f)
        if not geographic and not text:
            raise MistakeError(
                name, "lat and lon, or x and y with a CRS", "x and y without one", "write crs_wkt beside them"
            )
        if not geographic:
            rasterio = load_rasterio()
            try:
                crs = rasterio.crs.CRS.from_string(text)
            except rasterio.errors.CRSError:
                raise MistakeError(name, "a CRS that PROJ knows", visible(text[:60])) from None
            remarks += _body(crs, name)
    else:
        transform = _within(bounds, variable.shape, name)
        remarks.append("it does not say where it lies: --bounds does")
    _check_place(transform, variable.shape, crs is None or crs.is_geographic, name)
    values = variable.values.astype(float)
    valid = np.isfinite(values) & (np.abs(values) < 1e30)

    def read(window: Window) -> tuple[Reals, NDArray[np.bool_]]:
        here = (slice(window[2], window[3]), slice(window[0], window[1]))
        return values[here], valid[here]

    unit = str(variable.attrs.get("units", "")).strip().lower()
    return Raster(
        name, f"netCDF, {chosen}", (values.shape[0], values.shape[1]), transform, crs, read, unit, tuple(remarks)
    )


def _steps(values: Reals, name: str, axis: str) -> tuple[float, float]:
    """Step and outer corner of evenly spaced middles of pixels."""
    steps = np.diff(values)
    if len(steps) < 1 or not np.isfinite(steps).all() or not steps.all() or np.ptp(steps) > 1e-3 * abs(steps.mean()):
        raise MistakeError(f"{name}: {axis}", "evenly spaced values", "others")
    step = (values[-1] - values[0]) / len(steps)
    return float(step), float(values[0] - step / 2)


def _check_place(transform: Sequence[float], shape: tuple[int, ...], geographic: bool, name: str) -> None:
    """Refuse a map without area, and degrees that are none: of more than the Moon, by more than a pixel."""
    a, b, c, d, e, f = transform
    if not all(map(math.isfinite, transform)) or a * e == b * d:
        raise MistakeError(
            name, "pixels of some size, in some place", f"the transform {', '.join(f'{one:g}' for one in transform)}"
        )
    if not geographic:
        return
    corners = [(col, row) for col in (0, shape[1]) for row in (0, shape[0])]
    east, north = ([k * col + m * row + n for col, row in corners] for k, m, n in ((a, b, c), (d, e, f)))
    width, height = abs(a) + abs(b), abs(d) + abs(e)
    if max(map(abs, north)) > 90 + height or max(east) - min(east) > 360 + 2 * width:
        got = f"{min(north):.6g} to {max(north):.6g} and {min(east):.6g} to {max(east):.6g}"
        raise MistakeError(name, "degrees of latitude and longitude", got, "give it the CRS that it is in")


def _within(bounds: Sequence[float] | None, shape: tuple[int, ...], name: str) -> tuple[float, ...]:
    """The transform of a map of degrees between bounds."""
    if bounds is None:
        remedy = "state its edges in degrees: --bounds WEST,SOUTH,EAST,NORTH"
        raise MistakeError(name, "a file that says where it lies (a CRS)", "one that does not", remedy)
    west, south, east, north = map(float, bounds)
    if not (west < east <= west + 360 and -90 <= south < north <= 90):
        raise MistakeError(
            "--bounds", "west < east and south < north, in degrees", f"{west:g},{south:g},{east:g},{north:g}"
        )
    return ((east - west) / shape[1], 0.0, west, 0.0, (south - north) / shape[0], north)


def _body(crs: Any, name: str) -> list[str]:
    """A remark where degrees are of another body; refuses metres on it."""
    radius, _ = ellipsoid(crs)
    if abs(radius - MEAN_RADIUS) <= 0.01 * MEAN_RADIUS:
        return []
    if crs.is_geographic:
        return [f"its CRS is of a body of {radius / 1000:.0f} km radius: degrees are taken as the Moon's"]
    remedy = "give it the CRS of the Moon, such as IAU_2015:30100, by gdal_edit or gdalwarp"
    raise MistakeError(
        name, f"a CRS of the Moon, radius {MEAN_RADIUS / 1000:g} km", f"one of {radius / 1000:.0f} km", remedy
    )


def _label_unit(dataset: Any) -> str:
    """UNIT of a PDS3 label, which GDAL passes over."""
    for one in dataset.files if dataset.driver == "PDS" else ():
        if Path(one).suffix.lower() in (".lbl", ".img"):
            with Path(one).open("rb") as file:
                found = re.search(rb'^\s*UNIT\s*=\s*"?([A-Za-z]+)', file.read(1 << 16), re.MULTILINE)
            if found:
                return found[1].decode()
    return ""
