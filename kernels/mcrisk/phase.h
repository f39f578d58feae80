#pragma once
/// The phase machine's states. Numbers are never reused; new members are appended.

namespace mcr {

/// Phase of the on-board computer.
enum class Phase : int {
    coast = 0,            ///< Before ignition.
    brake = 1,            ///< Removing orbital speed.
    approach = 2,         ///< Upright, descending on the reference.
    terminal = 3,         ///< Last metres.
    cut = 4,              ///< Engines cut before contact.
};

}  // namespace mcr
