"""Elevation models in files: the same ground out of every map projection, units, holes, coverage, and what is refused.

The files are written here from a surface in closed form, so that every height read has a known answer.
"""

from __future__ import annotations

import doctest
import json
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import xarray as xr
from rasterio.crs import CRS
from rasterio.transform import from_origin
from rasterio.warp import transform

from mcrisk import mission, netcdf, synthetic, terrain
from mcrisk.commands import ground
from mcrisk.errors import InfrastructureError, MistakeError
from mcrisk.rasterfile import open_raster
from mcrisk.relief import Projection, Relief

RADIUS = 1737400.0
DEGREES = CRS.from_string(f"+proj=longlat +R={RADIUS:.0f} +no_defs")
ROUND = CRS.from_string(f"+proj=eqc +lon_0=0 +R={RADIUS:.0f} +units=m +no_defs")
SOUTH = CRS.from_string(f"+proj=stere +lat_0=-90 +lon_0=0 +k=1 +R={RADIUS:.0f} +units=m +no_defs")
SMALL = {"length_before": 12e3, "length_after": 4e3, "half_width": 3e3, "cell": 200.0}
PIXEL = 200.0  # [m]


def surface(latitude, longitude):
    """Heights [m] over 1737.4 km at places [deg]: waves of 18 km and 7 km through the whole Moon, smooth everywhere."""
    lat, lon = np.radians(latitude), np.radians(longitude)
    p = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    return 400 * np.sin(600 * np.tensordot([0.3, 0.8, -0.5], p, 1)) + 90 * np.sin(
        1500 * np.tensordot([-0.6, 0.1, 0.8], p, 1)
    )


def write(path: Path, crs, transform_, shape, values=None, **profile) -> Path:
    """A GeoTIFF of `surface`, or of `values(heights)` of it."""
    columns, rows = np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5)
    a, b, c, d, e, f = tuple(transform_)[:6]
    x, y = a * columns + b * rows + c, d * columns + e * rows + f
    if crs and not crs.is_geographic:
        flat = transform(crs, DEGREES, x.ravel(), y.ravel())
        x, y = (np.reshape(one, shape) for one in flat)
    data = surface(y, x)
    data = values(data) if values else data
    options = {"dtype": "float32", "crs": crs, **profile}
    scale = options.pop("scale", None)
    with rasterio.open(
        path, "w", driver="GTiff", height=shape[0], width=shape[1], count=1, transform=transform_, **options
    ) as file:
        file.write(data.astype(options["dtype"]), 1)
        if scale:
            file.scales, file.offsets = (scale[0],), (scale[1],)
        if profile.get("units"):
            file.units = (profile["units"],)
    return path


def patch_of(path: Path, latitude: float, longitude: float, half: float = 12e3, **profile) -> Path:
    """A map in degrees around a place, in pixels of 200 m."""
    step = math.degrees(PIXEL / RADIUS)
    across = step / math.cos(math.radians(latitude))
    count = round(half / PIXEL)
    corner = from_origin(longitude - count * across, latitude + count * step, across, step)
    return write(path, DEGREES, corner, (2 * count, 2 * count), **profile)


def error_of(found: Relief) -> float:
    """The largest difference of a relief's heights from the surface [m]."""
    worst = 0.0
    for one in (found.strip, found.site):
        if one is not None:
            lat, lon = found.projection.to_moon(one.x[:, None], one.y)
            exact = surface(np.degrees(lat), np.degrees(lon)) - found.projection.elevation
            worst = max(worst, float(np.abs(one.heights - exact).max()))
    return worst


def read(path, latitude, longitude, azimuth=60.0, **options) -> Relief:
    places = {
        "latitude": math.radians(latitude),
        "longitude": math.radians(longitude),
        "azimuth": math.radians(azimuth),
    }
    return terrain.read(path, **places, **({} if "length_before" in options else SMALL), **options)


# ---- the same ground out of every map


def test_a_map_of_degrees_is_read_across_its_seam(tmp_path):
    """A band around the Moon, 0 to 360 deg, and a site on the prime meridian, whose strip lies on both sides of it.
    Pixels of 606 m: cubic splines leave at most 5/384 (2 pi 606 m / 7.3 km)^4 of the short wave's 90 m along each axis
    (Hall & Meyer 1976), 0.09 m."""
    columns = 18000
    path = write(tmp_path / "band.tif", DEGREES, from_origin(0, 1, 360 / columns, 0.02), (100, columns))
    found = read(path, 0.1, 0.01, 90)

    assert error_of(found) < 0.18
    assert found.projection.elevation == pytest.approx(surface(0.1, 0.01), abs=0.1)


@pytest.mark.parametrize("longitude", [30.0, -170.0, 190.0])
def test_longitudes_may_count_from_0_to_360_or_from_minus_180(tmp_path, longitude):
    path = patch_of(tmp_path / "map.tif", 20.0, 190.0 if longitude != 30 else 30.0, 16e3)

    assert error_of(read(path, 20.0, longitude)) < 0.05


def test_an_equirectangular_map_gives_the_same_ground(tmp_path):
    """In metres, of half a degree around 12 deg N, 41 deg E."""
    x, y = (RADIUS * math.radians(one) for one in (41.0, 12.0))
    path = write(tmp_path / "eqc.tif", ROUND, from_origin(x - 16e3, y + 16e3, PIXEL, PIXEL), (160, 160))

    assert error_of(read(path, 12.0, 41.0)) < 0.05


def test_a_polar_map_gives_the_same_ground(tmp_path):
    """Polar stereographic, with the very pole in the strip: 12 km before a site 5 km from it."""
    path = write(tmp_path / "pole.tif", SOUTH, from_origin(-20e3, 20e3, PIXEL, PIXEL), (200, 200))
    found = read(path, -90 + math.degrees(5e3 / RADIUS), 77.0, 0)

    assert error_of(found) < 0.05
    assert "stere" in found.notes[0].lower()


def test_a_map_of_degrees_around_a_pole_gives_the_same_ground(tmp_path):
    """Columns run together there: many of them are averaged, and the pole itself lies in the strip."""
    path = write(tmp_path / "pole.tif", DEGREES, from_origin(0, -88, 0.1, 0.005), (400, 3600))

    assert error_of(read(path, -89.9, 33.0, 10)) < 1


@pytest.mark.parametrize(("driver", "ending"), [("ISIS3", "cub"), ("PDS4", "xml")])
def test_cubes_and_pds4_images_give_the_same_ground(tmp_path, driver, ending):
    x, y = (RADIUS * math.radians(one) for one in (41.0, 12.0))
    plain = write(tmp_path / "eqc.tif", ROUND, from_origin(x - 16e3, y + 16e3, PIXEL, PIXEL), (160, 160))
    rasterio.shutil.copy(plain, tmp_path / f"map.{ending}", driver=driver)

    assert error_of(read(tmp_path / f"map.{ending}", 12.0, 41.0)) < 0.05


def test_a_netcdf_grid_gives_the_same_ground(tmp_path):
    """Over lat and lon, from south to north."""
    lat, lon = np.arange(9.5, 10.5, 0.006), np.arange(19.5, 20.5, 0.006)
    heights = surface(*np.meshgrid(lat, lon, indexing="ij"))
    xr.Dataset({"elevation": (("lat", "lon"), heights, {"units": "m"})}, {"lat": lat, "lon": lon}).to_netcdf(
        tmp_path / "grid.nc", engine="h5netcdf"
    )

    assert error_of(read(tmp_path / "grid.nc", 10.0, 20.0)) < 0.05


def test_a_netcdf_grid_in_metres_states_its_crs(tmp_path):
    at = np.arange(-16e3, 16e3, PIXEL) + PIXEL / 2
    lon, lat = transform(SOUTH, DEGREES, *(one.ravel() for one in np.meshgrid(at, at)))
    heights = surface(np.reshape(lat, (160, 160)), np.reshape(lon, (160, 160)))
    whole = xr.Dataset({"z": (("y", "x"), heights), "crs": ((), 0)}, {"y": at, "x": at})
    whole.to_netcdf(tmp_path / "bare.nc", engine="h5netcdf")
    whole["crs"].attrs["crs_wkt"] = SOUTH.to_wkt()
    whole.to_netcdf(tmp_path / "full.nc", engine="h5netcdf")

    assert error_of(read(tmp_path / "full.nc", -89.95, 10.0)) < 0.05
    with pytest.raises(MistakeError, match="x and y with a CRS, got x and y without one"):
        read(tmp_path / "bare.nc", -89.95, 10.0)


def test_a_pds3_image_gives_the_same_ground(tmp_path):
    """As LOLA's are: half metres from 1737.4 km in 16 bits, a label beside them, radii after scale and offset."""
    label = """PDS_VERSION_ID = PDS3
        RECORD_TYPE = FIXED_LENGTH
        RECORD_BYTES = 600
        FILE_RECORDS = 300
        ^IMAGE = "LDEM.IMG"
        OBJECT = IMAGE
          LINES = 300
          LINE_SAMPLES = 300
          SAMPLE_TYPE = LSB_INTEGER
          SAMPLE_BITS = 16
          UNIT = METER
          SCALING_FACTOR = 0.5
          OFFSET = 1737400.
        END_OBJECT = IMAGE
        OBJECT = IMAGE_MAP_PROJECTION
          MAP_PROJECTION_TYPE = "SIMPLE CYLINDRICAL"
          A_AXIS_RADIUS = 1737.4 <KM>
          B_AXIS_RADIUS = 1737.4 <KM>
          C_AXIS_RADIUS = 1737.4 <KM>
          CENTER_LATITUDE = 0.0 <DEG>
          CENTER_LONGITUDE = 180.0 <DEG>
          MAP_RESOLUTION = 150 <PIX/DEG>
          MAP_SCALE = 0.20215583 <KM/PIX>
          LINE_PROJECTION_OFFSET = 149.5
          SAMPLE_PROJECTION_OFFSET = 149.5
        END_OBJECT = IMAGE_MAP_PROJECTION
        END
    """.replace("\n        ", "\r\n")
    (tmp_path / "LDEM.LBL").write_text(label)
    step = math.degrees(202.15583 / RADIUS)
    at = (np.arange(300) - 149.5) * step
    heights = surface(*np.broadcast_arrays(-at[:, None], 180 + at))
    np.round(heights / 0.5).astype("<i2").tofile(tmp_path / "LDEM.IMG")
    found = read(tmp_path / "LDEM.LBL", 0.1, 180.2)

    assert error_of(found) < 0.5 / 2 + 0.15  # half a unit of the numbers in the file, which splines may overshoot
    assert "radii in m (the file says meter)" in found.notes[0]


def test_a_finer_file_is_averaged_and_not_picked_from(tmp_path):
    """A wave of two pixels, 20 m, 100 m up and down, is gone from cells of 200 m; picking would keep it."""
    step = math.degrees(10.0 / RADIUS)
    path = write(
        tmp_path / "fine.tif", DEGREES, from_origin(-0.15, 0.15, step, step), (900, 900),
        values=lambda h: 0 * h + 100 * (-1.0) ** np.arange(h.shape[1]),
    )  # fmt: skip
    found = read(path, 0, 0, 90, length_before=2e3, length_after=2e3, half_width=2e3, cell=200.0, site_cell=0)

    assert np.abs(found.strip.heights + found.projection.elevation).max() < 1
    assert any("means of 20 x 20 pixels" in one for one in found.notes)


# ---- what the numbers in a file mean


@pytest.mark.parametrize(
    ("values", "profile", "meaning"),
    [
        (None, {}, "heights over 1737.4 km in m"),
        (lambda h: h / 1000, {}, "heights over 1737.4 km in km"),
        (lambda h: h + RADIUS, {"dtype": "float64"}, "radii in m"),
        (lambda h: (h + RADIUS) / 1000, {"dtype": "float64"}, "radii in km"),
        (lambda h: np.round(h / 0.5), {"dtype": "int16", "scale": (0.5, 0.0)}, "heights over 1737.4 km in m"),
        (lambda h: np.round(h / 0.5), {"dtype": "int16", "scale": (0.5, RADIUS)}, "radii in m"),
    ],
)
def test_units_are_found_and_told(tmp_path, values, profile, meaning):
    """SLDEM2015 has kilometres, LOLA's grids half metres and a radius, NAC models metres; half a unit is 0.25 m."""
    found = read(patch_of(tmp_path / "map.tif", -15.0, 40.0, 16e3, values=values, **profile), -15.0, 40.0)

    assert error_of(found) < 0.5  # splines through rounded numbers overshoot
    assert meaning in found.notes[0]


# ---- holes, edges, several files


def test_small_holes_are_filled_and_counted(tmp_path):
    def pierced(heights):
        heights[::7, ::5] = -32768
        return heights

    found = read(patch_of(tmp_path / "map.tif", 5.0, 5.0, 16e3, values=pierced, nodata=-32768), 5.0, 5.0)

    assert error_of(found) < 5  # of waves of 7 km and 90 m, over one pixel of 200 m
    assert any("% without data, filled from around" in one for one in found.notes)


def test_more_than_a_fifth_without_data_is_refused(tmp_path):
    def halved(heights):
        heights[:, : heights.shape[1] // 2] = np.nan
        return heights

    path = patch_of(tmp_path / "map.tif", 5.0, 5.0, 16e3, values=halved)
    with pytest.raises(MistakeError, match=r"map\.tif: expected data on 80 % of the ground .* got none on \d+ % of it"):
        read(path, 5.0, 5.1)


def test_a_strip_beyond_its_file_goes_on_as_at_the_edge(tmp_path):
    """Of 12 km before the site the file has 6 km."""
    found = read(patch_of(tmp_path / "map.tif", 0.0, 0.0, 6e3), 0.0, 0.0, 90)
    row = found.strip.heights[:, 15]

    assert any("beyond the files and continue the heights at their edges" in one for one in found.notes)
    assert np.ptp(row[found.strip.x < -6.2e3]) == 0
    assert np.ptp(row[found.strip.x > -6e3]) > 10


def test_a_site_beside_the_file_is_refused_with_the_coverage(tmp_path):
    path = patch_of(tmp_path / "map.tif", 20.0, 30.0, 10e3)
    with pytest.raises(
        MistakeError, match=r"covers the site at 25 deg, 30 deg, got latitude 19\.67 to 20\.33 deg, long"
    ):
        read(path, 25.0, 30.0)


def test_the_finer_of_two_files_is_the_site_patch(tmp_path):
    coarse = patch_of(tmp_path / "wide.tif", 10.0, 10.0, 16e3)
    step = math.degrees(5.0 / RADIUS)
    fine = write(
        tmp_path / "narrow.tif", DEGREES, from_origin(9.95, 10.05, step, step), (600, 600), values=lambda h: h + 3
    )
    found = read([fine, coarse], 10.0, 10.0, site_half_width=600.0, elevation=0.0)
    lat, lon = found.projection.to_moon(0.0, 0.0)
    exact = float(surface(math.degrees(lat), math.degrees(lon)))

    assert found.site.x_step == 5.0
    assert found.strip.x_step == 200.0
    assert found.height_at(0, 0) == pytest.approx(exact + 3, abs=0.05)
    assert any("differs by 3." in one or "differs by 2.9" in one for one in found.notes)
    assert any(f"{abs(exact + 3):.2f} m" in one for one in found.notes), "against the stated elevation"
    with pytest.raises(MistakeError, match="the 10000 m of the site patch, all of them"):
        read([fine, coarse], 10.0, 10.0, site_half_width=5e3, site_cell=20.0)


def test_tiles_make_one_map(tmp_path):
    """Two files that meet at 10 deg E."""
    step = math.degrees(PIXEL / RADIUS)
    tiles = [
        write(tmp_path / f"{name}.tif", DEGREES, from_origin(west, 0.5, step, step), (152, 152))
        for name, west in (("west", 10 - 152 * step), ("east", 10.0))
    ]

    assert error_of(read(tiles, 0.0, 10.01, 90)) < 2  # at the seam one-sided splines


# ---- written and read back


def test_a_relief_that_was_written_is_read_back_to_the_bit(tmp_path):
    made = synthetic.ground("mare", 5, length_before=5e3, length_after=2e3, half_width=2e3, site_cell=10.0)
    at = Projection(0.1, 0.2, 0.3, -1234.5)
    kept = Relief(made.strip, made.site, made.notes, at)
    terrain.write(kept, tmp_path / "ground.nc")
    found = terrain.read(tmp_path / "ground.nc", latitude=0.1, longitude=0.2, azimuth=0.3)

    for one, other in ((kept.strip, found.strip), (kept.site, found.site)):
        assert one.heights.tobytes() == other.heights.tobytes()
        assert (one.x_first, one.y_first, one.x_step, one.y_step) == (
            other.x_first, other.y_first, other.x_step, other.y_step,
        )  # fmt: skip
    assert found.notes == kept.notes
    assert found.projection == at
    assert netcdf.read(tmp_path / "ground.nc")["site_height"].attrs["units"] == "m"
    with pytest.raises(MistakeError, match=r"ground\.nc: expected ground of latitude 5\.7\d+ deg, got 5\.72958 deg"):
        terrain.read(tmp_path / "ground.nc", latitude=0.101, longitude=0.2, azimuth=0.3)


# ---- refusals


def test_a_file_without_a_place_needs_its_bounds(tmp_path):
    step = math.degrees(PIXEL / RADIUS)
    path = write(tmp_path / "bare.tif", None, from_origin(10, 0.5, step, step), (150, 150))
    with pytest.raises(MistakeError, match=r"one that does not; state its edges in degrees: --bounds WEST,SOUTH,EAST"):
        read(path, 0.25, 10.5)

    found = read(path, 0.0, 10.5, bounds=(10, 0.5 - 150 * step, 10 + 150 * step, 0.5))
    assert error_of(found) < 0.1


def test_maps_of_other_bodies_are_refused_and_their_degrees_are_told(tmp_path):
    earth = tmp_path / "utm.tif"
    profile = {"driver": "GTiff", "height": 20, "width": 20, "count": 1, "dtype": "float32"}
    with rasterio.open(earth, "w", crs=CRS.from_epsg(32633), transform=from_origin(0, 0, 200, 200), **profile) as file:
        file.write(np.zeros((20, 20), "float32"), 1)
    with pytest.raises(MistakeError, match=r"a CRS of the Moon, radius 1737\.4 km, got one of 6378 km"):
        read(earth, 0, 0)

    step = math.degrees(PIXEL / RADIUS)
    path = write(tmp_path / "gps.tif", CRS.from_epsg(4326), from_origin(-0.5, 0.5, step, step), (152, 152))
    found = read(path, 0, 0)
    assert error_of(found) < 0.1
    assert "its CRS is of a body of 6378 km radius: degrees are taken as the Moon's" in found.notes[0]


def test_files_that_are_none_are_refused(tmp_path):
    (tmp_path / "text.tif").write_text("no picture")
    (tmp_path / "text.nc").write_text("no netCDF")
    for name, expected in (
        ("none.tif", "no such file"), ("text.tif", "an elevation model that GDAL reads"), ("text.nc", "a netCDF file"),
    ):  # fmt: skip
        with pytest.raises(MistakeError, match=expected):
            read(tmp_path / name, 0, 0)
    with pytest.raises(MistakeError, match="latitude, longitude and azimuth of the site"):
        terrain.read(tmp_path / "text.tif")


def test_without_rasterio_the_message_tells_what_to_install(tmp_path, monkeypatch):
    path = patch_of(tmp_path / "map.tif", 0.0, 0.0, 1e3)
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(MistakeError, match=r"rasterio is not installed.*pip install 'mcrisk\[terrain\]'"):
        open_raster(path)


def test_too_many_heights_are_refused_with_cells_that_would_do(tmp_path):
    path = patch_of(tmp_path / "map.tif", 0.0, 0.0, 16e3)
    with pytest.raises(
        MistakeError, match=r"at most 1,048,576 heights in all, got .*; cells of 40 m for the strip would"
    ):
        read(path, 0, 0, length_before=60e3, length_after=20e3, half_width=10e3, cell=30.0)


# ---- the command


STRIP = ("--before", "12 km", "--after", "4000", "--half-width", "3 km", "--cell", "200 m")


def test_the_command_cuts_ground_out_of_a_file_and_shows_it(mcrisk, tmp_path):
    patch_of(tmp_path / "map.tif", 18.0, 61.0, 16e3)
    code, out, err = mcrisk("terrain", "map.tif", "--site", "18,61", "--azimuth", "95 deg", *STRIP, "--out", "made.nc")
    again, told, _ = mcrisk("terrain", "made.nc", "--site", "18,61", "--json")
    answer = json.loads(told)

    assert (code, again) == (0, 0)
    assert "map.tif: GTiff, 200 m a pixel at the site" in out
    assert "the target lies" in out
    assert "highland" in out
    assert re.search(r"m \+-+T-+$", out, re.MULTILINE)
    assert "the ground is in made.nc" in err
    assert answer["site"]["latitude"] == math.radians(18)
    assert answer["notes"][0] in out
    assert answer["patches"]["strip"]["cell"] == [200, 200]
    assert answer["patches"]["strip"]["slopes"][0]["baseline"] == 200


def test_the_command_takes_the_site_of_a_mission(mcrisk, tmp_path):
    """Blue Ghost's; its stated elevation counts, and how far the file is from it is told."""
    where = mission.load("blue_ghost_m1")
    place = [math.degrees(where.value(f"site.{one}")) for one in ("latitude", "longitude")]
    patch_of(tmp_path / "map.tif", *place, 16e3)
    code, out, _ = mcrisk("terrain", "map.tif", "--mission", "blue_ghost_m1", *STRIP)

    assert code == 0
    assert re.search(r"the files have the target [\d.]+ m above its stated elevation of -\d+ m", out)


def test_the_command_makes_ground_and_draws_it(mcrisk, tmp_path):
    pytest.importorskip("matplotlib")
    made = (
        "terrain",
        "--synthetic",
        "mare",
        "--seed",
        "3",
        *STRIP,
        "--site-cell",
        "10 m",
        "--crater",
        "-900,0,400,60,9",
    )
    code, out, err = mcrisk(*made, "--plot", "map.png")

    assert code == 0
    assert "synthetic mare, seed 3" in out
    assert "crater of 400 m at -900 m downrange" in out
    assert "the map is in map.png" in err
    assert (tmp_path / "map.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_without_matplotlib_the_message_tells_what_to_install(mcrisk, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, _, err = mcrisk("terrain", "--synthetic", "mare", *STRIP, "--plot", "map.png")

    assert code == 2
    assert "matplotlib is not installed" in err
    assert "pip install 'mcrisk[report]'" in err


def test_examples_of_the_documentation_run():
    assert doctest.testmod(ground).failed == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "terrain: expected a file of an elevation model, got none; name one, or make ground"),
        (
            ("none.tif", "--site", "1,2", "--azimuth", "0"),
            "none.tif: expected a file of an elevation model, got no such",
        ),
        (("--synthetic", "sea"), "terrain class: expected one of mare, highland, ejecta, got 'sea'"),
        (("--synthetic", "mare", "--site", "1,2"), "--site: expected elevation models, got --synthetic"),
        (("a.tif", "--site", "95,2"), "--site: expected latitude -90 to 90, longitude -360 to 360, got '95,2'"),
        (("a.tif", "--site", "north"), "--site: expected 2 numbers, separated by commas, got 'north'"),
        (("a.tif", "--site", "1,2", "--cell", "0"), "--cell: expected 0.1 m to 100000 m, got '0'"),
        (("a.tif", "--site", "1,2", "--cell", "3 kg"), '--cell: expected a length such as "3 km", got "3 kg"'),
        (("a.tif", "--mission", "generic_small", "--azimuth", "3"), "--azimuth: expected no --mission beside it"),
        (("a.tif", "--crater", "1,2,3,4,5"), "--crater: expected --synthetic, got elevation models"),
        (("a.tif", "--set", "site.elevation=1 m"), "--set: expected --mission, got none"),
        (("--synthetic", "mare", "--cell", "20 m"), "at most 1,048,576 heights in all, got "),
        (("--synthetic", "mare", "--crater", "0,0,-1,2,3"), "crater: expected a diameter above zero"),
        (("--synthetic", "mare", "--out", "ground.tif"), "--out: expected a file name ending in .nc, got 'ground.tif'"),
    ],
)
def test_mistakes_are_told_in_one_message(mcrisk, arguments, message):
    code, out, err = mcrisk("terrain", *arguments)

    assert code == 2
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lat": np.full(40, np.nan)}, "lat: expected evenly spaced values"),
        ({"lat": np.array([f"{k} N" for k in range(40)])}, "lat: expected numbers"),
        ({"lat": np.linspace(-200, 200, 40)}, "expected degrees of latitude and longitude, got -20"),
        ({"lon": np.linspace(0, 1e6, 40)}, "expected degrees of latitude and longitude"),
        ({"lon": np.linspace(0, 1e-320, 40)}, "lon: expected evenly spaced values"),
    ],
)
def test_coordinates_that_are_none_are_refused(tmp_path, changes, message):
    """Not numbers, texts, metres under the name of degrees, all in one place."""
    axes = {"lat": np.linspace(-2, 2, 40), "lon": np.linspace(-2, 2, 40), **changes}
    xr.Dataset({"elevation": (("lat", "lon"), np.zeros((40, 40)))}, axes).to_netcdf(tmp_path / "odd.nc")

    with pytest.raises(MistakeError, match=re.escape(message)):
        read(tmp_path / "odd.nc", 0, 0)


@pytest.mark.parametrize("corner", [(0, 0, -2, 0, 0.01, -2), (math.nan, 0, -2, 0, 0.01, -2), (0.01, 0, -2, 0, 9, 90)])
def test_a_map_without_area_or_beyond_the_poles_is_refused(tmp_path, corner):
    path = tmp_path / "odd.tif"
    write(path, DEGREES, from_origin(-2, 2, 0.1, 0.1), (40, 40))
    with rasterio.open(path, "r+") as file:
        file.transform = rasterio.Affine(*corner)

    with pytest.raises(MistakeError, match=r"odd.tif: expected (pixels of some size|degrees of latitude)"):
        read(path, 0, 0)


def test_a_unit_that_is_none_of_ours_is_refused(tmp_path):
    """Rather than taken for metres. What means no unit is passed over."""
    path = patch_of(tmp_path / "feet.tif", 10, 20, units="feet")

    with pytest.raises(MistakeError, match=r"feet.tif: expected heights or radii in m or km, got values in feet"):
        read(path, 10, 20, **SMALL)
    assert "states no unit" in read(patch_of(tmp_path / "dn.tif", 10, 20, units="DN"), 10, 20, **SMALL).notes[0]


@pytest.mark.parametrize(
    "change", [("mcrisk_relief", "x"), ("strip_x_step", "abc"), ("strip_x_step", None), ("strip_height", None)]
)
def test_a_relief_that_another_program_wrote_is_refused(tmp_path, change):
    """Whole, but without what makes it one."""
    made = terrain.to_dataset(synthetic.ground("mare", 1, **SMALL))
    name, value = change
    if name in made:
        made = made.drop_vars(name)
    elif value is None:
        del made.attrs[name]
    else:
        made.attrs[name] = value
    netcdf.write(made, tmp_path / "odd.nc")

    with pytest.raises(MistakeError, match=r"odd.nc: expected a relief .*; make it again"):
        terrain.read(tmp_path / "odd.nc")


def test_a_relief_that_is_not_whole_is_to_be_made_again(tmp_path):
    """No campaign."""
    made = terrain.to_dataset(synthetic.ground("mare", 1, **SMALL))
    made.to_netcdf(tmp_path / "odd.nc", engine="h5netcdf")

    with pytest.raises(InfrastructureError, match=r"odd.nc: not a complete ground of mcrisk; make it again"):
        terrain.read(tmp_path / "odd.nc")


def test_the_command_shows_the_least_ground(mcrisk):
    """Two heights a side, which have no Hurst exponent."""
    sizes = ["--before", "0", "--after", "100", "--half-width", "1", "--site-cell", "0"]
    code, out, _ = mcrisk("terrain", "--synthetic", "mare", *sizes, "--json")

    assert code == 0
    assert json.loads(out)["patches"]["strip"]["hurst"] is None
