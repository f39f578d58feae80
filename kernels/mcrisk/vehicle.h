#pragma once
/// Mass properties of the lander: linear migration of the centre of gravity and of inertia with propellant.
/// Not modelled: slosh, flexible parts.
#include "vec.h"

namespace mcr {

/// Mass properties.
struct Vehicle {
    real mass_dry;       ///< [kg] > 0. Mass without main and attitude propellant.
    Vec3 cg_dry_B;       ///< [m] default 0 0 0.9. Centre of gravity without propellant, from the engine mount.
    Vec3 cg_full_B;      ///< [m] default 0 0 1.0. Centre of gravity with full tanks at ignition.
    Vec3 inertia_dry;    ///< [kg m^2] > 0, designed. Principal moments of inertia without propellant.
    Vec3 inertia_full;   ///< [kg m^2] > 0, designed. Principal moments of inertia with full tanks at ignition.
};

/// Mass properties at one instant.
struct MassProperties {
    Vec3 cg_B;
    Vec3 inertia;
};

/// Mass properties with the fraction `full` (0 to 1) of the propellant at ignition still on board.
MCR_FN MassProperties mass_properties(Vehicle const& vehicle, real full) {
    return MassProperties{fused(full, vehicle.cg_full_B - vehicle.cg_dry_B, vehicle.cg_dry_B),
                          fused(full, vehicle.inertia_full - vehicle.inertia_dry, vehicle.inertia_dry)};
}

}  // namespace mcr
