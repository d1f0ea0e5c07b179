"""Distances in a flat universe of matter and a cosmological constant."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HUBBLE, MATTER, LIGHT = 70.0, 0.3, 299792.458
"""H0 in km/s/Mpc, matter as a share of the critical density, speed of light in km/s."""
GRID = np.linspace(0, 10, 10001)
"""Redshifts at which distances are tabulated."""
INVERSE_E = 1 / np.sqrt(MATTER * (1 + GRID) ** 3 + 1 - MATTER)
COMOVING = LIGHT / HUBBLE * np.r_[0, np.cumsum((INVERSE_E[1:] + INVERSE_E[:-1]) / 2) * GRID[1]]
"""Comoving distance in Mpc at each point of the grid, by the trapezoid rule."""


def distance_modulus(z: Floats) -> Floats:
    """m - M in magnitudes of redshifts from 0 (minus infinity) to 10."""
    with np.errstate(divide="ignore"):
        modulus: Floats = 5 * np.log10(np.interp(z, GRID, COMOVING) * (1 + z)) + 25
    return modulus
