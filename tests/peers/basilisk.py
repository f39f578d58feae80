"""The powered arc in Basilisk: spacecraft hub, fuel tank, thruster and spherical harmonics, its own Runge-Kutta rule.

The tank is a sphere of constant volume at the centre of gravity, so that its inertia, 2/5 m r^2, falls as that of
mcrisk does; the tank adds the torque of a changing inertia (`updateOnly` false), the thruster no jet damping
(`updateOnly` true, its default). J2 alone, in a frame that does not turn: the field is symmetric about the pole.
"""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
from Basilisk.architecture import messaging
from Basilisk.simulation import (
    fuelTank,
    gravityEffector,
    spacecraft,
    sphericalHarmonicsGravityModel,
    thrusterDynamicEffector,
)
from Basilisk.utilities import SimulationBaseClass, macros
from Basilisk.utilities.MonteCarlo.Controller import Controller
from Basilisk.utilities.MonteCarlo.Dispersions import NormalDispersion, NormalVectorCartDispersion
from Basilisk.utilities.MonteCarlo.RetentionPolicy import RetentionPolicy
from peers import arc, steps

__all__ = ["Flight", "fly"]

ON = 2.0 * arc.DURATION  # [s] of the thruster: it never stops
RETAINED = 60.0  # [s] between two states that a campaign keeps


def from_n_to_pole() -> arc.Array:
    """The matrix from N to the axes of the field: z along the pole, x along the prime meridian's stand-in."""
    return np.array([arc.MERIDIAN_S, np.cross(arc.POLE_S, arc.MERIDIAN_S), arc.POLE_S])


class Flight(SimulationBaseClass.SimBaseClass):  # type: ignore[misc]
    """One run, ready to be executed. row: of arc.starts. every: [s] between two records, 0 for none."""

    def __init__(self, row: arc.Array, every: float = 0.0, step: float = arc.STEP) -> None:
        super().__init__()
        process = self.CreateNewProcess("process")
        process.addTask(self.CreateNewTask("task", macros.sec2nano(step)))
        start = arc.Ends.of(steps.begin(row[np.newaxis])[:, 0])
        turn = from_n_to_pole()

        self.lander = spacecraft.Spacecraft()
        self.lander.ModelTag = "lander"
        hub = self.lander.hub
        hub.mHub = arc.MASS_DRY
        hub.r_BcB_B = [[0.0], [0.0], [0.0]]
        hub.IHubPntBc_B = np.diag(arc.INERTIA_DRY).tolist()
        hub.r_CN_NInit = (turn @ (start.position - arc.CENTRE)).tolist()
        hub.v_CN_NInit = (turn @ start.velocity).tolist()
        hub.sigma_BNInit = sigma_of(arc._multiply(quaternion_of(turn), start.q)).tolist()
        hub.omega_BN_BInit = start.omega.tolist()

        self.tank_model = fuelTank.FuelTankModelConstantVolume()
        self.tank_model.propMassInit = float(row[15])
        self.tank_model.radiusTankInit = arc.TANK_RADIUS
        self.tank_model.r_TcT_TInit = [[0.0], [0.0], [0.0]]
        self.tank = fuelTank.FuelTank()
        self.tank.setTankModel(self.tank_model)
        self.tank.setUpdateOnly(False)

        self.thrusters = thrusterDynamicEffector.ThrusterDynamicEffector()
        self.thrusters.ModelTag = "engine"
        engine = thrusterDynamicEffector.THRSimConfig()
        engine.thrLoc_B = [[arc.OFFSET_X], [arc.OFFSET_Y], [0.0]]
        engine.thrDir_B = [[0.0], [0.0], [1.0]]
        engine.MaxThrust = float(row[13])
        engine.steadyIsp = float(row[14])
        self.thrusters.addThruster(engine)
        self.command = messaging.THRArrayOnTimeCmdMsg().write(messaging.THRArrayOnTimeCmdMsgPayload(OnTimeRequest=[ON]))
        self.thrusters.cmdsInMsg.subscribeTo(self.command)
        self.tank.addThrusterSet(self.thrusters)
        self.lander.addStateEffector(self.tank)
        self.lander.addDynamicEffector(self.thrusters)

        self.moon = gravityEffector.GravBodyData()
        self.moon.planetName = "moon_planet_data"
        self.moon.mu = arc.GM
        self.moon.radEquator = arc.REFERENCE
        self.moon.isCentralBody = True
        self.moon.gravityModel = oblate()
        self.lander.gravField.gravBodies = spacecraft.GravBodyVector([self.moon])
        self.AddModelToTask("task", self.thrusters)
        self.AddModelToTask("task", self.lander)
        self.AddModelToTask("task", self.tank)
        if every:
            self.seen = self.lander.scStateOutMsg.recorder(macros.sec2nano(every))
            self.seen_tank = self.tank.fuelTankOutMsg.recorder(macros.sec2nano(every))
            self.AddModelToTask("task", self.seen)
            self.AddModelToTask("task", self.seen_tank)
            self.msgRecList = {"lander": self.seen}  # where the Monte Carlo controller looks for what it retains

    def execute(self) -> None:
        """Fly it."""
        self.InitializeSimulation()
        self.ConfigureStopTime(macros.sec2nano(arc.DURATION))
        self.ExecuteSimulation()

    def ends(self) -> arc.Ends:
        """What was recorded, in the site frame, without the start."""
        time = np.asarray(self.seen.times()) * macros.NANO2SEC
        back = from_n_to_pole().T
        q = arc._multiply(quaternion_of(back), quaternion_of_sigma(np.asarray(self.seen.sigma_BN)))
        inertial = arc.Ends(
            np.asarray(self.seen.r_CN_N) @ back.T + arc.CENTRE,
            np.asarray(self.seen.v_CN_N) @ back.T,
            q,
            np.asarray(self.seen.omega_BN_B),
            arc.MASS_DRY + np.asarray(self.seen_tank.fuelMass),
        )
        return arc.Ends.of(arc.to_site(time, inertial).table()[1:])


def fly(row: arc.Array, every: float, step: float = arc.STEP) -> arc.Ends:
    """States of one run at each multiple of `every` [s] in the site frame."""
    flight = Flight(row, every, step)
    flight.execute()
    return flight.ends()


def oblate() -> Any:
    """The field: a point mass and J2, whose normalised coefficient is C20 = - J2 / sqrt(5)."""
    model = sphericalHarmonicsGravityModel.SphericalHarmonicsGravityModel()
    model.muBody, model.radEquator, model.maxDeg = arc.GM, arc.REFERENCE, 2
    model.cBar = [[1.0], [0.0, 0.0], [-arc.J2 / np.sqrt(5), 0.0, 0.0]]
    model.sBar = [[0.0], [0.0, 0.0], [0.0, 0.0, 0.0]]
    return model


def quaternion_of(matrix: arc.Array) -> arc.Array:
    """The quaternion that turns a vector as a matrix does."""
    from scipy.spatial.transform import Rotation

    return np.roll(Rotation.from_matrix(matrix).as_quat(), 1)


def sigma_of(q: arc.Array) -> arc.Array:
    """Modified Rodrigues parameters of a quaternion, the short way round (Schaub & Junkins, 3.6)."""
    sign = 1.0 if q[0] >= 0 else -1.0
    return np.asarray(sign * q[1:] / (1 + abs(q[0])))


def quaternion_of_sigma(sigma: arc.Array) -> arc.Array:
    """Quaternions of modified Rodrigues parameters: (..., 3) -> (..., 4)."""
    square = np.sum(sigma * sigma, axis=-1, keepdims=True)
    return np.asarray(np.concatenate([1 - square, 2 * sigma], axis=-1) / (1 + square))


def created() -> Flight:
    """A flight of the nominal run: what the Monte Carlo controller builds anew for each run, and disperses."""
    return Flight(arc.starts(1)[0], RETAINED)


def campaign(runs: int) -> None:
    """A campaign of Basilisk's Monte Carlo controller on the arc, in this process, as its examples set one up.

    Dry mass and the rate at the start are dispersed; ten states of each run are retained and archived.
    """
    with tempfile.TemporaryDirectory() as folder:
        controller = Controller()
        controller.setSimulationFunction(created)
        controller.setExecutionFunction(Flight.execute)
        controller.setExecutionCount(runs)
        controller.setThreadCount(1)
        controller.setShouldDisperseSeeds(True)
        controller.setVerbose(False)
        controller.setShowProgressBar(False)
        controller.setArchiveDir(f"{folder}/archive/")
        controller.addDispersion(NormalDispersion("lander.hub.mHub", arc.MASS_DRY, 1.0))
        controller.addDispersion(NormalVectorCartDispersion("lander.hub.omega_BN_BInit", 0.0, 1e-5))
        retained = RetentionPolicy()
        retained.addMessageLog("lander", ["r_CN_N", "v_CN_N", "sigma_BN"])
        controller.addRetentionPolicy(retained)
        failed = controller.executeSimulations()
        if failed:
            raise RuntimeError(f"Basilisk failed in {len(failed)} of {runs} runs")
        last = controller.getRetainedData(runs - 1)["messages"]["lander.r_CN_N"]
        if len(last) < 10:
            raise RuntimeError("Basilisk retained nothing")
