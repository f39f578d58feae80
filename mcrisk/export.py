"""Results for other programs: a table for spreadsheets and pandas, a netCDF file for everything that reads xarray's.

The table is CSV as in RFC 4180 (UTF-8 without a byte order mark, commas, quotes doubled, `.` as decimal point), but for
lines that end in a line feed alone, which every reader takes and line tools want. Headers are on the first line, one
row for each design point, impossible ones included:

    case                              design point; then one column per sweep coordinate: `altimeter.range_max [m]`
    impossible                        why the design cannot fly, or empty
    complete                          1, or 0 if the campaign was interrupted: the row's figures are provisional
    runs, invalid, success_count, success_probability, success_lower, success_upper
    confidence, interval_method       of all intervals
    campaign, seed                    digest and seed: rows of several files can be told apart
    outcome.NAME.count                and .probability, .lower, .upper: of all runs
    cause.NAME.count                  of the lost runs
    GROUP.METRIC.count                runs of the group (all_contacts, landed) that have a value
    GROUP.METRIC.mean [m s^-1]        and .std, .min, .max, .quantile_0.5 (from histograms) and others

A number is SI; its unit stands in the header's brackets as in the dataset's `units` (`m s^-1`), and there are no
brackets where it has none. The width of a dispersion has none either: it is in the unit of what scatters, or a share of
it, as the mission states it. Numbers have all digits and read back to the same bits; a spreadsheet keeps 15 digits
of a seed, and older pandas read floats exactly with `float_precision="round_trip"`. Where there is no number the cell
is empty.

A text that a spreadsheet would take for a formula begins with an apostrophe. Characters that do not print, line ends
among them, are shown as escapes (`\\n`), so that a row is one line and no terminal obeys a name.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcrisk.errors import MistakeError, Problems, visible

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    from numpy.typing import NDArray

    from mcrisk.campaign import Case

    Columns = dict[str, NDArray[np.generic]]  # one value per row, by header

__all__ = ["check_file", "check_files", "to_csv", "to_netcdf", "write", "write_mission"]

FORMULA = tuple("=+-@＝＋－＠")  # begins what a spreadsheet takes for a formula, the wide ones in East Asian editions
ROWS = 256  # written at a time
NAME_LENGTH = 64  # [character] of a mission's name
STATISTICS = {"mean": "metric_mean", "std": "metric_std", "min": "metric_least", "max": "metric_greatest"}


def write(dataset: xr.Dataset, csv: str | None = None, netcdf: str | None = None) -> None:
    """Write a campaign's dataset to the files asked for. All mistakes in their names are told before any is written."""
    table, file, _ = check_files(csv, netcdf)
    if table:
        to_csv(dataset, table)
    if file:
        to_netcdf(dataset, file)


def check_files(csv: str | None, netcdf: str | None, mission: str | None = None) -> list[Path | None]:
    """The paths of the files; refuses wrong endings, folders, and a campaign's own files."""
    if csv is None and netcdf is None and mission is None:
        raise MistakeError("export", "--csv FILE.csv, --netcdf FILE.nc or --mission FILE.toml", "none of them")
    problems = Problems()
    found: list[Path | None] = [None, None, None]
    asked = (("--csv", csv, ".csv"), ("--netcdf", netcdf, ".nc"), ("--mission", mission, ".toml"))
    for place, (option, name, ending) in enumerate(asked):
        if name is not None:
            with problems.caught():
                found[place] = check_file(option, name, ending)
    problems.check()
    return found


def check_file(option: str, name: str, ending: str) -> Path:
    """The path of a file to write; refuses a wrong ending, a folder, and a campaign's own files."""
    from mcrisk.config import lies_at
    from mcrisk.store import JOURNAL

    path = Path(name)
    kind = lies_at(path)
    expected = f"a file name ending in {ending}"
    if name and kind in ("a folder", "a pipe or device"):
        raise MistakeError(option, expected, f"{kind}, '{visible(name)}'")
    if path.suffix.lower() != ending or "\0" in name:
        raise MistakeError(option, expected, f"'{visible(name)}'")
    parent = next(one for one in path.absolute().parents if one == one.parent or lies_at(one) != "no such file")
    if lies_at(parent) != "a folder":
        raise MistakeError(option, "a file in a folder", f"'{visible(name)}'", f"{visible(str(parent))} is a file")
    if re.fullmatch(r"(results|losses|all)(-\d+)?\.nc", path.name) and lies_at(path.parent / JOURNAL) == "a file":
        raise MistakeError(option, "a file of its own", f"'{visible(name)}', which belongs to a campaign")
    return path


def write_mission(folder: Path, case: int, name: str) -> None:
    """Write the mission of one case of a store, as TOML to go on with; what was designed for it is told in comments.

    Refuses to overwrite another text: a mission may have been written by hand.
    """
    from mcrisk.netcdf import placed
    from mcrisk.store import Store

    path = check_file("--mission", name, ".toml")
    with Store.read(folder) as store:
        if not 0 <= case < len(store.campaign.cases):
            raise MistakeError("case", f"0 .. {len(store.campaign.cases) - 1}", str(case))
        content = _renamed(store.resolved(case), store.campaign.cases[case], case).encode()
    if path.is_file() and path.read_bytes() != content:
        got = f"'{visible(name)}', which is there and says something else"
        raise MistakeError("--mission", "a new file", got, "choose another name, or move it away")
    with placed(path, remedy="free space, or choose another file") as file:
        file.write(content)


def _renamed(text: str, case: Case, number: int) -> str:
    """The mission of a design point, whose name and texts tell what was changed: those of its base told of that."""
    from mcrisk.config import parse_toml
    from mcrisk.mission import TEXT_LENGTH
    from mcrisk.statement import quoted

    head, blank, rest = text.partition("\n\n")
    told = parse_toml(head, "mission")
    before, _, changes = case.name.partition(": ")
    if not changes or told.get("name") != before:
        return text
    suffix = f"_case_{number}"
    of_base = f" What was said of {before}: {told['description']}" if "description" in told else ""
    told |= {
        "name": f"{before[: NAME_LENGTH - len(suffix)]}{suffix}",
        "title": f"{told['title']}; {changes}"[:TEXT_LENGTH],
        "description": f"{before} with {changes}, exported from a sweep.{of_base}"[:TEXT_LENGTH],
    }
    order = sorted(told, key=("name", "title", "description", "pedigree").index)
    return "\n".join(f"{key} = {quoted(told[key])}" for key in order) + blank + rest


def to_netcdf(dataset: xr.Dataset, path: str | Path) -> None:
    """Write a dataset as a netCDF-4 file, whole or not at all. Provisional results have `complete` 0."""
    from mcrisk import netcdf

    netcdf.write(dataset, Path(path))


def to_csv(dataset: xr.Dataset, path: str | Path) -> None:
    """Write the dataset of a campaign, or a part of it, as a table with one row per design point, whole or not at all.

    dataset: made by `dataset.from_tallies`. The columns are those above.
    """
    from mcrisk import netcdf

    if "success_count" not in dataset:
        raise MistakeError("export", "results of a campaign", "single runs or another dataset")
    columns = _columns(dataset)
    with netcdf.placed(Path(path), remedy="free space, or choose another file") as file:
        for part in _rows(columns, _outside(dataset, columns)):
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(part)
            file.write(text.getvalue().encode())


def _rows(columns: Columns, outside: Sequence[dict[str, Any]]) -> Iterator[list[Sequence[Any]]]:
    """The header, the rows a few at a time, and the rows of missions that lie outside the grid."""
    yield [[_text(header) for header in columns]]
    size = len(columns["case"])
    for first in range(0, size, ROWS):
        part = [[_cell(value) for value in one[first : first + ROWS].tolist()] for one in columns.values()]
        yield list(zip(*part, strict=True))
    yield [[_cell(row[header]) for header in columns] for row in outside]


def _columns(dataset: xr.Dataset) -> Columns:
    """All columns, by header."""
    import numpy as np

    dims = dataset["runs"].dims
    size = dataset["runs"].size

    def column(name: str) -> NDArray[np.generic]:
        """A variable or coordinate with one value per row, or one for all of them."""
        found = dataset[name].broadcast_like(dataset["runs"]) if dims else dataset[name]
        return found.transpose(*dims).values.reshape(size)

    def block(name: str, *own: str) -> NDArray[np.generic]:
        """A variable with dims of its own: (row, *own)."""
        values = dataset[name].transpose(*dims, *own).values
        return values.reshape(size, *values.shape[len(dims) :])

    def same(value: Any) -> NDArray[np.generic]:
        return np.full(size, value, object)

    found: Columns = {"case": column("case")}
    for name in _coordinates(dataset):
        found[_header(name, _unit(dataset, name))] = column(name)
    found["impossible"] = column("impossible") if "impossible" in dataset else same("")
    if named := _missions(dataset):
        found["case"], found["impossible"] = np.array(named, object), same("")
    found["complete"] = same(int(dataset.attrs.get("complete", 1)))
    found |= {name: column(name) for name in ("runs", "invalid", "success_count", "success_probability")}
    bounds = block("success_interval", "bound")
    found["success_lower"], found["success_upper"] = bounds[:, 0], bounds[:, 1]
    found["confidence"] = same(float(dataset.attrs["confidence"]))
    found["interval_method"] = same(dataset.attrs["interval_method"])
    found["campaign"] = same(dataset.attrs["campaign"])
    found["seed"] = same(int(dataset.attrs["seed"]))

    outcomes = dataset["outcome"].values.tolist()
    counts, shares = block("outcome_count", "outcome"), block("outcome_probability", "outcome")
    bounds = block("outcome_interval", "outcome", "bound")
    for place, name in enumerate(outcomes):
        one = counts[:, place], shares[:, place], bounds[:, place, 0], bounds[:, place, 1]
        found |= zip(
            (f"outcome.{name}.{what}" for what in ("count", "probability", "lower", "upper")), one, strict=True
        )
    lost = [place for place, name in enumerate(outcomes) if name != "success"]
    causes = block("cause_count", "outcome", "cause")[:, lost].sum(axis=1)
    found |= {f"cause.{name}.count": causes[:, place] for place, name in enumerate(dataset["cause"].values.tolist())}

    units = dict(zip(dataset["metric"].values.tolist(), dataset["metric_unit"].values.tolist(), strict=True))
    counts, quantiles = (
        block("metric_count", "group", "metric"),
        block("metric_quantile", "group", "metric", "quantile"),
    )
    values = {what: block(name, "group", "metric") for what, name in STATISTICS.items()}
    for i, group in enumerate(dataset["group"].values.tolist()):
        for j, (metric, unit) in enumerate(units.items()):
            path = f"{group}.{metric}"
            found[f"{path}.count"] = counts[:, i, j]
            found |= {_header(f"{path}.{what}", unit): each[:, i, j] for what, each in values.items()}
            for k, level in enumerate(dataset["quantile"].values.tolist()):
                found[_header(f"{path}.quantile_{level:g}", unit)] = quantiles[:, i, j, k]
    return found


def _coordinates(dataset: xr.Dataset) -> list[str]:
    """The sweep coordinates, in the order of the axes."""
    axes = json.loads(dataset.attrs["statement"])["axes"]
    return [name for axis in axes for name in axis["columns"] if name != "case"]


def _missions(dataset: xr.Dataset) -> list[str]:
    """The names of missions that were flown together; none for a sweep or a part of the dataset."""
    statement = json.loads(dataset.attrs["statement"])
    names = [case["name"] for case in statement["cases"]]
    return names if not _coordinates(dataset) and len(names) == dataset["runs"].size else []


def _outside(dataset: xr.Dataset, columns: Columns) -> list[dict[str, Any]]:
    """Rows of impossible missions, which have no place among those that were flown together."""
    if not _missions(dataset):
        return []
    kept = ("complete", "confidence", "interval_method", "campaign", "seed")
    nothing = {
        header: columns[header][0] if header in kept else _nothing(header, columns[header]) for header in columns
    }
    impossible = json.loads(dataset.attrs["statement"])["impossible"]
    return [nothing | {"case": one["name"], "impossible": one["reason"]} for one in impossible]


def _nothing(header: str, values: NDArray[np.generic]) -> Any:
    """What a column says of a design without runs, as in a dataset: no count, the interval of ignorance."""
    if values.dtype.kind in "iu":
        return 0
    return {"lower": 0.0, "upper": 1.0}.get(re.split(r"[._]", header)[-1], "")


def _unit(dataset: xr.Dataset, name: str) -> str:
    from mcrisk.tables import TABLES

    return str(dataset[name].attrs.get("units", "")) or (TABLES[name].unit if name in TABLES else "")


def _header(name: str, unit: str) -> str:
    """
    >>> _header("altimeter.range_max", "m"), _header("altimeter.health", "1")
    ('altimeter.range_max [m]', 'altimeter.health')
    """
    return name if unit in ("", "1") else f"{name} [{unit}]"


def _cell(value: Any) -> Any:
    """A value as the csv module writes it: floats by repr, so that they read back to the same bits.

    >>> [_cell(value) for value in (0.1, 3, float("nan"), "=1+1")]
    [0.1, 3, '', "'=1+1"]
    """
    if isinstance(value, str):
        return _text(value)
    return value if math.isfinite(value) else ""


def _text(text: str) -> str:
    r"""A text on one line that neither a spreadsheet nor a terminal obeys.

    >>> _text("a\nb"), _text(" @SUM(1)"), _text("plain, \"quoted\"")
    ('a\\nb', "' @SUM(1)", 'plain, "quoted"')
    """
    shown = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
    return f"'{shown}" if shown.lstrip().startswith(FORMULA) else shown
