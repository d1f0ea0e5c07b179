"""Recipes: precedence, the published settings, and what is refused before data is touched."""

import pytest

from seqsci import catalog, recipe
from seqsci.errors import SeqsciError


@pytest.mark.parametrize("name", catalog.recipes())
def test_every_shipped_recipe_parses_with_each_of_its_horizons(name):
    horizons = recipe.read(name).get("horizons") or {None: {}}
    for horizon in horizons:
        changes = {} if horizon is None else {"data.horizon": horizon}
        found, _ = recipe.resolve("", recipe=name, changes=changes)
        assert name.startswith(found.task)
        assert horizon is None or horizon == found.data.horizon
        assert found.search
        assert recipe.build(recipe.as_tree(found)) == found


def test_the_published_settings_are_chosen_by_data_mode_and_horizon():
    found, note = recipe.resolve("forecast", data="etth1", model="informer", changes={"data.horizon": 168})
    assert (found.data.context, found.model.label_length, found.model.factor) == (168, 168, 5)
    assert "forecast/informer-etth1," in note
    found, _ = recipe.resolve("forecast", data="etth1")
    assert (found.data.context, found.model.label_length, found.data.horizon, found.model.factor) == (
        48,
        48,
        24,
        3,
    )
    found, note = recipe.resolve("forecast", data="etth1", changes={"data.target": "OT"})
    assert (found.data.context, found.data.target) == (720, "OT")
    assert "univariate" in note
    found, note = recipe.resolve("forecast", data="etth1", changes={"data.horizon": 30})
    assert found.data.horizon == 30 and "nearest to 30" in note


def test_flags_are_stronger_than_the_file():
    changes = recipe.parse_changes(["train.lr=1e-3", "model.layers=3", "data.covariates=[a, b]"])
    found, _ = recipe.resolve("forecast", data="my.csv", changes=changes)
    assert (found.train.lr, found.model.layers, found.data.covariates) == (1e-3, 3, ("a", "b"))
    assert found.data.name == "my.csv"


REFUSED = {
    "train.lrr=1": r"train\.lrr: no such setting; did you mean 'lr'\?",
    "trian.lr=1": r"trian: no such setting; did you mean 'train'\?",
    "model.layres=1": r"model\.layres: no such setting; did you mean 'layers'\?",
    "train.lr=fast": r"train\.lr: .*number.*'fast'",
    "train.lr=-1": r"train\.lr: .*greater than 0",
    "train.epochs=1.5": r"train\.epochs: .*integer",
    "train.epochs=true": r"train\.epochs: .*integer",
    "train.schedule=linear": r"train\.schedule: .*'halve'",
    "model.heads=7": r"model\.heads: 7 heads do not divide model\.width",
    "model.name=informr": r"model\.name: no model 'informr'; did you mean 'informer'\?",
    "model.label_length=97": r"model\.label_length: 97 known steps",
    "data.horizon=0": r"data\.horizon: .*greater than 0",
    "evaluate.levels=[80, 100]": r"evaluate\.levels\.1: .*less than 100",
    "nothing": "write it as path=value",
}


@pytest.mark.parametrize("change", REFUSED)
def test_a_bad_setting_is_refused_with_its_path(change):
    with pytest.raises(SeqsciError, match=REFUSED[change]):
        recipe.resolve("forecast", recipe="forecast/informer", changes=recipe.parse_changes([change]))


SEARCHES = {
    "{train.lrr: {log: [1e-5, 1e-2]}}": r"search\.train\.lrr: train\.lrr: no such setting",
    "{train.lr: {logg: [1e-5, 1e-2]}}": r"search\.train\.lr: give one of choice, int, float or log",
    "{train.lr: {log: [1e-2, 1e-5]}}": r"need low < high",
    "{train.lr: {log: [0, 1]}}": r"both above 0",
    "{train.lr: {log: [1e-5]}}": r"give the two ends",
    "{train.lr: {choice: []}}": r"give a list",
    "{train.lr: {log: [a, b]}}": r"'a' is not a number",
    "{model.heads: {choice: [4, many]}}": r"search\.model\.heads: .*'many'",
    "{model.dropout: {float: [0, 2]}}": r"search\.model\.dropout: .*less than 1",
}


@pytest.mark.parametrize("space", SEARCHES)
def test_a_bad_search_space_is_refused(space, tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(f"data: demo-electricity\nmodel: informer\nsearch: {space}\n")
    with pytest.raises(SeqsciError, match=SEARCHES[space]):
        recipe.resolve("forecast", recipe=str(path))


FILES = {
    "data: a\ndata: b\nmodel: informer\n": r"line 2: 'data' stands twice",
    "data: {name: a, name: b}\nmodel: informer\n": r"line 1: 'name' stands twice",
    "data: [": r"line 2: not a YAML recipe|line 1: not a YAML recipe",
    "- a\n": r"a recipe is a mapping",
    "data: a\nmodel: informer\ntask: classify\n": r"a recipe for 'classify'",
    "data: a\nmodel: !!python/object/apply:os.system [ls]\n": r"not a YAML recipe",
    "data: a\nmodel: informer\nhorizons: {soon: {}}\n": r"horizons must map a number",
}


@pytest.mark.parametrize("text", FILES)
def test_a_bad_file_is_refused_with_its_line(text, tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(SeqsciError, match=FILES[text]):
        recipe.resolve("forecast", recipe=str(path))


def test_a_missing_recipe_is_refused():
    with pytest.raises(SeqsciError, match="no such recipe file"):
        recipe.resolve("forecast", recipe="nowhere.yaml")
    with pytest.raises(SeqsciError, match="did you mean 'forecast/informer'"):
        recipe.resolve("forecast", recipe="forecast/informr")


def test_a_resolved_recipe_survives_its_file(tmp_path):
    found, _ = recipe.resolve("forecast", data="etth1", changes={"train.lr": 3e-5, "model.stack": [3, 2, 1]})
    path = tmp_path / "recipe.yaml"
    path.write_text(found.to_yaml())
    assert recipe.build(recipe.read(str(path))) == found


def test_every_field_has_a_help_text():
    from seqsci.models.settings import InformerSettings

    for cls in (recipe.ForecastData, recipe.Train, recipe.Evaluate, InformerSettings):
        bare = [name for name, _, _, text in recipe.describe(cls) if not text and name != "name"]
        assert bare == []
