"""The answer to `run` and `show` as one JSON object: numbers are numbers or null, never NaN.

`elapsed_s` and `runs_per_s` are those of the last flight, of the `runs_new` runs that it flew; runs that were there
before it count in `cases` alone. They are 0 and null where the figures are read from a journal.
"""

from __future__ import annotations

import json
import math
from typing import Any

import xarray as xr

from mcrisk.dataset import ELLIPSE_CONTENT, design_points
from mcrisk.tally import GROUPS

__all__ = ["answer"]


def answer(dataset: xr.Dataset) -> dict[str, Any]:
    """The answer of a dataset made by `dataset.from_tallies`, ready for `json.dumps`."""
    statement = json.loads(dataset.attrs["statement"])
    cases = design_points(dataset)
    elapsed = float(dataset.attrs["elapsed"])
    flown = sum(int(case["runs"]) for case in cases)
    new = int(dataset.attrs.get("runs_new", flown))
    return {
        "schema_version": int(dataset.attrs["schema_version"]),
        "campaign": dataset.attrs["campaign"],
        "seed": int(dataset.attrs["seed"]),
        "backend": dataset.attrs["backend"],
        "elapsed_s": elapsed,
        "runs_new": new,
        "runs_per_s": new / elapsed if elapsed > 0 and new else None,
        "complete": bool(dataset.attrs.get("complete", 1)),
        "runs_wanted": int(dataset.attrs.get("runs_wanted", 0)) or None,
        "cases_complete": int(dataset.attrs.get("cases_complete", len(cases))),
        "confidence": float(dataset.attrs["confidence"]),
        "interval_method": dataset.attrs["interval_method"],
        "cases": [
            {"case": number} | _case(case, stated, float(dataset.attrs["confidence"]))
            for number, (case, stated) in enumerate(zip(cases, statement["cases"], strict=True))
        ],
        "axes": statement["axes"],
        "impossible": [
            {"name": one["name"], "reason": one["reason"], "coords": one["coords"]} for one in statement["impossible"]
        ],
    }


def _case(case: xr.Dataset, stated: dict[str, Any], confidence: float) -> dict[str, Any]:
    outcomes, causes = case["outcome"].values.tolist(), case["cause"].values.tolist()
    lost = case["cause_count"].values[[name != "success" for name in outcomes]].sum(axis=0)
    return {
        "name": str(case["case"].item()),
        "coords": stated["coords"],
        "place": stated["place"],
        "runs": int(case["runs"]),
        "invalid": int(case["invalid"]),
        "success_count": int(case["success_count"]),
        "success_probability": _number(case["success_probability"].item()),
        "success_interval": case["success_interval"].values.tolist(),
        "confidence": confidence,
        "outcomes": {
            name: {
                "count": int(case["outcome_count"].values[i]),
                "probability": _number(case["outcome_probability"].values[i]),
                "interval": case["outcome_interval"].values[i].tolist(),
            }
            for i, name in enumerate(outcomes)
        },
        "causes": {name: int(lost[i]) for i, name in enumerate(causes)},
        "ledger": [
            {
                "outcome": outcomes[i],
                "cause": causes[j],
                "count": int(case["cause_count"].values[i, j]),
                "example_run": int(case["example_run"].values[i, j]),
            }
            for i in range(len(outcomes))
            for j in range(len(causes))
            if outcomes[i] != "success" and case["cause_count"].values[i, j]
        ],
        "metrics": {group: _metrics(case.sel(group=group)) for group in GROUPS},
        "landing_ellipse": {group: _landing(case.sel(group=group)) for group in GROUPS},
    }


def _metrics(case: xr.Dataset) -> dict[str, Any]:
    values = {name: case[f"metric_{name}"].values for name in ("count", "mean", "std", "least", "greatest", "quantile")}
    return {
        name: {
            "unit": unit,
            "count": int(values["count"][i]),
            "mean": _number(values["mean"][i]),
            "std": _number(values["std"][i]),
            "min": _number(values["least"][i]),
            "max": _number(values["greatest"][i]),
            "quantiles": {
                f"{level:g}": _number(values["quantile"][i, j])
                for j, level in enumerate(case["quantile"].values.tolist())
            },
        }
        for i, (name, unit) in enumerate(
            zip(case["metric"].values.tolist(), case["metric_unit"].values.tolist(), strict=True)
        )
    }


def _landing(case: xr.Dataset) -> dict[str, Any]:
    return {
        "content": ELLIPSE_CONTENT,
        "center_m": [_number(value) for value in case["landing_center"].values],
        "semi_axes_m": [_number(value) for value in case["landing_ellipse"].values],
        "angle_rad": _number(case["landing_ellipse_angle"].item()),
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
