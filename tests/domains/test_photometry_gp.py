"""The batched Gaussian process: scikit-learn as the oracle, invariances, and curves that would break it."""

import os
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from seqsci.domains.photometry import gp, gp_cache, gp_process
from seqsci.domains.photometry.table import BANDS, OBJECTS, LightCurves, Units
from seqsci.errors import SeqsciError


def curves(parts: list[dict[str, object]]) -> LightCurves:
    """Light curves of dictionaries time, band, flux, flux_error and, where known, detected."""
    frames = []
    for i, part in enumerate(parts):
        frame = pl.DataFrame({"object_id": [str(i)] * len(part["time"]), "detected": None, **part})
        frames.append(frame.with_columns(pl.col("detected").cast(pl.Boolean)))
    order = ["object_id", "time", "band", "flux", "flux_error", "detected"]
    table = pl.concat([f.select(order) for f in frames]).with_columns(
        pl.col("time", "flux", "flux_error").cast(pl.Float64)
    )
    ids = table["object_id"].unique(maintain_order=True)
    rest = {name: pl.Series([None] * len(ids), dtype=kind) for name, kind in OBJECTS.items() if name != "object_id"}
    bands = tuple(b for b in BANDS if b in set(table["band"]))
    return LightCurves(observations=table, objects=pl.DataFrame({"object_id": ids, **rest}), units=Units(), bands=bands)


def simulated(seed: int, n: int) -> dict[str, object]:
    """A simulated bump with noise."""
    rng = np.random.default_rng(seed)
    t = np.sort(rng.uniform(0, 120, n))
    error = rng.lognormal(1, 0.4, n)
    flux = 200 * np.exp(-0.5 * ((t - 50) / 12) ** 2) + rng.normal(0, error)
    return {"time": t, "band": rng.choice(list("griz"), n), "flux": flux, "flux_error": error}


def real(folder: Path, which: int) -> LightCurves:
    """The first real PLAsTiCC objects of the file of five."""
    table = pl.read_csv(folder / "photometry/plasticc/plasticc_real_5_lightcurves.csv")
    parts = []
    for _, rows in list(table.group_by("object_id", maintain_order=True))[:which]:
        rows = rows.sort("mjd_rel", maintain_order=True)
        band = [BANDS[i] for i in rows["passband"]]
        keys = {"time": "mjd_rel", "flux": "flux", "flux_error": "flux_err", "detected": "detected"}
        parts.append({"band": band, **{k: rows[v] for k, v in keys.items()}})
    return curves(parts)


def regressor(o: gp_process.Trimmed, amplitude: float, length: float, restarts: int | None) -> GaussianProcessRegressor:
    """scikit-learn's fit of a scaled object; restarts None: the parameters as given."""
    matern = Matern([length, 1.0], [(1, 1000), (1 - 1e-9, 1 + 1e-9)], nu=1.5)
    kernel = ConstantKernel(amplitude, (0.25 * np.exp(-10), 0.25 * np.exp(10))) * matern
    noise = np.maximum((o.error / o.scale) ** 2, gp_process.NOISE_FLOOR)
    free = {"optimizer": None} if restarts is None else {"n_restarts_optimizer": restarts}
    model = GaussianProcessRegressor(kernel, alpha=noise, random_state=0, **free)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(np.stack([o.time, o.wavelength / 6000], 1), o.flux / o.scale)


def objects(given: LightCurves) -> list[gp_process.Trimmed]:
    return gp.trim(given, gp.GPSettings(), gp.WAVELENGTHS["lsst"])[0]


def test_values_are_those_of_scikit_learn():
    batch = objects(curves([simulated(1, 30), simulated(2, 37)]))
    t, lam, problem = gp_process.pad(batch, 6000)
    p = torch.tensor([[np.log(0.4), 2 * np.log(15.0)], [np.log(1.3), 2 * np.log(33.0)]], dtype=torch.float64)
    times = torch.linspace(0, 110, 9, dtype=torch.float64).expand(2, 9)
    targets = torch.tensor(list(gp.WAVELENGTHS["lsst"].values()), dtype=torch.float64)
    mean, std, value = gp_process.predict(p, problem, (t, lam), times, targets, 6000)
    where = np.stack([np.repeat(times[0].numpy(), 6), np.tile(targets.numpy() / 6000, 9)], 1)
    for i, o in enumerate(batch):
        a, length = float(p[i, 0].exp()), float((p[i, 1] / 2).exp())
        oracle = regressor(o, a, length, None)
        want_mean, want_std = oracle.predict(where, return_std=True)
        assert float(-value[i]) == pytest.approx(oracle.log_marginal_likelihood_value_, abs=1e-6)
        np.testing.assert_allclose(mean[i].flatten(), want_mean, atol=1e-6)
        np.testing.assert_allclose(std[i].flatten(), want_std, atol=1e-6)


def test_gradient_is_that_of_finite_differences():
    _, _, problem = gp_process.pad(objects(curves([simulated(1, 30), simulated(2, 37)])), 6000)
    p = torch.tensor([[-0.9, 5.0], [0.3, 7.0]], dtype=torch.float64)
    _, gradient, fisher = gp_process.objective(p, problem, metric=True)
    for k in range(2):
        step = torch.zeros(2, dtype=torch.float64)
        step[k] = 1e-5
        up, down = (gp_process.objective(p + s * step, problem)[0] for s in (1, -1))
        torch.testing.assert_close(gradient[:, k], (up - down) / 2e-5, rtol=1e-6, atol=1e-6)
    # The Fisher matrix is tr(C^-1 dC C^-1 dC) / 2 written out.
    r = (problem.dt2 * torch.exp(-p[:, 1])[:, None, None] + problem.dl2).sqrt()
    a = p[:, 0].exp()[:, None, None]
    k1 = a * (1 + r) * torch.exp(-r)
    k2 = a * torch.exp(-r) * problem.dt2 * torch.exp(-p[:, 1])[:, None, None] / 2
    inverse = torch.linalg.inv(k1 + torch.diag_embed(problem.noise))
    for i, one in enumerate((k1, k2)):
        for j, two in enumerate((k1, k2)):
            want = 0.5 * (inverse @ one @ inverse @ two).diagonal(dim1=1, dim2=2).sum(1)
            torch.testing.assert_close(fisher[:, i, j], want, rtol=1e-6, atol=1e-6)


def test_alone_and_in_a_batch_agree():
    parts = [simulated(seed, n) for seed, n in enumerate((8, 25, 26, 27, 28, 60))]
    together = gp.fit_grid(curves(parts))
    for i, part in enumerate(parts):
        alone = gp.fit_grid(curves([part]), gp.GPSettings(bands=together.bands))
        assert alone.log_likelihood[0] == pytest.approx(together.log_likelihood[i], abs=1e-4)
        np.testing.assert_allclose(alone.mean[0], together.mean[i], atol=0.3)
    again = gp.fit_grid(curves(parts))
    assert np.array_equal(again.mean, together.mean) and np.array_equal(again.std, together.std)


def test_real_objects_are_as_likely_as_scikit_learn_finds_them(real_data):
    given = real(real_data, 5)
    grid = gp.fit_grid(given)
    for o, found in zip(objects(given), grid.log_likelihood, strict=True):
        if len(o.time) < 200:
            best = regressor(o, 0.25, 20.0, 2).log_marginal_likelihood_value_ - len(o.time) * np.log(o.scale)
            assert found > best - 0.1


@pytest.mark.parametrize(
    "part",
    [
        {"time": [3.0], "band": ["r"], "flux": [5.0], "flux_error": [1.0]},
        {"time": [3.0, 9.0], "band": ["r", "g"], "flux": [5.0, -4.0], "flux_error": [1.0, 1.0]},
        {"time": np.arange(20.0), "band": ["r"] * 20, "flux": np.full(20, 7.0), "flux_error": np.ones(20)},
        {"time": np.arange(20.0), "band": ["i"] * 20, "flux": np.zeros(20), "flux_error": np.zeros(20)},
        {"time": np.zeros(20), "band": ["i"] * 20, "flux": np.arange(20.0), "flux_error": np.zeros(20)},
        {"time": np.arange(40.0), "band": ["z"] * 40, "flux": 10.0 ** np.arange(-20, 20), "flux_error": np.full(40, 1e-9)},
        {"time": np.arange(40.0), "band": ["z"] * 40, "flux": -(10.0 ** np.arange(-20, 20)), "flux_error": np.full(40, 1e6)},
        {"time": np.arange(40.0), "band": ["u"] * 40, "flux": np.full(40, 1e-30), "flux_error": np.full(40, 1.0)},
    ],
    ids=["one", "two", "constant", "zero", "same time", "range", "negative", "faint"],
)  # fmt: skip
def test_nothing_is_ever_nan(part):
    parts = [{**one, "detected": [False] * len(one["time"])} for one in (part, simulated(0, 25))]
    grid = gp.fit_grid(curves(parts))
    for name in ("mean", "std", "times", "log_likelihood", "amplitude", "length_scale"):
        assert np.isfinite(getattr(grid, name)).all(), name
    assert grid.mean.shape == (2, 100, len(grid.bands)) and (grid.std >= 0).all()
    assert "2 objects without a detection" in grid.notes[0]


def test_trim_and_times():
    part = simulated(3, 120)
    time = np.linspace(0, 400, 120)
    detected = (time > 150) & (time < 200)
    grid = gp.fit_grid(curves([{**part, "time": time, "detected": detected}]))
    seen = time[detected]
    kept = time[(time > seen[0] - 50) & (time < seen[-1] + 50)]
    assert grid.notes == ()
    np.testing.assert_allclose(grid.times[0], np.linspace(0, kept[-1] - kept[0], 100), rtol=1e-6)


def test_trim_by_significance_where_the_survey_did_not_say():
    flux = np.where(np.arange(400) == 200, 50.0, 0.0)
    part = {"time": np.arange(400.0), "band": ["r"] * 400, "flux": flux, "flux_error": np.ones(400)}
    (kept,) = objects(curves([part]))
    assert len(kept.time) == 99 and kept.flux[49] == 50
    (kept,) = objects(curves([{**part, "detected": [False] * 400}]))
    assert len(kept.time) == 400


def test_the_cache_is_used_and_told_apart(tmp_path, monkeypatch):
    given = curves([simulated(0, 20), simulated(1, 30)])
    first = gp_cache.cached(given, gp.GPSettings(), tmp_path)
    original, fits = gp.fit_grid, []
    monkeypatch.setattr(gp_cache, "fit_grid", lambda *a, **k: fits.append(1) or original(*a, **k))
    second = gp_cache.cached(given, gp.GPSettings(), tmp_path)
    assert not fits and second.object_ids == first.object_ids and second.notes == first.notes
    for name in ("mean", "std", "times", "log_likelihood", "amplitude", "length_scale"):
        np.testing.assert_array_equal(getattr(second, name), getattr(first, name))
    gp_cache.cached(given, gp.GPSettings(steps=50), tmp_path)
    other = given.observations.with_columns(flux=pl.col("flux") + 1)
    gp_cache.cached(replace(given, observations=other), gp.GPSettings(), tmp_path)
    assert len(fits) == 2 and len(os.listdir(tmp_path)) == 3
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:100])
    gp_cache.cached(given, gp.GPSettings(), tmp_path)
    assert len(fits) == 3


def test_refusals():
    given = curves([simulated(0, 20)])
    with pytest.raises(SeqsciError, match="no wavelength of band 'z' in ztf"):
        gp.fit_grid(given, gp.GPSettings(survey="ztf"))
    with pytest.raises(SeqsciError, match="did you mean 'lsst'"):
        gp.fit_grid(given, gp.GPSettings(survey="lst"))
    with pytest.raises(SeqsciError, match="object 0: time, flux or flux_error is not finite"):
        gp.fit_grid(curves([{**simulated(0, 2), "flux": [1.0, float("nan")]}]))
