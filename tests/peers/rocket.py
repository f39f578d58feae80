"""RocketPy's own Monte Carlo of a sounding rocket from rail to ground: another flight than ours, as RocketPy offers it.

A solid motor of 6 kN s, 15 kg of rocket, standard atmosphere; mass, motor, rail angles and wind are dispersed. It falls
without a parachute, because RocketPy would spend most of its time on writing the parachutes' functions to its file of
inputs. Six degrees of freedom; integration by its default method to its default accuracy.
The numbers are of the class of RocketPy's introductory rocket.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from rocketpy import Environment, Flight, MonteCarlo, Rocket, SolidMotor
from rocketpy.stochastic import (
    StochasticEnvironment,
    StochasticFlight,
    StochasticNoseCone,
    StochasticRocket,
    StochasticSolidMotor,
    StochasticTrapezoidalFins,
)

__all__ = ["campaign"]


def campaign(runs: int) -> None:
    """Fly a Monte Carlo campaign of RocketPy in this process."""
    environment = Environment(latitude=33.0, longitude=-107.0, elevation=1400)
    environment.set_atmospheric_model(type="custom_atmosphere", wind_u=3.0, wind_v=1.0)
    motor = SolidMotor(
        thrust_source=[[0.0, 1600.0], [3.7, 1600.0], [3.8, 0.0]],
        burn_time=3.8,
        dry_mass=1.8,
        dry_inertia=(0.125, 0.125, 0.002),
        nozzle_radius=0.033,
        grain_number=5,
        grain_density=1815,
        grain_outer_radius=0.033,
        grain_initial_inner_radius=0.015,
        grain_initial_height=0.12,
        grain_separation=0.005,
        grains_center_of_mass_position=0.397,
        center_of_dry_mass_position=0.317,
        nozzle_position=0,
        throat_radius=0.011,
        coordinate_system_orientation="nozzle_to_combustion_chamber",
    )
    rocket = Rocket(
        radius=0.0635,
        mass=14.4,
        inertia=(6.32, 6.32, 0.034),
        power_off_drag=0.45,
        power_on_drag=0.45,
        center_of_mass_without_motor=0,
        coordinate_system_orientation="tail_to_nose",
    )
    rocket.add_motor(motor, position=-1.255)
    nose = rocket.add_nose(length=0.558, kind="von karman", position=1.278)
    fins = rocket.add_trapezoidal_fins(n=4, root_chord=0.12, tip_chord=0.06, span=0.11, position=-1.049)
    flight = Flight(rocket=rocket, environment=environment, rail_length=5.2, inclination=84, heading=133)

    random_environment = StochasticEnvironment(
        environment, wind_velocity_x_factor=(1, 0.2), wind_velocity_y_factor=(1, 0.2)
    )
    random_motor = StochasticSolidMotor(motor, burn_out_time=(3.8, 0.05), total_impulse=(6000.0, 60.0))
    random_rocket = StochasticRocket(rocket, mass=(14.4, 0.1), inertia_11=(6.32, 0.05))
    random_rocket.add_motor(random_motor, position=0.001)
    random_rocket.add_nose(StochasticNoseCone(nose, length=0.001))
    random_rocket.add_trapezoidal_fins(StochasticTrapezoidalFins(fins, root_chord=0.0005))
    random_flight = StochasticFlight(flight, inclination=(84, 1), heading=(133, 2))
    with tempfile.TemporaryDirectory() as folder:
        study = MonteCarlo(str(Path(folder) / "study"), random_environment, random_rocket, random_flight)
        study.simulate(number_of_simulations=runs, append=False, parallel=False)
        if study.num_of_loaded_sims != runs:
            raise RuntimeError(f"RocketPy flew {study.num_of_loaded_sims} of {runs} runs")
