"""The commands of `mcrisk`, by what they are for."""
