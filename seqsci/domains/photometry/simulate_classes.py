"""What the flux of each simulated class does: one short function per class, over many objects at once.

Each takes the random numbers and the visits and returns the noiseless difference flux (rows,) in FLUXCAL and the true
redshift (objects,), 0 in the Galaxy. The parameters are PLAsTiCC-like, not calibrated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from seqsci.domains.photometry.cadence import DAYS, Floats, Visits
from seqsci.domains.photometry.cosmology import COMOVING, GRID, INVERSE_E, distance_modulus

Rng = np.random.Generator
Model = Callable[[Rng, Visits], tuple[Floats, Floats]]
Shape = Callable[[Floats], Floats]

ZEROPOINT = 27.5
WAVELENGTHS = np.array([3671.0, 4827.0, 6223.0, 7546.0, 8691.0, 9710.0])  # Angstrom, u to y (avocado)


def _exp(x: Floats) -> Floats:
    """exp that neither overflows nor underflows."""
    return np.exp(np.clip(x, -50, 50))


def draw_redshift(rng: Rng, n: int, highest: float, evolution: float) -> Floats:
    """(n,) redshifts of a rate (1+z)^evolution per comoving volume and time at the source, 0.001 to `highest`."""
    inside = highest >= GRID
    weight = np.cumsum((COMOVING**2 * INVERSE_E * (1 + GRID) ** (evolution - 1))[inside])
    return np.maximum(np.interp(rng.random(n), weight / weight[-1], GRID[inside]), 1e-3)


def planck(wavelength: Floats | float, kelvin: Floats) -> Floats:
    """Black body F_nu, up to a constant; wavelength in Angstrom."""
    shape: Floats = 1 / (np.asarray(wavelength) ** 3 * np.expm1(np.minimum(1.43878e8 / (wavelength * kelvin), 500.0)))
    return shape


def bazin(t: Floats, rise: Floats, fall: Floats) -> Floats:
    """exp(-t/fall) / (1 + exp(-t/rise)) (Bazin et al. 2009)."""
    # In logarithms: long before the explosion both exponentials overflow, and their ratio is next to nothing.
    return np.exp(np.maximum(-t / fall - np.logaddexp(0, -t / rise), -700))


def bazin_peak(rise: Floats, fall: Floats) -> Floats:
    """When `bazin` is highest: rise ln(fall/rise - 1)."""
    peak: Floats = rise * np.log(fall / rise - 1)
    return peak


def villar(t: Floats, rise: Floats, fall: Floats, plateau: Floats, slope: Floats) -> Floats:
    """A rise, a plateau that declines by `slope` a day, and an exponential fall (Villar et al. 2019), amplitude 1."""
    late = (1 - slope * plateau) * _exp(-np.maximum(t - plateau, 0) / fall)
    return np.where(t < plateau, 1 - slope * t, late) / (1 + _exp(-t / rise))


def paczynski(u: Floats) -> Floats:
    """Magnification of a point source by a point lens u Einstein radii away (Paczynski 1986)."""
    return (u * u + 2) / (u * np.sqrt(u * u + 4))


def flare(x: Floats) -> Floats:
    """Stellar flare of peak 1 at x = 0, in units of its full width at half maximum (Davenport et al. 2014)."""
    before, after = np.clip(x, -1, 0), np.clip(x, 0, 200)
    rise = 1 + 1.941 * before - 0.175 * before**2 - 2.246 * before**3 - 1.125 * before**4
    decay = 0.6890 * np.exp(-1.600 * after) + 0.3030 * np.exp(-0.2783 * after)
    return np.where(x > 0, decay, np.where(x > -1, rise, 0.0))


def _flux(magnitude: Floats) -> Floats:
    flux: Floats = 10 ** (0.4 * (ZEROPOINT - magnitude))
    return flux


@dataclass(frozen=True)
class Curve:
    """`shape`: brightness (rows,) by rest-frame days (rows,) since the explosion; `peak` (n,) its highest day."""

    shape: Shape
    peak: Floats


def _bazin(v: Visits, rise: Floats, fall: Floats) -> Curve:
    """A Bazin curve of peak 1."""
    peak = bazin_peak(rise, fall)
    top = bazin(peak, rise, fall)[v.owner]
    r, f = rise[v.owner], fall[v.owner]
    return Curve(lambda p: bazin(p, r, f) / top, peak)


def _cooling(first: float, last: float, days: float, floor: float) -> Shape:
    """Temperature (K) by rest-frame days since the peak."""
    return lambda p: np.maximum(floor, last + (first - last) * np.exp(-np.clip(p, -10, 500) / days))


def _transient(
    rng: Rng,
    v: Visits,
    magnitude: Floats,
    curve: Curve,
    temperature: Shape,
    volume: tuple[float, float],
    cut: tuple[float, float] | None = None,
    bump: float = 0.0,
    reference: float = 5500.0,
) -> tuple[Floats, Floats]:
    """An explosion far away: a black body whose brightness at `reference` Angstrom follows `curve`.

    `magnitude` (n,) absolute at the peak; `volume`: highest redshift and evolution of the rate; `cut`: wavelength and
    width (Angstrom) below which metals swallow the light; `bump`: second maximum in the red, of the peak.
    """
    z = draw_redshift(rng, len(v), *volume)
    own = v.owner
    p = (v.time - rng.uniform(30, DAYS - 35, len(v))[own]) / (1 + z)[own]
    after = p - curve.peak[own]
    lam = WAVELENGTHS[v.band] / (1 + z)[own]
    kelvin = temperature(after)
    sed = planck(lam, kelvin) / planck(reference, kelvin)
    if cut is not None:
        sed *= (1 + np.exp((cut[0] - reference) / cut[1])) / (1 + _exp((cut[0] - lam) / cut[1]))
    light = curve.shape(p)
    if bump:
        light = light + bump * np.exp(-0.5 * ((after - 24) / 7) ** 2) * np.clip((lam - 6500) / 1500, 0, 1)
    scale = _flux(magnitude + distance_modulus(z)) * (1 + z)
    return scale[own] * sed * light, z


def _ia(rng: Rng, v: Visits) -> tuple[Floats, Floats]:
    stretch = np.clip(rng.normal(1, 0.1, len(v)), 0.6, 1.4)
    magnitude = rng.normal(-19.3, 0.15, len(v)) - 1.2 * (stretch - 1)
    curve, kelvin = _bazin(v, 4 * stretch, 24 * stretch), _cooling(11500, 5800, 18, 5500)
    return _transient(rng, v, magnitude, curve, kelvin, (1.1, 1.5), (3700, 350), bump=0.35)


@dataclass(frozen=True)
class Supernova:
    """A class of explosions of Bazin shape and cooling black body.

    `magnitude`: mean and standard deviation; `rise`, `fall`: ranges, rest-frame days; `kelvin`: first and last
    temperature, days, floor; `volume` and `cut` as in `_transient`.
    """

    magnitude: tuple[float, float]
    rise: tuple[float, float]
    fall: tuple[float, float]
    kelvin: tuple[float, float, float, float]
    volume: tuple[float, float]
    cut: tuple[float, float] | None = None

    def __call__(self, rng: Rng, v: Visits) -> tuple[Floats, Floats]:
        """Flux (rows,) and redshift (objects,), as of every class."""
        curve = _bazin(v, rng.uniform(*self.rise, len(v)), rng.uniform(*self.fall, len(v)))
        magnitude = rng.normal(*self.magnitude, len(v))
        return _transient(rng, v, magnitude, curve, _cooling(*self.kelvin), self.volume, self.cut)


def _ii(rng: Rng, v: Visits) -> tuple[Floats, Floats]:
    ranges = ((1.5, 5), (8, 25), (55, 110), (0.002, 0.007))
    rise, *rest = (rng.uniform(low, high, len(v)) for low, high in ranges)
    shape = [x[v.owner] for x in (rise, *rest)]
    curve = Curve(lambda p: villar(p, *shape), 3 * rise)
    kelvin = _cooling(14000, 6000, 22, 5500)
    return _transient(rng, v, rng.normal(-16.9, 1.0, len(v)), curve, kelvin, (0.8, 3.5), (3000, 500))


def _disruption(rng: Rng, v: Visits) -> tuple[Floats, Floats]:
    """A tidal disruption: Gaussian rise, fall-back as (time)^(-5/3), hot all along."""
    rise, fall = rng.uniform(8, 20, len(v))[v.owner], rng.uniform(30, 100, len(v))[v.owner]
    kelvin = 10 ** rng.normal(4.35, 0.12, len(v))[v.owner]

    def shape(p: Floats) -> Floats:
        fallen: Floats = (1 + np.maximum(p, 0) / fall) ** (-5 / 3)
        return np.where(p < 0, np.exp(-0.5 * (p / rise) ** 2), fallen)

    magnitude = rng.normal(-19.6, 0.9, len(v))
    return _transient(rng, v, magnitude, Curve(shape, np.zeros(len(v))), lambda p: kelvin, (1.5, 0.0))


def _kilonova(rng: Rng, v: Visits) -> tuple[Floats, Floats]:
    """A blue component that fades in a day and a red one in days."""
    blue, fast, slow = (rng.uniform(low, high, len(v))[v.owner] for low, high in ((0.2, 1.0), (0.7, 1.5), (3, 6)))

    def shape(p: Floats) -> Floats:
        days = np.maximum(p, 0)
        light: Floats = -np.expm1(-days / 0.2) * (blue * np.exp(-days / fast) + (1 - blue) * np.exp(-days / slow))
        return light

    def kelvin(p: Floats) -> Floats:
        cooled: Floats = np.clip(9000 * np.maximum(p + 0.5, 0.3) ** -0.6, 2500, 20000)
        return cooled

    curve = Curve(shape, np.full(len(v), 0.5))
    return _transient(rng, v, rng.normal(-15.8, 0.8, len(v)), curve, kelvin, (0.2, 1.0), reference=6200.0)


def _agn(rng: Rng, v: Visits) -> tuple[Floats, Floats]:
    """Damped random walk in magnitudes, less the template epoch (MacLeod et al. 2010)."""
    z = draw_redshift(rng, len(v), 3.0, 1.0)
    absolute = rng.normal(-23.5, 1.2, len(v))
    mass = 8.5 - 0.28 * (absolute + 23.5) + rng.normal(0, 0.3, len(v))  # log10 of the black hole's, suns
    tau = 10 ** (2.4 + 0.03 * (absolute + 23) + 0.21 * (mass - 9)) * (1 + z)
    common = -0.51 + 0.131 * (absolute + 23) + 0.18 * (mass - 9)
    lam = WAVELENGTHS[v.band] / (1 + z)[v.owner]
    scatter = 10 ** (common[v.owner] - 0.479 * np.log10(lam / 4000)) / np.sqrt(2)
    colour = np.array([0.5, 0.2, 0.1, 0.0, 0.0, -0.05])[v.band]
    mean = _flux((absolute + distance_modulus(z) + 0.3)[v.owner] + colour)
    template = rng.normal(size=len(v))[v.owner]
    walk = random_walk(rng, v, tau)
    return mean * (10 ** (-0.4 * scatter * walk) - 10 ** (-0.4 * scatter * template)), z


def random_walk(rng: Rng, v: Visits, tau: Floats) -> Floats:
    """(rows,) Ornstein-Uhlenbeck process of variance 1, correlation exp(-dt/tau); tau (n,) days. Exact, not Euler."""
    keep = np.exp(-np.diff(v.time, prepend=0.0) / tau[v.owner])
    keep[v.starts] = 0
    kick = np.sqrt(1 - keep**2) * rng.normal(size=len(keep))
    walk: Floats = kick.copy()
    order = np.argsort(-v.counts)  # longest first: those that still have a k-th row are then a slice
    starts, counts = v.starts[order], v.counts[order]
    for k in range(1, counts[0]):
        row = starts[: np.searchsorted(-counts, -k, side="left")] + k
        walk[row] += keep[row] * walk[row - 1]
    return walk


def _colour(v: Visits, low: float, high: float, rng: Rng, colours: list[float]) -> Floats:
    """(rows,) magnitude of a star in quiescence: one draw for each, and the colours of the class."""
    magnitude: Floats = rng.uniform(low, high, len(v))[v.owner] + np.array(colours)[v.band]
    return magnitude


def _phase(rng: Rng, v: Visits, period: Floats) -> Floats:
    """(rows,) phase in cycles."""
    phase: Floats = v.time / period[v.owner] + rng.random(len(v))[v.owner]
    return phase


def _galactic(v: Visits, flux: Floats) -> tuple[Floats, Floats]:
    return flux, np.zeros(len(v))


def _lens(rng: Rng, v: Visits) -> tuple[Floats, Floats]:
    quiet = _flux(_colour(v, 18, 24, rng, [2.5, 1.0, 0.3, 0.0, -0.1, -0.2]))
    einstein, least = 10 ** rng.normal(1.35, 0.35, len(v)), rng.uniform(0.01, 1, len(v))
    days = v.time - rng.uniform(30, DAYS - 35, len(v))[v.owner]
    return _galactic(v, quiet * (paczynski(np.hypot(least[v.owner], days / einstein[v.owner])) - 1))


def _binary_lens(rng: Rng, v: Visits) -> tuple[Floats, Floats]:
    """Two Paczynski peaks, a stand-in for a binary lens without its caustics."""
    quiet = _flux(_colour(v, 18, 24, rng, [2.5, 1.0, 0.3, 0.0, -0.1, -0.2]))
    einstein = 10 ** rng.normal(1.35, 0.35, len(v))
    first = rng.uniform(30, DAYS - 35, len(v))
    second, share = first + rng.uniform(0.5, 3, len(v)) * einstein, rng.uniform(0.3, 0.7, len(v))
    rise = np.zeros(len(v.time))
    for peak, weight in ((first, share), (second, 1 - share)):
        least = rng.uniform(0.01, 0.5, len(v))
        u = np.hypot(least[v.owner], (v.time - peak[v.owner]) / einstein[v.owner])
        rise += weight[v.owner] * (paczynski(u) - 1)
    return _galactic(v, quiet * rise)


def _rr_lyrae(rng: Rng, v: Visits) -> tuple[Floats, Floats]:
    cycle = 2 * np.pi * _phase(rng, v, np.clip(rng.normal(0.58, 0.07, len(v)), 0.4, 0.85))
    quiet = _flux(_colour(v, 15.5, 22.5, rng, [1.2, 0.15, 0.0, -0.05, -0.05, -0.05]))
    swing = rng.uniform(0.5, 1.2, len(v))[v.owner] * np.array([1.05, 1.0, 0.71, 0.56, 0.51, 0.5])[v.band]
    fourier = ((1, 1.0, 0.0), (2, 0.48, 2.4), (3, 0.33, 4.9), (4, 0.22, 1.4))
    wave = sum((a * np.sin(k * cycle + shift) for k, a, shift in fourier), np.zeros(len(cycle)))
    template = 0.3 * rng.normal(size=len(v))[v.owner]
    return _galactic(v, quiet * (10 ** (-0.4 * swing * wave / 2.2) - 10 ** (-0.4 * swing * template)))


def _binary(rng: Rng, v: Visits) -> tuple[Floats, Floats]:
    period = 10 ** rng.uniform(-0.5, 1.3, len(v))
    phase = _phase(rng, v, period) % 1
    width, deep = rng.uniform(0.02, 0.09, len(v)), rng.uniform(0.08, 0.6, len(v))
    shallow, tide = deep * rng.uniform(0.1, 1, len(v)), rng.uniform(0, 0.08, len(v)) * (period < 2)
    w, own = width[v.owner], v.owner
    dip = deep[own] * np.exp(-0.5 * (np.minimum(phase, 1 - phase) / w) ** 2)
    dip += shallow[own] * np.exp(-0.5 * ((phase - 0.5) / w) ** 2) + tide[own] * np.cos(4 * np.pi * phase)
    return _galactic(v, -_flux(_colour(v, 15.5, 22, rng, [1.8, 0.7, 0.2, 0.0, -0.1, -0.15])) * dip)


def _mira(rng: Rng, v: Visits) -> tuple[Floats, Floats]:
    cycle = 2 * np.pi * _phase(rng, v, rng.uniform(150, 500, len(v)))
    swing = rng.uniform(0.6, 1.2, len(v))[v.owner] * np.array([2.8, 2.5, 1.9, 1.2, 0.8, 0.6])[v.band]
    quiet = _flux(_colour(v, 14.5, 20, rng, [6.0, 4.0, 2.0, 0.6, 0.0, -0.2]))
    wave = np.sin(cycle) + 0.25 * np.sin(2 * cycle + 1.5)
    template = rng.normal(0, 0.5, len(v))[v.owner]
    return _galactic(v, quiet * (10 ** (-0.4 * swing * wave) - 10 ** (-0.4 * swing * template)))


def _dwarf(rng: Rng, v: Visits) -> tuple[Floats, Floats]:
    """An M dwarf that flares about a dozen times while it is looked at; other flares would go unseen."""
    quiet = _flux(rng.uniform(17, 23, len(v)) + 4.2)  # in u
    star = np.repeat(np.arange(len(v)), rng.poisson(12, len(v)))
    seen = v.time[v.starts[star] + (rng.random(len(star)) * v.counts[star]).astype(np.int64)]
    width = 10 ** rng.uniform(-2.6, -1.2, len(star))
    peak = seen - rng.uniform(0, 3, len(star)) * width
    height = 10 ** rng.uniform(-0.3, 2.2, len(star)) * quiet[star]
    counts = v.counts[star]
    which = np.repeat(np.arange(len(star)), counts)
    row = np.arange(len(which)) + np.repeat(v.starts[star] - (np.cumsum(counts) - counts), counts)
    x = (v.time[row] - peak[which]) / width[which]
    near = (x > -1) & (x < 100)  # exp(-28) is left after that
    light = np.bincount(row[near], height[which[near]] * flare(x[near]), minlength=len(v.time))
    kelvin = np.array([9000.0])
    colour = planck(WAVELENGTHS, kelvin) / planck(WAVELENGTHS[0], kelvin)
    return _galactic(v, light * colour[v.band])


MODELS: Mapping[str, Model] = {
    # Supernova: magnitude, rise, fall, kelvin, volume, cut
    "6": _lens,
    "15": _disruption,
    "16": _binary,
    "42": _ii,
    "52": Supernova((-16.8, 1.0), (2.5, 4), (13, 25), (9500, 5000, 14, 4800), (0.7, 1.5), (3700, 400)),
    "53": _mira,
    "62": Supernova((-17.5, 0.9), (4, 7), (18, 40), (8500, 5200, 15, 4700), (0.8, 3.5), (4000, 400)),
    "64": _kilonova,
    "65": _dwarf,
    "67": Supernova((-17.6, 0.4), (3.2, 3.2), (11, 15), (7500, 4300, 14, 4300), (0.7, 1.5), (4300, 350)),
    "88": _agn,
    "90": _ia,
    "92": _rr_lyrae,
    "95": Supernova((-21.6, 0.5), (12, 25), (35, 80), (15000, 8500, 35, 7000), (2.5, 2.5), (2700, 500)),
    "991": _binary_lens,
    "992": Supernova((-13.3, 0.6), (3, 8), (20, 60), (6000, 3800, 30, 3500), (0.12, 1.0)),
    "993": Supernova((-16.0, 0.3), (2, 3), (8, 15), (5000, 5000, 10, 5000), (0.4, 1.5), (4000, 400)),
    "994": Supernova((-21.0, 0.5), (20, 40), (100, 160), (12000, 6000, 60, 5000), (2.0, 2.5), (3500, 500)),
}
"""PLAsTiCC's code to the class's model."""
