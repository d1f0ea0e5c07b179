"""Pictures of the language verbs: bins, ticks and what a picture says of itself."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from seqsci.report.drawing import new_figure, save, whole_ticks
from seqsci.report.language.material import edges
from seqsci.report.language.score import PICTURES


def test_no_bin_holds_both_signs():
    values = np.random.default_rng(0).normal(0.3, 1, 500)
    borders = edges([values], at_zero=True)
    assert 0.0 in borders and borders[0] <= np.quantile(values, 0.001) and borders[-1] >= np.quantile(values, 0.999)
    assert 0.0 not in edges([values])


def test_counts_have_whole_ticks():
    _, (axes,) = new_figure(5, 3)
    axes.plot([0, 1], [0, 2])
    assert any(tick != round(tick) for tick in axes.get_yticks())
    whole_ticks(axes.yaxis)
    assert all(tick == round(tick) for tick in axes.get_yticks())


@pytest.mark.parametrize(("least", "most"), [(211_700, 287_900), (0.00121, 0.001251), (999.9962, 1000.0028), (-2, 2)])
def test_numbers_on_an_axis_do_not_run_into_each_other(tmp_path: Path, least: float, most: float):
    from itertools import pairwise

    from seqsci.report.drawing import new_figure, save
    from seqsci.report.finetune.pictures import PICTURES as FINETUNE

    truth = np.linspace(least, most, 80)
    said = truth.mean() + 0.5 * (truth - truth.mean())
    figure = FINETUNE["scatter"](SimpleNamespace(metrics={"kind": "number"}, numbers=(said, truth), quantity="y"))
    # Whole numbers, of which an axis keeps two at least, end the search as well.
    narrow, (axes,) = new_figure(1.2, 1.2)
    axes.plot([1_000_000_000, 1_000_000_001], [0, 1])
    axes.ticklabel_format(useOffset=False, style="plain")
    whole_ticks(axes.xaxis)
    for number, drawn in enumerate((figure, narrow)):
        save(drawn, tmp_path / f"{number}.png")
    for axes in figure.axes:
        low, high = axes.get_xlim()
        boxes = [
            tick.label1.get_window_extent() for tick in axes.xaxis.get_major_ticks() if low <= tick.get_loc() <= high
        ]
        assert len(boxes) >= 2 and all(right.x0 - left.x1 >= 6 for left, right in pairwise(boxes))


def test_a_picture_of_simulated_data_says_so(tmp_path: Path):
    figure, _ = new_figure(5, 3)
    save(figure, tmp_path / "a.png")
    assert figure.get_suptitle() == ""
    save(figure, tmp_path / "a.png", simulated=True)
    assert figure.get_suptitle() == "simulated data"


def material(table: pl.DataFrame, **summary: object) -> SimpleNamespace:
    return SimpleNamespace(table=table, summary={"scored": "log_likelihood", **summary}, unit="base")


def test_a_legend_names_the_column():
    table = pl.DataFrame({"label": ["0", "0", "1"], "nats_per_token": [1.0, 2.0, 3.0]})
    (axes,) = PICTURES["scores"](material(table, kind="records")).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["label 0: 2", "label 1: 1"]


def test_the_labels_of_a_narrow_map_are_not_cut_off():
    table = pl.DataFrame(
        {"record": ["r"] * 4, "positions": [[1], [2], [3], [4]], "reference": [["A"]] * 4, "alternative": [["C"]] * 4,
         "log_ratio": [0.1, -0.2, 0.3, -0.4]}
    )  # fmt: skip
    figure = PICTURES["effects"](material(table, kind="variants"))
    figure.draw_without_rendering()
    box = figure.axes[0].xaxis.label.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width


def test_what_a_model_that_knows_nothing_would_reach_is_told():
    from seqsci.report.pretrain import remarks

    metrics = {"baselines": {}, "data": {"domain": "genomics"}, "objective": "causal", "unit": "base"}
    metrics |= {"model": "t2", "test": {"nats": 1.38}}
    assert remarks(metrics) == ["even: ln 4 = 1.3863, all 4 bases equally likely"]
    assert remarks({**metrics, "data": {"domain": "molecules"}}) == []
    assert "t2 is worse than that" in remarks({**metrics, "test": {"nats": 1.39}})[0]


def test_a_number_and_its_share_have_two_names():
    from seqsci.training.language.beside import _counted

    rows = _counted({"counts": {"generated": 9, "novel_scaffolds": 3}, "novel_scaffolds": {"value": 0.5}})
    assert [row[0] for row in rows] == ["generated", "number of novel scaffolds"]


def test_too_few_cases_have_a_dash_for_an_interval():
    from seqsci.report.words import ends_text, interval_text
    from seqsci.training.language.beside import _measured
    from seqsci.training.language.score import _mean, agreement, measurement

    assert ends_text((0.12345, 1234.5)) == "[0.1235, 1,234.5000]" and ends_text((0.1, 0.2), 3) == "[0.100, 0.200]"
    assert ends_text((None, None)) == ends_text((float("nan"), float("nan"))) == "[–]"
    assert interval_text({"difference": 0.5, "low": None, "high": None}) == "+0.5000 [–]"
    for cases, dash in ((9, True), (10, False)):
        nats = pl.Series([-1.0 - (n % 4) for n in range(cases)])
        table = pl.DataFrame({"nats": nats, "tokens": [1] * cases, "stability": range(cases)})
        told = [_mean(table, "nats", "base", 0), *agreement(measurement(table, "stability", "nats", 0))]
        assert ["[–]" in text for text in told] == [dash, dash]
        assert ("too few for an interval" in told[1]) == dash
    assert _measured({"unique": {"value": 0.5, "low": None, "high": None}}) == [["unique", "0.500", "–", ""]]
