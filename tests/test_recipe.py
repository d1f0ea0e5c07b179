"""Recipes: precedence, the published settings, and what is refused before data is touched."""

import pytest
import yaml

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


def test_types_and_defaults_are_told_in_words():
    told = {name: (kind, default) for cls in (recipe.ForecastData, recipe.ForecastTrain, recipe.ForecastEvaluate)
            for name, kind, default, _ in recipe.describe(cls)}  # fmt: skip
    assert told["name"] == ("text", "needed")
    assert told["weight_decay"] == ("number >= 0", "0.0")
    assert told["level"] == ("none, last or mean", "none")
    assert told["levels"] == ("list of: whole number > 0 and < 100", "80,95")
    assert told["missing"] == ("list of: number or none", "none")


def test_every_field_has_a_help_text():
    from seqsci.models.settings import InformerSettings

    for cls in (recipe.ForecastData, recipe.Train, recipe.Evaluate, InformerSettings):
        bare = [name for name, _, _, text in recipe.describe(cls) if not text and name != "name"]
        assert bare == []


TYPED = {
    "evaluate.levels=80": (80,),
    "evaluate.levels=80,95": (80, 95),
    "evaluate.levels=80,80": (80, 80),
    "evaluate.levels=[80, 95]": (80, 95),
    "evaluate.levels=": (),
    "evaluate.levels=[]": (),
    "data.covariates=b": ("b",),
    "data.covariates=b, 2024,on": ("b", "2024", "on"),
    'data.covariates=["b,c", 2024]': ("b,c", "2024"),
    "data.missing=-9999": (-9999.0,),
    "data.missing=null": None,
    "model.stack=3,2,1": (3, 2, 1),
    "data.target=2024": "2024",
    "data.target=on": "on",
    "data.target=[a": "[a",
    "data.time=null": None,
    "data.time=2024": "2024",
    "model.distil=off": False,
    "train.lr=1e-3": 1e-3,
}


@pytest.mark.parametrize("flag", TYPED)
def test_the_type_of_a_field_decides_what_its_flag_means(flag):
    changes = recipe.parse_changes([flag])
    found, _ = recipe.resolve("forecast", recipe="forecast/informer", changes=changes)
    (path,) = changes
    value = found.flat()[path]
    assert (tuple(value) if isinstance(value, list) else value) == TYPED[flag]
    assert recipe.build(yaml.safe_load(found.to_yaml())) == found


def test_one_value_is_a_list_in_python_too():
    found, _ = recipe.resolve("forecast", recipe="forecast/informer")
    found = found.with_({"evaluate.levels": 80, "data.covariates": "a, b", "model.stack": [2, 1]})
    assert (found.evaluate.levels, found.data.covariates, found.model.stack) == ((80,), ("a", "b"), (2, 1))


def test_what_is_given_is_not_searched():
    found, _ = recipe.resolve("", recipe="forecast/informer", changes=recipe.parse_changes(["model.heads=2"]))
    assert found.model.heads == 2 and "model.heads" not in found.search and "train.lr" in found.search
    assert "train.lr" not in found.with_({"train.lr": 1e-3}).search
    space = {"train.batch": {"choice": [16, 32]}}
    assert found.with_({"search": space}).search == space
    assert set(found.with_({"search.train.batch": space["train.batch"]}).search) == {*found.search, "train.batch"}
    flag = recipe.parse_changes(["search.train.batch={choice: [16, 32]}"])
    assert found.with_(flag).search["train.batch"] == space["train.batch"]


def test_what_a_given_setting_rules_out_is_not_searched():
    found, _ = recipe.resolve("", recipe="pretrain/hmt")
    space = found.search["model.sensory"]["choice"]
    small = found.with_({"model.segment": max(space) - 1})
    assert found.search.keys() - small.search.keys() == {"model.segment", "model.sensory"}
    with pytest.raises(SeqsciError, match=r"search\.model\.sensory: model\.sensory"):
        small.with_({"search.model.sensory": {"choice": space}})


def test_a_flag_that_stands_twice_is_refused():
    with pytest.raises(SeqsciError, match=r"--train\.lr: stands twice, with 1 and 2; keep one"):
        recipe.parse_changes(["train.lr=1", "train.lr=2"])


def test_a_seed_is_one_that_every_generator_takes():
    for seed in ("4294967296", "-1"):
        with pytest.raises(SeqsciError, match=r"train\.seed: "):
            recipe.resolve("forecast", changes=recipe.parse_changes([f"train.seed={seed}"]))
