"""Blue Ghost Mission 1, Mare Crisium, 2 March 2025. Figures: scripts/validate. Fixed seed: no false alarm."""

from __future__ import annotations


def test_it_lands(fly) -> None:
    """Expected above 90 %: it did."""
    assert fly("blue_ghost_m1").share > 0.9


def test_it_touches_down_at_about_a_metre_per_second(fly) -> None:
    """NASA blog, 2 March 2025: 3 ft/s."""
    assert 0.5 < fly("blue_ghost_m1").median("descent_rate") < 1.5


def test_braking_takes_about_nine_minutes(fly) -> None:
    """550 s flown; the model's thrust and mass are estimates, so within 10 %."""
    assert abs(fly("blue_ghost_m1").median("gate_time") - 550) < 55
