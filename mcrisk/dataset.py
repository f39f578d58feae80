"""Results as plain xarray: the dataset of a campaign, its records, a replay.

Variables hold what is the same on every machine; when, where and how fast is in the attributes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from mcrisk import __version__
from mcrisk.campaign import SCHEMA_VERSION, Campaign
from mcrisk.errors import MistakeError
from mcrisk.risk import CONFIDENCE, IntervalMethod, interval
from mcrisk.schema import Field, load_schema
from mcrisk.tally import BINS, GROUPS, RESOLUTION, Scatter, Tally, bin_edges, tally

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "ELLIPSE_CONTENT",
    "QUANTILES",
    "campaign_of",
    "design_points",
    "flown_counts",
    "from_records",
    "from_samples",
    "from_tallies",
]

QUANTILES = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)
BOUNDS = ("lower", "upper")
DIRECTIONS = ("downrange", "crossrange")
HISTOGRAM_LIMIT = 1 << 28  # [byte] larger histograms of large sweeps are left out
ELLIPSE_CONTENT = 0.95  # of a two-dimensional normal: its radius is sqrt(-2 ln 0.05) sigmas, not 1.96

Variables = dict[str, tuple[tuple[str, ...], Any, dict[str, Any]]]


# ----------------------------------------------------------------------------------------------------------- campaigns


def from_tallies(
    campaign: Campaign,
    tallies: Iterable[Tally | None],
    *,
    backend: str = "",
    elapsed: float = 0.0,
    runs_new: int | None = None,
    confidence: float = CONFIDENCE,
    method: IntervalMethod = "clopper-pearson",
) -> xr.Dataset:
    """The dataset of a campaign, one tally per case in order; one dim per axis of a sweep, `case` for several missions.

    elapsed: [s] of the last flight, which flew `runs_new` of the runs; by default all of them.
    At an impossible design there are no runs, and `impossible` tells why. Tallies are taken one at a time: those of
    thousands of cases never are in memory together.
    """
    if not campaign.cases:
        raise MistakeError("campaign", "at least one case", "none")
    axes = campaign.axes
    empty = tally(np.zeros(0, load_schema().record_dtype(campaign.real)), 0)
    nothing = _variables(empty, confidence, method)
    histograms = _Histograms()
    found = {}
    for case, summed in zip(campaign.cases, tallies, strict=True):
        if summed is not None:
            found[case.place] = _variables(summed, confidence, method)
            histograms.add(case.place, summed)
    dims, shape = tuple(axis.dim for axis in axes), tuple(axis.size for axis in axes)
    parts = [found.get(place, nothing) for place in range(math.prod(shape))]
    stacked: Variables = {
        name: ((*dims, *own), np.stack([part[name][1] for part in parts]).reshape(shape + np.shape(value)), attrs)
        for name, (own, value, attrs) in nothing.items()
    }
    bins = histograms.bins(len(parts))
    if (histogram := histograms.dense(len(parts), bins)) is not None:
        about = {"long_name": "runs by bin of fixed edges bin_lower, bin_upper", "units": "1", "resolution": RESOLUTION}
        stacked["metric_histogram"] = (
            (*dims, "group", "metric", "bin"), histogram.reshape(*shape, *histogram.shape[1:]), about
        )  # fmt: skip
    blocks = np.zeros((len(parts), len(campaign.cases[0].params)), np.uint8)
    names, reasons = (np.full(len(parts), "", object) for _ in range(2))
    for case in campaign.cases:
        blocks[case.place] = np.frombuffer(case.params, np.uint8)
        names[case.place] = case.name
    for one in campaign.impossible if axes else ():
        names[one.place], reasons[one.place] = one.name, one.reason
    text = {"long_name": "resolved parameters as the kernel reads them, zeros where there is no design", "units": "1"}
    stacked["params"] = ((*dims, "byte"), blocks.reshape(*shape, -1), text)
    if any(reasons):
        stacked["impossible"] = (dims, reasons.reshape(shape), {"long_name": "why there is no design, or nothing"})

    coords: dict[str, Any] = _coordinates(bins)
    coords["case"] = (dims, names.reshape(shape), {"long_name": "design point"}) if axes else names[0]
    for axis in axes:
        for name, values in axis.columns:
            if name != "case":
                coords[name] = (
                    (axis.dim,),
                    np.array(values, object if isinstance(values[0], str) else None),
                    _describe(name),
                )
    dataset = xr.Dataset(stacked, coords)
    dataset.attrs = _provenance(campaign) | {
        "title": f"landing risk of {campaign.name}",
        "backend": backend,
        "confidence": confidence,
        "interval_method": method,
        "elapsed": float(elapsed),
        "elapsed_units": "s",
        "runs_new": int(dataset["runs"].sum()) if runs_new is None else runs_new,
    }
    return dataset


class _Histograms:
    """The histograms of many cases, as they are stored until all occupied bins are known; none where they are large."""

    def __init__(self) -> None:
        self.sparse: dict[int, list[tuple[NDArray[np.uint16], NDArray[np.int64]]]] = {}
        self.occupied = np.zeros(BINS, bool)
        self.size = 0  # [byte]

    def add(self, place: int, tally: Tally) -> None:
        """Those of one case."""
        own = [(one.bins, one.counts) for named in tally.metrics.values() for one in named.values()]
        for bins, _ in own:
            self.occupied[bins] = True
        self.size += sum(bins.nbytes + counts.nbytes for bins, counts in own)
        if self.size <= HISTOGRAM_LIMIT:
            self.sparse[place] = own
        else:
            self.sparse.clear()

    def bins(self, places: int) -> NDArray[np.uint16]:
        """All occupied bins, ascending; none where the histograms are left out."""
        return np.flatnonzero(self.occupied).astype(np.uint16) if self._fit(places) else np.zeros(0, np.uint16)

    def dense(self, places: int, bins: NDArray[np.uint16]) -> NDArray[np.int64] | None:
        """(places, group, metric, bin), or None where that is large."""
        rows = len(_metrics()) * len(GROUPS)
        if not self._fit(places):
            return None
        whole = np.zeros((places, rows, len(bins)), np.int64)
        for place, own in self.sparse.items():
            for row, (occupied, counts) in enumerate(own):
                whole[place, row, np.searchsorted(bins, occupied)] = counts
        return whole.reshape(places, len(GROUPS), len(_metrics()), len(bins))

    def _fit(self, places: int) -> bool:
        dense = places * len(_metrics()) * len(GROUPS) * int(self.occupied.sum()) * 8
        return max(self.size, dense) <= HISTOGRAM_LIMIT


def _metrics() -> list[Field]:
    return [one for one in load_schema().record_fields.values() if one.metric]


def _variables(tally: Tally, confidence: float, method: IntervalMethod) -> Variables:
    """The variables of one case, less its histograms."""
    outcomes = load_schema().enums["Outcome"]
    order = list(outcomes.members.values())
    causes = list(load_schema().enums["Cause"].members.values())
    runs = tally.runs
    counts = tally.counts[np.ix_(order, causes)]
    by_outcome = counts.sum(axis=1)
    landed = int(by_outcome[list(outcomes).index("success")])
    if method == "confidence-sequence":  # of a campaign that stopped by its figures: valid at any number of runs
        from mcrisk.sequence import confidence_sequence

        intervals = np.array([confidence_sequence(int(count), runs, confidence) for count in by_outcome])
    else:
        intervals = np.array([interval(int(count), runs, confidence, method) for count in by_outcome])
    share = {"units": "1", "confidence": confidence, "interval_method": method}

    def about(text: str, units: str = "1", **more: Any) -> dict[str, Any]:
        return {"long_name": text, "units": units, **more}

    def over(what: str) -> NDArray[np.float64]:
        """A property of the moments, (group, metric)."""
        return np.array([[getattr(one, what) for one in tally.metrics[group].values()] for group in GROUPS], np.float64)

    moments = [list(tally.metrics[group].values()) for group in GROUPS]
    quantiles = np.array([[one.quantiles(QUANTILES) for one in named] for named in moments])
    per_group = ("group", "metric")
    own = {"units_by": "metric_unit", "units": "given by metric_unit"}
    ellipses = [_ellipse(tally.scatter[group]) for group in GROUPS]
    content = {"content": ELLIPSE_CONTENT, "comment": "of a normal distribution with the same covariance"}

    return {
        "runs": ((), np.int64(runs), about("runs flown, invalid ones included")),
        "invalid": ((), np.int64(by_outcome[list(outcomes).index("invalid")]), about("runs whose numbers failed")),
        "success_count": ((), np.int64(landed), about("runs that landed successfully")),
        "success_probability": (
            (),
            np.float64(landed / runs if runs else math.nan),
            about("success_count / runs", ancillary_variables="success_count runs success_interval"),
        ),
        "success_interval": (
            ("bound",),
            intervals[list(outcomes).index("success")],
            share | {"long_name": "interval of the success probability"},
        ),
        "outcome_count": (("outcome",), by_outcome, about("runs by outcome")),
        "outcome_probability": (
            ("outcome",),
            by_outcome / runs if runs else np.full(len(order), math.nan),
            about("outcome_count / runs", ancillary_variables="outcome_count runs outcome_interval"),
        ),
        "outcome_interval": (
            ("outcome", "bound"),
            intervals,
            share | {"long_name": "interval of the outcome probability"},
        ),
        "cause_count": (("outcome", "cause"), counts, about("runs by outcome and cause")),
        "example_run": (
            ("outcome", "cause"),
            tally.examples[np.ix_(order, causes)],
            about("lowest run number of this outcome and cause, -1 if none; replay it by this number"),
        ),
        "metric_count": (per_group, over("count").astype(np.int64), about("runs of the group with a value")),
        "metric_mean": (per_group, over("mean"), own | {"long_name": "mean"}),
        "metric_std": (per_group, over("std"), own | {"long_name": "standard deviation (divisor count - 1)"}),
        "metric_least": (per_group, _finite(over("least")), own | {"long_name": "least value"}),
        "metric_greatest": (per_group, _finite(over("greatest")), own | {"long_name": "greatest value"}),
        "metric_quantile": (
            (*per_group, "quantile"),
            quantiles,
            own | {"long_name": "quantile, from the histogram", "resolution": RESOLUTION},
        ),
        "landing_center": (
            ("group", "direction"),
            np.array([tally.scatter[group].mean for group in GROUPS]),
            about("mean miss from the target", "m"),
        ),
        "landing_covariance": (
            ("group", "direction", "direction_other"),
            np.array([_matrix(tally.scatter[group]) for group in GROUPS]),
            about("covariance of the landing points", "m^2"),
        ),
        "landing_ellipse": (
            ("group", "axis"),
            np.array([axes for axes, _ in ellipses]),
            about("semi-axes of the landing ellipse", "m", **content),
        ),
        "landing_ellipse_angle": (
            ("group",),
            np.array([angle for _, angle in ellipses]),
            about("direction of the long axis, from downrange towards crossrange", "rad"),
        ),
    }


def _coordinates(bins: NDArray[np.uint16]) -> dict[str, Any]:
    schema = load_schema()
    metrics = _metrics()
    lower, upper = bin_edges(bins)

    def words(dim: str, values: Sequence[str], text: str) -> tuple[tuple[str], NDArray[np.object_], dict[str, str]]:
        return (dim,), np.array(values, object), {"long_name": text}

    return {
        "outcome": words("outcome", list(schema.enums["Outcome"]), "how a run ended"),
        "cause": words("cause", list(schema.enums["Cause"]), "earliest decisive thing that went wrong"),
        "group": words("group", GROUPS, "runs that touched the ground, and those of them that landed"),
        "metric": words("metric", [one.path for one in metrics], "quantity of a run"),
        "metric_unit": words("metric", [one.unit or "1" for one in metrics], "unit of the metric"),
        "metric_description": words("metric", [one.description for one in metrics], "what the metric is"),
        "bound": words("bound", BOUNDS, "end of an interval"),
        "quantile": (("quantile",), np.array(QUANTILES), {"long_name": "probability of a quantile", "units": "1"}),
        "bin_lower": (("bin",), lower, {"long_name": "lower edge of the histogram bin"}),
        "bin_upper": (("bin",), upper, {"long_name": "upper edge of the histogram bin"}),
        "direction": words("direction", DIRECTIONS, "direction on the ground"),
        "direction_other": words("direction_other", DIRECTIONS, "direction on the ground"),
        "axis": words("axis", ("long", "short"), "axis of the ellipse"),
    }


def _ellipse(scatter: Scatter) -> tuple[tuple[float, float], float]:
    """Semi-axes [m] and direction of the long one [rad] of the ellipse that holds ELLIPSE_CONTENT of a normal."""
    xx, xy, yy = scatter.covariance
    if math.isnan(xx):
        return (math.nan, math.nan), math.nan
    middle, half = (xx + yy) / 2.0, math.hypot((xx - yy) / 2.0, xy)
    radius = math.sqrt(-2.0 * math.log1p(-ELLIPSE_CONTENT))
    axes = radius * math.sqrt(middle + half), radius * math.sqrt(max(middle - half, 0.0))
    return axes, 0.5 * math.atan2(2.0 * xy, xx - yy)


def _matrix(scatter: Scatter) -> list[list[float]]:
    xx, xy, yy = scatter.covariance
    return [[xx, xy], [xy, yy]]


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isfinite(values), values, math.nan)


def _describe(path: str) -> dict[str, str]:
    try:
        found, _ = load_schema().locate(path)
    except KeyError:
        return {"long_name": path}
    return {"long_name": found.description, "units": found.unit or "1"}


def _provenance(campaign: Campaign) -> dict[str, Any]:
    return {
        "campaign": campaign.digest,
        "statement": json.dumps(campaign.describe(), sort_keys=True),
        "seed": np.uint64(campaign.seed),
        "schema_version": SCHEMA_VERSION,
        "mcrisk_version": __version__,
        "kernel_digest": campaign.kernel_digest,
        "precision": {4: "float32", 8: "float64"}[campaign.real],
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "Conventions": "CF-1.11",
    }


def campaign_of(dataset: xr.Dataset, heights: Mapping[str, bytes] | None = None) -> Campaign:
    """The campaign a dataset is of, with the very Params bytes that were flown.

    heights: those of elevation models by their SHA-256, which no dataset holds; `results.campaign_at` finds them.
    """
    statement = json.loads(dataset.attrs["statement"])
    blocks = dataset["params"].values.reshape(-1, dataset.sizes["byte"])
    return Campaign.restored(statement, [blocks[one["place"]].tobytes() for one in statement["cases"]], heights)


def design_points(dataset: xr.Dataset) -> list[xr.Dataset]:
    """The dataset of each case that was flown, in the order of the campaign."""
    statement = json.loads(dataset.attrs["statement"])
    dims = [axis["dim"] for axis in statement["axes"]]
    shape = [axis["size"] for axis in statement["axes"]]
    return [
        dataset.isel(dict(zip(dims, np.unravel_index(one["place"], shape), strict=True))) if dims else dataset
        for one in statement["cases"]
    ]


def flown_counts(dataset: xr.Dataset) -> list[tuple[int, int]]:
    """Runs and landings of each case, in the order of the campaign."""
    runs, landed = (dataset[name].values.reshape(-1) for name in ("runs", "success_count"))
    places = [one["place"] if runs.size > 1 else 0 for one in json.loads(dataset.attrs["statement"])["cases"]]
    return [(int(runs[place]), int(landed[place])) for place in places]


# -------------------------------------------------------------------------------------------------- records and replays


def from_records(
    campaign: Campaign, case: int, runs: NDArray[np.uint64], records: NDArray[np.void], flown: int | None = None
) -> xr.Dataset:
    """Records over `run`. outcome and cause are names; metrics of runs that never touched the ground are NaN.

    flown: of how many runs these are the kept ones, by default all.
    """
    schema = load_schema()
    variables: Variables = {}
    away = records["contact"] == 0
    for name, one in schema.record_fields.items():
        values: NDArray[Any] = records[name]
        attrs = _attributes(one)
        if name in ("outcome", "cause") and one.enum:
            values = _names(schema.enums[one.enum].members)[values]
            attrs = {"long_name": one.description}
        elif one.metric:
            values = np.where(away, values.dtype.type(math.nan), values)
        variables[name] = (("run", *_axes(one)), values, attrs)
    stated = {"long_name": "run number"}
    dataset = xr.Dataset(
        variables, {"run": (("run",), runs.astype(np.int64), stated), "case": campaign.cases[case].name}
    )
    flown = len(runs) if flown is None else flown
    dataset.attrs = _provenance(campaign) | {"title": f"runs of {campaign.cases[case].name}", "runs_flown": flown}
    dataset.attrs["case_number"] = case
    return dataset


def from_samples(campaign: Campaign, case: int, run: int, record: Any, samples: NDArray[np.void]) -> xr.Dataset:
    """One run over `time`: truth, estimate, sensors and command at every tick; its outcome in the attributes."""
    schema = load_schema()
    variables: Variables = {}
    for name, one in schema.sample_fields.items():
        if name != "time":
            variables[name] = (("time", *_axes(one)), samples[name], _attributes(one))
    time = schema.sample_fields["time"]
    coords: dict[str, Any] = {
        "time": (("time",), samples["time"], _attributes(time)),
        "case": campaign.cases[case].name,
    }
    for one in schema.sample_fields.values():
        for dim, labels in zip(_axes(one), one.labels, strict=True):
            coords[dim] = ((dim,), np.array(labels, object))
    dataset = xr.Dataset(variables, coords)
    dataset.attrs = _provenance(campaign) | {
        "title": f"run {run} of {campaign.cases[case].name}",
        "run": np.uint64(run),
        "outcome": schema.enums["Outcome"].member(int(record["outcome"])),
        "cause": schema.enums["Cause"].member(int(record["cause"])),
    }
    for name, one in schema.record_fields.items():
        if one.metric and record["contact"]:
            dataset.attrs[f"final_{name}"] = float(record[name])
    return dataset


def _axes(one: Field) -> tuple[str, ...]:
    """Dimension names of a vector or array field."""
    return tuple("component" if names == ("x", "y", "z") else f"{one.path}_index" for names in one.labels)


def _attributes(one: Field) -> dict[str, Any]:
    attrs: dict[str, Any] = {"long_name": one.description, "units": one.unit or "1"}
    if one.enum:
        members = load_schema().enums[one.enum].members
        attrs |= {"flag_values": np.array(list(members.values()), np.int32), "flag_meanings": " ".join(members)}
    return attrs


def _names(members: Mapping[str, int]) -> NDArray[np.object_]:
    """Names by their number."""
    table = np.full(max(members.values()) + 1, "", object)
    for name, number in members.items():
        table[number] = name
    return table
