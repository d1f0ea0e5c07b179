"""A batch of two-dimensional Gaussian processes: likelihood, gradient, optimum and prediction in plain torch.

Kernel: Matern-3/2, k = A (1 + r) exp(-r) with r^2 = 3 (dt^2 / l^2 + dlambda^2 / (6000 A)^2); the flux errors are its
white noise. The wavelength scale stays fixed; A and l maximise the marginal likelihood.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

START = (math.log(0.25), math.log(400.0))
"""ln A and ln l^2 that an optimum is first looked for at: amplitude half the scale, 20 days."""
LOW = (START[0] - 10, 0.0)
HIGH = (START[0] + 10, math.log(1e6))
LENGTHS, AMPLITUDES = (1.0, 4.0, 60.0, 250.0), (0.25, 0.005)  # days; with START nine starting points
NOISE_FLOOR = 1e-12  # variance over scale^2; keeps equal epochs of errors near zero from a singular matrix


@dataclass(frozen=True)
class Trimmed:
    """One object's observations kept: days since the first, Angstrom, flux and error, and the scale of its flux."""

    time: NDArray[np.float64]
    wavelength: NDArray[np.float64]
    flux: NDArray[np.float64]
    error: NDArray[np.float64]
    scale: float


@dataclass(frozen=True)
class Problem:
    """A padded batch: squared scaled distances (B, n, n), y and noise variance (B, n), mask (B, n)."""

    dt2: Tensor
    dl2: Tensor
    y: Tensor
    noise: Tensor
    mask: Tensor

    def take(self, rows: Tensor) -> Problem:
        """Some of its objects."""
        return Problem(self.dt2[rows], self.dl2[rows], self.y[rows], self.noise[rows], self.mask[rows])

    def to(self, dtype: torch.dtype) -> Problem:
        """The same numbers in another precision."""
        dt2, dl2, y, noise = (x.to(dtype) for x in (self.dt2, self.dl2, self.y, self.noise))
        return Problem(dt2, dl2, y, noise, self.mask)


def pad(batch: list[Trimmed], wavelength_scale: float) -> tuple[Tensor, Tensor, Problem]:
    """Times and wavelengths (B, n), float64, and the problem; padding is an observation of nothing, of noise 1."""
    n = max(len(o.time) for o in batch)
    t, lam, y = (torch.zeros(len(batch), n, dtype=torch.float64) for _ in range(3))
    noise, mask = torch.ones(len(batch), n, dtype=torch.float64), torch.zeros(len(batch), n, dtype=torch.bool)
    for i, o in enumerate(batch):
        k = len(o.time)
        t[i, :k], lam[i, :k] = torch.from_numpy(o.time), torch.from_numpy(o.wavelength)
        y[i, :k] = torch.from_numpy(o.flux / o.scale)
        noise[i, :k] = torch.from_numpy(np.maximum((o.error / o.scale) ** 2, NOISE_FLOOR))
        mask[i, :k] = True
    dt2 = 3 * (t[:, :, None] - t[:, None]).square()
    dl2 = 3 * ((lam[:, :, None] - lam[:, None]) / wavelength_scale).square()
    # Padded points are infinitely far from all others: their covariance is 0.
    return t, lam, Problem(dt2, dl2.masked_fill_(~(mask[:, :, None] & mask[:, None]), 1e8), y, noise, mask)


def _factor(p: Tensor, q: Problem) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Negative log likelihood (B,) (inf where the factor fails), Cholesky factor, C^-1 y, dt^2/l^2 and exp(-r)."""
    dt2 = q.dt2 * (-p[:, 1]).exp()[:, None, None]
    r = (dt2 + q.dl2).sqrt_()
    decay = (-r).exp_()
    cov = r.add_(1).mul_(decay).mul_(p[:, 0].exp()[:, None, None])
    cov.diagonal(dim1=-2, dim2=-1).add_(q.noise)
    factor, failed = torch.linalg.cholesky_ex(cov)
    alpha = torch.cholesky_solve(q.y[..., None], factor)[..., 0]
    logdet = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    value = 0.5 * (q.y * alpha).sum(-1) + logdet + 0.5 * math.log(2 * math.pi) * q.mask.sum(-1)
    return torch.where((failed == 0) & value.isfinite(), value, torch.inf), factor, alpha, dt2, decay


def objective(p: Tensor, q: Problem, metric: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Negative log marginal likelihood (B,), its gradient (B, 2) by (ln A, ln l^2), and the Fisher matrix (B, 2, 2).

    With C = K + N: d/d ln A is tr(W K)/2 and d/d ln l^2 is tr(W D)/2, where W = C^-1 - alpha alpha^T and
    D = dK/d ln l^2 = A exp(-r) (3 dt^2 / l^2) / 2; K itself is not needed, as C^-1 K = 1 - C^-1 N.
    Without `metric` the Fisher matrix is zero.
    """
    value, factor, alpha, dt2, decay = _factor(p, q)
    ok = value.isfinite()
    factor[~ok] = torch.eye(factor.shape[-1], dtype=factor.dtype)
    inverse = torch.cholesky_inverse(factor)
    slope = dt2.mul_(decay).mul_(0.5 * p[:, 0].exp()[:, None, None])
    share = 1 - inverse.diagonal(dim1=-2, dim2=-1) * q.noise
    first = share.sum(-1) - (alpha * (q.y - q.noise * alpha)).sum(-1)
    second = (inverse * slope).sum((-1, -2)) - (alpha * (slope @ alpha[..., None])[..., 0]).sum(-1)
    gradient = 0.5 * torch.stack([first, second], -1)
    gradient[~ok] = 0
    fisher = torch.zeros(*p.shape, 2, dtype=p.dtype)
    if metric:
        product = inverse @ slope
        weighted = inverse * q.noise[:, None]  # C^-1 N
        fisher[:, 0, 0] = (q.mask.shape[1] - 2 * weighted.diagonal(dim1=-2, dim2=-1).sum(-1)) + (
            weighted * weighted.mT
        ).sum((-1, -2))
        cross = product.diagonal(dim1=-2, dim2=-1).sum(-1) - (weighted * product.mT).sum((-1, -2))
        fisher[:, 0, 1] = fisher[:, 1, 0] = cross
        fisher[:, 1, 1] = (product * product.mT).sum((-1, -2))
    return value, gradient, 0.5 * fisher


def optimise(problem: Problem) -> Tensor:
    """The best (ln A, ln l^2) (B, 2), float64: grid and descent in float32, last steps and failures in float64."""
    fast = problem.to(torch.float32)
    p, value = _best_start(fast)
    p, rough = _descend(p, fast, 1e-3, stall=0.01)
    p, value = _descend(p.double(), problem, 1e-6)
    failed = ~(rough.isfinite() & value.isfinite())
    if bool(failed.any()):
        rest = problem.take(failed)
        p[failed] = _descend(_best_start(rest)[0], rest, 1e-6)[0]
    return p


def _best_start(q: Problem) -> tuple[Tensor, Tensor]:
    """The likeliest of nine starting points (B, 2) and its value (B,)."""
    points = [START, *((math.log(a), 2 * math.log(length)) for length in LENGTHS for a in AMPLITUDES)]
    starts = torch.tensor(points, dtype=q.y.dtype)
    values = torch.stack([_factor(start.expand(len(q.y), 2), q)[0] for start in starts])
    value, which = values.min(0)
    return starts[which], value


def _descend(p: Tensor, q: Problem, tolerance: float, most: int = 40, stall: float = 1e-4) -> tuple[Tensor, Tensor]:
    """BFGS within the bounds from p (B, 2), the Fisher matrix as first metric; converged objects leave the batch."""
    low, high, eye = (torch.tensor(x, dtype=p.dtype) for x in (LOW, HIGH, ((1.0, 0.0), (0.0, 1.0))))
    value, g, fisher = objective(p, q, metric=True)
    h = torch.linalg.inv(fisher + (1e-3 + 1e-4 * fisher.diagonal(dim1=-2, dim2=-1).sum(-1))[:, None, None] * eye)
    final, best, rows = p.clone(), value.clone(), torch.arange(len(p))
    shrink = torch.ones(len(p), dtype=p.dtype)
    for _ in range(most):
        step = _direction(p, g, h, low, high)
        going = (-(step * g).sum(-1) > 2 * tolerance) & (shrink > stall) & value.isfinite()
        final[rows], best[rows] = p, value
        if not bool(going.any()):
            break
        if not bool(going.all()):
            p, value, g, h, shrink, step, rows = (x[going] for x in (p, value, g, h, shrink, step, rows))
            q = q.take(going)
        new = torch.clamp(p + shrink[:, None] * step.clamp(-2, 2), low, high)
        new_value, new_g, _ = objective(new, q)
        moved, turned = new - p, new_g - g
        ok = new_value <= value + 1e-4 * (moved * g).sum(-1).clamp_max(0)
        bend = (moved * turned).sum(-1)
        rho = 1 / bend.clamp_min(1e-12)
        side = eye - rho[:, None, None] * moved[:, :, None] * turned[:, None]
        updated = side @ h @ side.mT + rho[:, None, None] * moved[:, :, None] * moved[:, None]
        good = (ok & (bend > 1e-9)).view(-1, 1, 1)
        h = torch.where(good, updated, h)
        p, g = (torch.where(ok[:, None], x, y) for x, y in ((new, p), (new_g, g)))
        value, shrink = torch.where(ok, new_value, value), torch.where(ok, 1.0, shrink * 0.3)
    else:
        final[rows], best[rows] = p, value
    return final, best


def _direction(p: Tensor, g: Tensor, h: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """-h g, and where a bound holds one parameter, Newton's step of the other alone."""
    held = ((p <= low) & (g > 0)) | ((p >= high) & (g < 0))
    alone = h.diagonal(dim1=-2, dim2=-1) - h[:, 0, 1, None].square() / h.diagonal(dim1=-2, dim2=-1).flip(-1)
    free = -(h @ g[..., None])[..., 0]
    return torch.where(held.any(-1, keepdim=True), -alone * g, free).masked_fill(held, 0)


def predict(
    p: Tensor, q: Problem, where: tuple[Tensor, Tensor], times: Tensor, wavelengths: Tensor, wavelength_scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and std (B, steps, bands) of the scaled process and the negative log likelihood (B,).

    Args:
        p: (B, 2) ln A and ln l^2.
        q: the observations.
        where: their times in days and wavelengths in Angstrom, (B, n) each.
        times: (B, steps) days.
        wavelengths: (bands,) Angstrom.
        wavelength_scale: Angstrom.
    """
    value, factor, alpha, _, _ = _factor(p, q)
    t, lam = where
    apart = 3 * (times[:, :, None] - t[:, None]).square() * (-p[:, 1]).exp()[:, None, None]
    colour = 3 * ((wavelengths[:, None] - lam[:, None]) / wavelength_scale).square()
    r = (apart[:, :, None] + colour[:, None]).sqrt_().flatten(1, 2)  # (B, steps * bands, n)
    cross = (-r).exp_().mul_(r.add_(1)).mul_((p[:, 0].exp()[:, None] * q.mask)[:, None])
    mean = (cross @ alpha[..., None])[..., 0]
    solved = torch.linalg.solve_triangular(factor, cross.mT, upper=False)
    std = (p[:, 0].exp()[:, None] - solved.square().sum(1)).clamp_min(0).sqrt()
    shape = (len(p), times.shape[1], len(wavelengths))
    return mean.view(shape), std.view(shape), value
