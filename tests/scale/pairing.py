"""What the same random worlds are worth: changes of real missions compared in pairs, and by independent samples."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import mcrisk
from mcrisk import duel, pages, scripting

CHANGES = (
    ("hakuto_r_m2_late_rangefinder", "altimeter.range_max", "0.9 km", "1 km"),
    ("hakuto_r_m2_late_rangefinder", "propulsion.cluster.thrust", "210 N", "212 N"),
    ("hakuto_r_m2_late_rangefinder", "propulsion.main.isp", "318 s", "315 s"),
    ("hakuto_r_m2_as_designed", "altimeter.range_max", "5 km", "2 km"),
    ("hakuto_r_m1", "navigation.gate_policy", "reset", "dem_aware"),
    ("generic_small", "altimeter.range_max", "6 km", "2 km"),
    ("generic_small", "touchdown.friction", "0.5", "0.9"),
)
HEADER = ("mission", "changed", "lands", "then lands", "difference in points", "rescued", "lost", "times fewer runs")


def row(mission: str, path: str, before: str, after: str, runs: int, seed: int) -> tuple[str, ...]:
    """One line of the table."""
    base = mcrisk.load(mission)
    sides = [base.replace({path: after}), base.replace({path: before})]
    pair = duel.answer(mcrisk.compare(*sides, runs=runs, seed=seed))["pairs"][0]
    low, high = (100 * end for end in pair["interval"])
    factor = pair["pairing_factor"]
    shares = [f"{100 * pair[side]['count'] / runs:.1f} %" for side in ("success_b", "success_a")]
    return (
        mission, f"`{path}` {before} to {after}", *shares,
        f"{100 * pair['difference']:+.2f} ({low:+.2f} to {high:+.2f})", str(pair["only_a"]), str(pair["only_b"]),
        f"{factor:.1f}" if factor else "-",
    )  # fmt: skip


def main() -> None:
    about = f"{__doc__} Prints their table, and puts it into a page, which is README.md for the script."
    parser = argparse.ArgumentParser(prog="scripts/pairing", description=about)
    parser.add_argument("--runs", type=scripting.count, default=4000, help="of each design (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the random worlds (%(default)s)")
    parser.add_argument("--write", type=Path, metavar="PAGE.md", help="another page with the pairing marks")
    options = parser.parse_args()
    if options.write:
        pages.check(options.write, "pairing")
    rows = [HEADER, ("---",) * len(HEADER)]
    for change in CHANGES:
        rows.append(row(*change, options.runs, options.seed))
        print("  ".join(rows[-1]), flush=True)
    told = f"{options.runs} runs each, seed {options.seed}, by `scripts/pairing`; intervals at 95 % confidence.\n\n"
    if options.write:
        pages.write_block(options.write, "pairing", told + "\n".join(f"| {' | '.join(one)} |" for one in rows))


if __name__ == "__main__":
    sys.exit(scripting.guarded(main))
