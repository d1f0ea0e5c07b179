"""The report of a classification: rebuilt from a run folder alone, whatever it holds."""

import html
import re

import numpy as np
import polars as pl
import pytest

from seqsci import recipe as recipes
from seqsci.errors import SeqsciError
from seqsci.metrics import bootstrap, bootstrap_difference, flat_log_loss, reliability, scores
from seqsci.report import build_report
from seqsci.runs import Run

PICTURES = (
    "scores",
    "confusion",
    "class_losses",
    "ranking",
    "reliability",
    "early",
    "early_classes",
    "mistakes",
    "right",
    "learning",
)
SHA = "0123456789abcdef" * 4
DAYS = [1, 4, 16]
NAMES = {"90": "SN Ia", "42": "SN II", "88": "AGN", "6": "microlensing"}
RIVALS = {"prior": 0.0, "boosting": 3.0}


def make_run(folder, *, names=NAMES, rivals=RIVALS, source="direct", open_set=True, absent=(), days=DAYS, epochs=3):
    """A complete run folder as training leaves it, of made-up numbers; `absent`: classes without test objects."""
    rng = np.random.default_rng(0)
    recipe = recipes.build(
        {
            "task": "classify",
            "data": {"name": "made-up", "input": source, "steps": 12},
            "model": {"name": "t2", "embedding": "time"},
            "evaluate": {"baselines": list(rivals), "days": days},
        }
    )
    run = Run.create(folder, recipe, "made-up")
    classes = tuple(names)
    truth = np.sort(np.tile([c for c, label in enumerate(classes) if label not in absent], 12))
    p = {name: _probabilities(rng, truth, len(classes), skill) for name, skill in {"t2": 1.5, **rivals}.items()}
    _write_tables(run, rng, p["t2"], truth, classes, source)
    run.write_json("metrics.json", _metrics(names, rivals, p, truth, open_set, days))
    for epoch in range(1, epochs + 1):
        run.log({"epoch": epoch, "train_loss": 2 / epoch, "val_loss": 1.5 / epoch})
    return run


def _probabilities(rng, truth, classes, skill):
    z = skill * np.eye(classes)[truth] + (skill > 0) * rng.normal(size=(len(truth), classes))
    return np.exp(z) / np.exp(z).sum(1, keepdims=True)


def _write_tables(run, rng, p, truth, classes, source):
    ids = [f"{i:04d}" for i in range(len(truth))]
    label = [classes[c] for c in truth]
    best = [classes[c] for c in p.argmax(1)]
    known = {"object_id": ids, "label": label, "predicted": best}
    table = pl.DataFrame({**known, "novelty": 1 - p.max(1), **{f"p_{name}": p[:, c] for c, name in enumerate(classes)}})
    table.write_parquet(run.folder / "predictions.parquet")
    drawn = pl.DataFrame({**known, "probability": p.max(1), "right": p.argmax(1) == truth})
    few = pl.concat([drawn.filter(pl.col("right") == right).head(2) for right in (True, False)])
    few.write_parquet(run.folder / "drawn.parquet")
    rows = [(i, float(day), band) for i in few["object_id"] for day in range(-40, 100, 20) for band in "gr"]
    curves = pl.DataFrame(rows, schema=["object_id", "days", "band"], orient="row").with_columns(
        flux=pl.Series(rng.normal(20, 9, len(rows))), flux_error=pl.lit(2.0), detected=pl.col("days") >= 0
    )
    # Far from every detection: neither seen by a model nor drawn.
    far = curves.group_by("object_id").first().with_columns(days=pl.lit(-900.0), detected=pl.lit(False))
    pl.concat([curves, far.select(curves.columns)]).write_parquet(run.folder / "curves.parquet")
    states = curves.select("object_id", "days", activation=pl.col("flux") / 1000 - 0.01, truth=pl.lit(0.01))
    host = few.select("object_id", days=pl.lit(None, pl.Float64), activation=pl.lit(0.25), truth=pl.lit(0.0))
    pl.concat([states, host]).write_parquet(run.folder / "states.parquet")
    if source == "gp":
        grid = curves.select("object_id", "days", "band", mean=pl.col("flux"), std=pl.lit(1.0))
        grid.write_parquet(run.folder / "grid.parquet")


def _metrics(names, rivals, p, truth, open_set, days):
    classes = tuple(names)
    table = reliability(p["t2"], truth)

    def gap(name):
        difference = flat_log_loss(p["t2"], truth) - flat_log_loss(p[name], truth)
        interval = bootstrap_difference(p["t2"], p[name], truth, resamples=50, seed=0)
        return {"difference": difference, "difference_interval": list(interval)}

    def seen():
        by_class = {c: [0.2 if (truth == i).any() else None] * len(days) for i, c in enumerate(classes)}
        return {"flat_log_loss": [1.25] * len(days), "accuracy": [0.375] * len(days), "by_class": by_class}

    novel = {name: {"auroc": 0.654, "interval": [0.601, 0.703]} for name in ("t2", *rivals) if name != "prior"}
    return {
        "seqsci": "0.1.0",
        "task": "classify",
        "model": "t2",
        "data": {
            "name": "made-up",
            "sha256": SHA,
            "simulated": True,
            "classes": list(classes),
            "bands": ["g", "r"],
            "units": {"zeropoint": 31.4, "mw_corrected": False, "difference": None},
            "counts": {
                "objects in": 1234,
                "rows in": 98765,
                "rows: no flux": 65,
                "objects out": 1200,
                "rows out": 98700,
                "objects: not taken": 34,
            },
            "notes": ["3 rows stood twice & were joined"],
        },
        "objects": {"train": 1000, "val": 152, "test": len(truth)},
        "classes": {
            c: {"name": name, "train": 251, "val": 37, "test": int((truth == i).sum())}
            for i, (c, name) in enumerate(names.items())
        },
        "val": {"flat_log_loss": 0.8765, "best_epoch": 2, "best_loss": 0.9},
        "temperature": 1.2345,
        "test": {
            **scores(p["t2"], truth, classes),
            "interval": list(bootstrap(p["t2"], truth, flat_log_loss, resamples=50, seed=0)),
            "reliability": {key: getattr(table, key).tolist() for key in ("confidence", "accuracy", "count")},
        },
        "baselines": {
            name: {
                **scores(p[name], truth, classes),
                **gap(name),
                "val": {"flat_log_loss": 0.7531, "difference": 0.25, "difference_interval": [0.2, 0.3]},
                "facts": {"rounds": 66, "rate": 0.0625} if name == "boosting" else {},
            }
            for name in rivals
        },
        "early": {"days": days, "by_method": {name: seen() for name in novel} if days else {}},
        "open_set": {"objects": 321, "by_method": novel} if open_set else None,
        "cost": {"fit_cpu_s": 91.77, "precision": "fp32", "parameters": 132805},
        "machine": {"python": "3.12.0", "torch": "2.9.0", "processor": "x86_64"},
    }


def rows(page):
    """The cells of every row of every table."""
    found = re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    texts = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in found]
    return [[html.unescape(" ".join(cell.split())) for cell in row] for row in texts]


@pytest.fixture(scope="module")
def usual(tmp_path_factory, check_report):
    run = make_run(tmp_path_factory.mktemp("usual"))
    return run, run.read_json("metrics.json"), check_report(run, PICTURES)


def test_the_page_says_what_was_done_with_what(usual):
    run, _, page = usual
    plain = " ".join(html.unescape(page).split())
    assert "<h1>t2 on made-up (simulated data)</h1>" in page
    assert "4 classes of light curves of simulated data" in plain
    assert SHA in page and "nJy, zero point 31.4" in plain
    assert "not corrected for the dust of the Milky Way; whether differences to a template is not said" in plain
    assert "trained on 1,000 objects, and everything was chosen on 152 others; the test split, 48 objects" in plain
    assert "temperature 1.2345" in plain and "the best epoch was 2" in plain
    assert "tells 321 objects of classes that no training object has from the 48" in plain
    assert "stood twice &amp; were joined" in page
    assert (run.folder / "recipe.yaml").read_text() in html.unescape(page)
    assert "torch 2.9.0" in page and "91.77" in page and "rounds 66, rate 0.06250" in page


def test_every_verdict_stands_beside_that_of_validation(usual):
    _, _, page = usual
    found = [html.unescape(item) for item in re.findall(r"<li>(t2 is .*?)</li>", page)]
    assert [text.split(" by ")[0] for text in found] == ["t2 is better than prior", "t2 is worse than boosting"]
    assert all(text.endswith("; on validation worse by 0.25 [0.20, 0.30]") for text in found)


def test_the_tables_hold_every_score(usual):
    _, metrics, page = usual
    table = {row[0]: row[1:] for row in rows(page) if row}
    methods = [metrics["test"], *metrics["baselines"].values()]
    for title, name in {
        "flat log loss (lower is better)": "flat_log_loss",
        "weighted log loss (lower is better)": "weighted_log_loss",
        "accuracy (higher is better)": "accuracy",
        "recall, macro (higher is better)": "macro_recall",
        "precision, macro (higher is better)": "macro_precision",
        "ROC-AUC, micro (higher is better)": "roc_auc_micro",
        "ROC-AUC, macro (higher is better)": "roc_auc_macro",
        "average precision, micro (higher is better)": "pr_auc_micro",
        "average precision, macro (higher is better)": "pr_auc_macro",
        "calibration error (ECE) (lower is better)": "ece",
    }.items():
        assert table[title] == [f"{result[name]:.4f}" for result in methods]
    assert table["on validation: flat log loss"] == ["0.8765", "0.7531", "0.7531"]
    assert table["on validation: t2 less this [95 %]"] == ["", *["+0.2500 [+0.2000, +0.3000]"] * 2]
    for label, name in NAMES.items():
        own = metrics["test"]["by_class"][label]
        numbers = [f"{own[key]:.3f}" for key in ("recall", "precision", "roc_auc", "ap", "log_loss")]
        assert table[name] == [label, "251", "37", "12", *numbers]
    assert table["4"] == ["1.2500", "0.375"] * 2
    whole = [f"{result[key]:.{n}f}" for result in (methods[0], methods[2]) for key, n in (("flat_log_loss", 4), ("accuracy", 3))]  # fmt: skip
    assert table["whole curve"] == whole
    assert ["boosting", "0.654 [0.601, 0.703]"] in rows(page)


def test_counts_go_from_what_came_in_to_what_is_left(usual):
    _, _, page = usual
    table = [row for row in rows(page) if row and row[0].startswith(("objects", "rows"))]
    assert table == [
        ["objects in", "1,234"],
        ["objects: not taken", "34"],
        ["objects out", "1,200"],
        ["rows in", "98,765"],
        ["rows: no flux", "65"],
        ["rows out", "98,700"],
    ]


def test_an_unusual_run_and_the_same_page_twice(tmp_path, check_report):
    """A Gaussian process, no open set, one baseline, a class without test objects, names of every kind, no log."""
    names = {"<b>": "<b>", "_x": "_x costs $ and $", "超": "超新星, a name far beyond the room that it has", "d": "d"}
    run = make_run(
        tmp_path, names=names, rivals={"prior": 0.0}, source="gp", open_set=False, absent=("d",), days=[2.5], epochs=0
    )
    page = check_report(run, PICTURES[:-1])
    assert "<b>" not in page and "超新星" in page
    assert "There was no open set" in page and "a Gaussian process on 12 points" in page
    row = next(row for row in rows(page) if row and row[0] == "d")
    assert row[:6] == ["d", "d", "251", "37", "0", "–"] and row[7:] == ["–"] * 3
    assert check_report(run, PICTURES[:-1]) == page


def test_nothing_to_compare_and_nothing_early_or_wrong(tmp_path, check_report):
    run = make_run(tmp_path, rivals={}, days=[])
    path = run.folder / "drawn.parquet"
    pl.read_parquet(path).filter(pl.col("right")).write_parquet(path)
    states = run.folder / "states.parquet"
    pl.read_parquet(states).clear().write_parquet(states)
    page = check_report(run, tuple(name for name in PICTURES if name not in ("early", "early_classes", "mistakes")))
    assert "days seen" not in page


@pytest.mark.parametrize("name", ["predictions", "drawn", "curves", "states", "grid"])
def test_an_absent_file_is_named_before_anything_is_drawn(tmp_path, name):
    run = make_run(tmp_path, source="gp")
    (run.folder / f"{name}.parquet").unlink()
    with pytest.raises(SeqsciError, match=rf"{name}\.parquet: absent; .*seqsci run"):
        build_report(run)
    assert not list(run.folder.glob("*.png"))


def test_a_damaged_file_is_named(tmp_path):
    run = make_run(tmp_path)
    (run.folder / "predictions.parquet").write_bytes(b"nothing")
    with pytest.raises(SeqsciError, match=r"predictions\.parquet: damaged"):
        build_report(run)
    pl.DataFrame({"label": ["90"]}).write_parquet(run.folder / "predictions.parquet")
    with pytest.raises(SeqsciError, match="without a column"):
        build_report(run)


def test_a_sight_keeps_what_is_near_the_detections_and_one_axis_of_time(tmp_path):
    from seqsci.report.classify.material import Material

    run = make_run(tmp_path, source="gp")
    sight = Material(run, run.read_json("metrics.json")).sights(right=True)[0]
    assert sight.curve["days"].min() == -40 and sight.host == 0.25
    assert sight.grid["days"].to_list() == sight.curve.sort("days", maintain_order=True)["days"].to_list()
