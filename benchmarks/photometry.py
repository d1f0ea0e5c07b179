"""Light curves on one CPU thread: Gaussian processes beside scikit-learn (and george, where installed), reading, t2.

    python benchmarks/photometry.py --data FOLDER [--rounds 3] [--only gp reading network alerts]

FOLDER holds plasticc_real_*_lightcurves.csv, objects of PLAsTiCC itself, which gp needs. What is printed: medians of
CPU seconds of the process, contenders taking turns, and ratios within one run. Each fits amplitude and time scale and
evaluates mean and std on 100 points x 6 bands. The log likelihood of every object is first compared with
scikit-learn's after several restarts; no speed is printed where seqsci is more than 0.1 nat worse.

To add a section: a function of (data, rounds) that prints, in SECTIONS. Those with a network stand in
classification.py.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import torch
from classification import alerts_section, network_section
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from seqsci.domains import photometry
from seqsci.domains.photometry import gp, gp_process


def read(folder: Path) -> photometry.LightCurves:
    """The real objects in FOLDER."""
    files = sorted(folder.glob("plasticc_real_*_lightcurves.csv"))
    if not files:
        raise SystemExit(f"{folder}: no plasticc_real_*_lightcurves.csv in it")
    return photometry.read(files)


def sklearn_fit(o: gp_process.Trimmed, restarts: int) -> tuple[float, np.ndarray, np.ndarray]:
    """Log likelihood (of the fluxes), mean and std of one object; wavelengths scaled so that theirs is fixed at 1.

    As scikit-learn multiplies the distance of both axes by one scale each, the kernel is Matern([l, 1 fixed]);
    an anisotropic scale cannot be fixed in part, so that its bounds are shut around 1.
    """
    x = np.stack([o.time, o.wavelength / 6000], 1)
    bounds = [(1.0, 1000.0), (1 - 1e-9, 1 + 1e-9)]
    kernel = ConstantKernel(0.25, (0.25 * np.exp(-10), 0.25 * np.exp(10))) * Matern([20.0, 1.0], bounds, nu=1.5)
    noise = np.maximum((o.error / o.scale) ** 2, gp_process.NOISE_FLOOR)
    model = GaussianProcessRegressor(kernel, alpha=noise, n_restarts_optimizer=restarts, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, o.flux / o.scale)
    grid = np.linspace(0, o.time[-1], 100)
    lam = np.array(list(gp.WAVELENGTHS["lsst"].values())) / 6000
    where = np.stack([np.repeat(grid, 6), np.tile(lam, 100)], 1)
    mean, std = model.predict(where, return_std=True)
    value = model.log_marginal_likelihood_value_ - len(o.time) * np.log(o.scale)
    return float(value), mean * o.scale, std * o.scale


def george_fit(o: gp_process.Trimmed) -> None:
    """astronet's recipe with george."""
    import george
    from scipy.optimize import minimize

    kernel = 0.25 * george.kernels.Matern32Kernel([400.0, 6000.0**2], ndim=2)
    kernel.freeze_parameter("k2:metric:log_M_1_1")
    model = george.GP(kernel)
    y = o.flux / o.scale
    model.compute(np.stack([o.time, o.wavelength], 1), o.error / o.scale)

    def value(p: np.ndarray) -> float:
        model.set_parameter_vector(p)
        return float(model.nll(p, y))

    bounds = list(zip(gp_process.LOW, gp_process.HIGH, strict=True))
    found = minimize(value, model.get_parameter_vector(), jac=lambda p: model.grad_nll(p, y), bounds=bounds, tol=1e-6)
    model.set_parameter_vector(found.x)
    grid, lam = np.linspace(0, o.time[-1], 100), np.array(list(gp.WAVELENGTHS["lsst"].values()))
    model.predict(y, np.stack([np.repeat(grid, 6), np.tile(lam, 100)], 1), return_var=True)


def gp_section(data: Path, rounds: int) -> None:
    """Objects per CPU second and likelihoods."""
    curves = read(data)
    objects, _ = gp.trim(curves, gp.GPSettings(), gp.WAVELENGTHS["lsst"])
    sizes = [len(o.time) for o in objects]
    print(f"gp: {len(objects)} real objects, {min(sizes)} to {max(sizes)} observations, median {np.median(sizes):.0f}")
    ours = gp.fit_grid(curves)
    best = np.array([sklearn_fit(o, 5)[0] for o in objects])
    worse = best - ours.log_likelihood
    print(f"  nats below scikit-learn with 5 restarts: largest {worse.max():.2g}; {(worse < -0.1).sum()} above by >0.1")
    if worse.max() > 0.1:
        for i in np.flatnonzero(worse > 0.1):
            print(f"  object {ours.object_ids[i]}: {worse[i]:.3f} nats worse")
        raise SystemExit("the likelihoods disagree: no speeds")
    contenders: dict[str, Callable[[], object]] = {
        "seqsci": lambda: gp.fit_grid(curves),
        "scikit-learn": lambda: [sklearn_fit(o, 0) for o in objects],
    }
    if importlib.util.find_spec("george"):
        contenders["george"] = lambda: [george_fit(o) for o in objects]
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            start = time.process_time()
            run()
            seconds[name].append(time.process_time() - start)
    middle = {name: statistics.median(s) for name, s in seconds.items()}
    print(f"  {'contender':14}{'objects / CPU s':>16}{'seqsci is faster by':>21}")
    for name, s in middle.items():
        ratio = f"{s / middle['seqsci']:.2f}" if name != "seqsci" else ""
        print(f"  {name:14}{len(objects) / s:16.1f}{ratio:>21}", flush=True)


def reading_section(data: Path, rounds: int) -> None:
    """Peak memory and time of streaming CSV files of growing length into light curves."""
    print("streamed reading: generated CSV, 130 rows an object, 500 objects a batch, a process of its own each")
    print(f"  {'rows':>12}{'file MB':>10}{'peak MB':>10}{'CPU s':>8}{'objects / CPU s':>18}")
    with tempfile.TemporaryDirectory() as folder:
        for rows in (2_600_000, 20_800_000):
            path = Path(folder) / f"{rows}.csv"
            generate(path, rows // ROWS)
            command = [sys.executable, __file__, "--data", str(path), "--stream"]
            objects, peak, seconds = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            size = path.stat().st_size / 1e6
            assert int(objects) == rows // ROWS
            speed = int(objects) / float(seconds)
            print(f"  {rows:12,d}{size:10.0f}{float(peak):10.0f}{float(seconds):8.1f}{speed:18.0f}", flush=True)
            path.unlink()


def generate(path: Path, objects: int) -> None:
    """A long table of noise in PLAsTiCC's columns, ten thousand objects at a time."""
    draw = np.random.default_rng(0)
    with path.open("wb") as file:
        for first in range(0, objects, 10_000):
            count = min(10_000, objects - first)
            size = count * ROWS
            frame = pl.DataFrame(
                {
                    "object_id": np.repeat(np.arange(first, first + count), ROWS),
                    "mjd": np.sort(draw.uniform(59580, 60675, (count, ROWS)), 1).ravel().round(4),
                    "passband": draw.integers(0, 6, size),
                    "flux": draw.normal(0, 30, size).round(6),
                    "flux_err": draw.lognormal(2, 0.4, size).round(6),
                    "detected": draw.integers(0, 2, size),
                }
            )
            frame.write_csv(file, include_header=first == 0)


def stream(path: Path) -> None:
    """Read one file and print its number of objects, the peak MB and the CPU seconds."""
    start = time.process_time()
    objects = sum(len(curves.objects) for curves in photometry.batches(path, 500))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(objects, peak, time.process_time() - start)


ROWS = 130
SECTIONS: dict[str, Callable[[Path, int], None]] = {
    "gp": gp_section,
    "reading": reading_section,
    "network": network_section,
    "alerts": alerts_section,
}


def main() -> None:
    """Print the sections."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=list(SECTIONS), default=list(SECTIONS))
    parser.add_argument("--stream", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.stream:
        stream(given.data)
        return
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, 1 thread")
    for name in given.only:
        SECTIONS[name](given.data, given.rounds)


if __name__ == "__main__":
    main()
