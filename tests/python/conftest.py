"""A small lander: headers of a few fields and a mission of them, so that tests stay as the kernels grow."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from mcrisk import cli

PARAMS = """
#pragma once
/// Everything.
#include "vec.h"

namespace mcr {

constexpr int gate_count = 3;  ///< [] gates

/// Law of the braking phase.
enum class Law : int {
    constant = 0,   ///< Constant thrust.
    apollo = 1,     ///< Quadratic in time.
};

/// Laser range finder.
struct Altimeter {
    real range_max;        ///< [m] > 0, default 5 km. Longest slant range.
    real health;           ///< [] 0 .. 1, default 1. Received over specified power.
    real noise_fraction;   ///< [] >= 0, default 0.1 %. Noise per unit of range.
    Vec3 beam_B;           ///< [] unit vector, default 0 0 -1. Beam direction in body axes.
    int  period_ticks;     ///< [tick] >= 1, default 2. Ticks between two samples.
    int  fitted;           ///< [] 0 .. 1, default 1. 1 if the lander has one.
};

/// One reading: not part of the schema, so anything goes.
struct Range {
    bool valid;
    real distance = 0;          // [m]
    real* pointer;
};

/// Mass properties.
struct Vehicle {
    real mass_dry;         ///< [kg] > 0. Mass without propellant.
    Vec3 cg_B;             ///< [m] default 0 0 0.9. Centre of gravity.
};

/// One engine.
struct Engine {
    real thrust;           ///< [N] > 0. Thrust at full throttle.
    real isp;              ///< [s] > 0, default 318 s. Specific impulse.
    real misalign;         ///< [rad] -0.2 .. 0.2, default 0 deg. Thrust direction error.
};

/// Engines and tanks.
struct Propulsion {
    Engine main;           ///< Main engine.
    real propellant;       ///< [kg] > 0. Main propellant at the start of the powered descent.
};

struct Gravity {
    real radius;           ///< [m] placed. Distance of the site from the Moon's centre.
};

/// What is.
struct World {
    Gravity gravity;       ///< Gravity.
    Vehicle vehicle;       ///< Mass properties.
    Propulsion propulsion; ///< Engines and tanks.
    Altimeter altimeter;   ///< Altimeter.
};

/// On-board guidance.
struct Guidance {
    Law  law;                        ///< [] default constant. Law of the braking phase.
    real gate_height[gate_count];    ///< [m] >= 0, designed. Heights of the gates,
                                     ///< falling.
};

/// What the computer was told.
struct Onboard {
    Guidance guidance;     ///< Guidance.
};

/// Numerical settings.
struct Simulation {
    int  truth_steps;      ///< [] 1 .. 64, default 2. Truth steps per tick.
};

/// Everything the kernel reads of one case.
struct Params {
    World world;           ///< promoted. What is.
    Onboard onboard;       ///< promoted. What the computer was told.
    Simulation simulation; ///< Numerical settings.
    Scatter scatter;       ///< internal. Dispersions.
};

MCR_FN real half(real x) { return real(0.5) * x; }

}  // namespace mcr
"""

DISPERSION = """
enum class Distribution : int {
    normal_absolute = 0,   ///< A.
    normal_relative = 1,   ///< B.
    uniform_absolute = 2,  ///< C.
    uniform_relative = 3,  ///< D.
    lognormal = 4,         ///< E.
    exponential = 5,       ///< F.
    rayleigh = 6,          ///< G.
};
struct Dispersion {
    int  word;                  ///< internal. Word.
    Distribution distribution;  ///< internal. Shape.
    int  stream;                ///< internal. Stream.
    real spread;                ///< internal. Spread.
    real lower;                 ///< internal. Lowest.
    real upper;                 ///< internal. Highest.
    int  factor_first;          ///< internal. First factor.
    int  factor_count;          ///< internal. Factors.
};
struct Factor {
    int  stream;                ///< internal. Stream.
    real weight;                ///< internal. Weight.
};
struct Scatter {
    int count;                  ///< internal. In use.
    Dispersion dispersion[5];   ///< internal. The dispersions.
    Factor factor[6];           ///< internal. Terms.
};
"""

RECORD = """
/// How a run ended.
enum class Outcome : int {
    invalid = 0,    ///< Not finite.
    success = 10,   ///< Landed.
};
/// One run.
struct Record {
    Outcome outcome;     ///< [] How the run ended.
    int  contact;        ///< [] 1 if the lander reached the ground, else 0.
    real descent_rate;   ///< [m s^-1] metric. Downward speed at contact.
};
/// One tick.
struct Sample {
    real time;           ///< [s] Time.
    Vec3 position_S;     ///< [m] True position.
};
"""

MISSION = """
title = "A small lander"

[site]
latitude = "60.5 deg"
longitude = "-4.6 deg"
azimuth = "180 deg"

[orbit]
altitude = "100 km"
perilune = "20 km"

[mass]
launch = "1000 kg"
dry = "340 kg"
budget = [{ name = "orbit insertion", delta_v = "800 m/s", isp = "318 s" }]

[propulsion.main]
thrust = "1.6 kN"

[dispersions]
"propulsion.main.isp" = { sigma = "0.4 %" }
vehicle.cg_B = { sigma = "5 mm", source = "class value" }

[requirements]
landing = "success >= 0.99 @ 0.90"
"""


@pytest.fixture
def headers(tmp_path: Path) -> Path:
    """A folder of small headers, to be changed by a test."""
    folder = tmp_path / "kernels" / "mcrisk"
    folder.mkdir(parents=True)
    (folder / "vec.h").write_text("#pragma once\nstruct Vec3 {\n    real x;\n    real y;\n    real z;\n};\n")
    (folder / "params.h").write_text(PARAMS)
    (folder / "dispersion.h").write_text(DISPERSION)
    (folder / "record.h").write_text(RECORD)
    return folder


@pytest.fixture
def small(headers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """mcrisk with the small headers and one shipped mission, `small`; the folder of shipped configs."""
    configs = tmp_path / "configs"
    (configs / "missions").mkdir(parents=True)
    (configs / "missions" / "small.toml").write_text(MISSION)
    monkeypatch.setattr("mcrisk.native.kernel_folder", lambda: headers.parent)
    monkeypatch.setattr("mcrisk.native.config_folder", lambda: configs)
    return configs


@pytest.fixture
def mcrisk(monkeypatch, capsys, tmp_path):
    """mcrisk("run", ...) -> exit code, stdout, stderr; in an empty folder."""
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["mcrisk", *map(str, arguments)])
        code = cli.main()
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    yield call
    signal.signal(signal.SIGTERM, before)
