"""Published envelopes of touchdown: what the legs of landers were designed for, or tested to.

Confidence: O official, R recalled and not checked against the report named. What a source does not bound is not flown:
tilt and rate are zero then.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .errors import MistakeError, suggestion, visible

__all__ = ["ENVELOPES", "Envelope", "envelope_of"]

FOOT = 0.3048  # [m] international foot
SLOWEST = 0.5  # [m s^-1] descent rate of the lower edge, which no source bounds


@dataclass(frozen=True)
class Envelope:
    """Bounds of a first touch, SI. `corners`: descent rate and horizontal speed, from the fastest descent on."""

    name: str
    lander: str
    corners: tuple[tuple[float, float], ...]
    slope: float
    tilt: float
    tilt_rate: float
    source: str
    confidence: str

    @property
    def speeds(self) -> tuple[tuple[float, float], ...]:
        """Corners of descent rate and horizontal speed, closed at the slowest descent, and the middles of its edges."""
        wide = max(level for _, level in self.corners)
        ring = [*self.corners, (SLOWEST, wide), (SLOWEST, 0.0)]
        ends = [*ring[1:], ring[0]]
        pairs = zip(ring, ends, strict=True)
        return tuple(one for a, b in pairs for one in (a, ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2)))

    @property
    def told(self) -> str:
        """What it bounds, in a line."""
        fast = ", ".join(f"{rate:.3g} m/s down with {level:.3g} m/s across" for rate, level in self.corners[-2:])
        bounds = [f"slope {math.degrees(self.slope):.3g} deg"]
        bounds += [f"tilt {math.degrees(self.tilt):.3g} deg"] if self.tilt else []
        bounds += [f"rate {math.degrees(self.tilt_rate):.3g} deg/s"] if self.tilt_rate else []
        return f"{fast}; {', '.join(bounds)}"


def _degrees(value: float) -> float:
    return math.radians(value)


ENVELOPES = {
    one.name: one
    for one in (
        Envelope("apollo_lm", "Apollo lunar module, design", ((10 * FOOT, 0.0), (7 * FOOT, 4 * FOOT)),
                 _degrees(12), _degrees(6), _degrees(2), "Rogers 1972, NASA TN D-6850", "R"),
        Envelope("chandrayaan_3", "Chandrayaan-3, design", ((2.0, 0.0), (2.0, 0.5)), _degrees(12), 0.0, 0.0,
                 "ISRO, by Hindustan Times, August 2023", "O"),
        Envelope("chandrayaan_3_test", "Chandrayaan-3, limits of the tests of its legs", ((3.0, 0.0), (3.0, 1.0)),
                 _degrees(12), 0.0, 0.0, "ISRO, by Hindustan Times, August 2023", "O"),
        Envelope("change_3", "Chang'e-3, design", ((3.8, 0.0), (3.8, 1.0)), _degrees(8), 0.0, 0.0,
                 "papers on its landing gear", "R"),
        Envelope("surveyor", "Surveyor, design", ((20 * FOOT, 0.0), (20 * FOOT, 7 * FOOT)), _degrees(15), 0.0, 0.0,
                 "Surveyor project, JPL TR 32-1265", "R"),
    )
}  # fmt: skip


def envelope_of(name: str) -> Envelope:
    """The envelope of a name; raises MistakeError with the nearest one.

    >>> envelope_of("chandrayaan_3").corners
    ((2.0, 0.0), (2.0, 0.5))
    """
    if name not in ENVELOPES:
        hint = suggestion(name, ENVELOPES)
        raise MistakeError(f"unknown envelope '{visible(name)}'", f"one of {', '.join(ENVELOPES)}", "", hint)
    return ENVELOPES[name]
