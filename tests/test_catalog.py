"""Cards and recipes are found and checked."""

import subprocess
import sys
from pathlib import Path

import pytest

from seqsci import catalog
from seqsci.errors import SeqsciError


def test_every_card_is_valid_and_complete() -> None:
    found = [catalog.card(name) for name in catalog.names("datasets")]
    assert {card.name for card in found} >= {
        *("demo-electricity", "etth1", "etth2", "ettm1", "ettm2", "wth", "weather"),
        *("exchange_rate", "national_illness", "electricity"),
        *("demo-photometry", "mallorn", "plasticc", "spcc"),
    }
    for card in found:
        assert card.title and card.description and card.licence
        assert card.simulated or all(file.url or card.instructions for file in card.contents)
        assert card.simulated or card.contents[0].name == (card.file or card.files[0].name)
        for file in card.contents:
            assert not file.url or (file.url.startswith("https://") and (file.sha256 or file.md5))


@pytest.mark.parametrize(("name", "scale"), [("etth1", 1), ("etth2", 1), ("ettm1", 4), ("ettm2", 4)])
def test_borders_are_12_4_4_months(name: str, scale: int) -> None:
    card = catalog.card(name)
    assert card.split == catalog.Split(kind="borders", train=8640 * scale, val=2880 * scale, test=2880 * scale)
    assert card.url.endswith(f"/zhouhaoyi/ETDataset/main/ETT-small/{card.file}")
    assert card.rows == 17420 * scale
    assert card.target == "OT"


def test_unknown_names_give_the_nearest() -> None:
    with pytest.raises(SeqsciError, match=r"no data set 'eth1'; did you mean 'etth1'\? known: .*demo-electricity"):
        catalog.card("eth1")
    with pytest.raises(SeqsciError, match="no recipe 'forecast/nothing'"):
        catalog.recipe_text("forecast/nothing")


def _shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "mine.toml").write_text(text)
    monkeypatch.setattr(catalog, "folder", lambda kind: tmp_path / kind)


GOOD = 'name = "mine"\ntitle = "t"\ndomain = "electricity"\ndescription = "d"\nlicence = "l"\nsimulated = true\n'


CURVES = GOOD.replace("electricity", "photometry").replace("simulated = true", 'instructions = "i"') + "[curves]\n"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (GOOD.replace("electricity", "photometry"), "curves are for the domain photometry, and it needs them"),
        (GOOD + "[curves]\n", "curves are for the domain photometry"),
        (CURVES + "colour = 1\n", "datasets/mine.toml, curves.colour: "),
        (CURVES, "needs a file"),
        (CURVES + "[[files]]\nname = 'a'\nrole = 'labels'\n", "datasets/mine.toml, files.0.role: "),
        (CURVES + "[[files]]\nname = 'a'\nmd5 = 'abc'\n", "a: a digest is not 32 digits of 0-9 a-f"),
        (
            CURVES + f"[[files]]\nname = 'a'\nmd5 = '{'a' * 32}'\nsha256 = '{'a' * 64}'\n",
            "a: give sha256 or md5, not both",
        ),
        (CURVES + f"[[files]]\nname = 'a.gz'\nsha256 = '{'a' * 64}'\n", "a.gz: sha256 is of uncompressed content"),
        (CURVES + "[[files]]\nname = 'a'\nsplit = 'test'\n", "a: split test is not for a file of role 'observations'"),
        (CURVES + "[[files]]\nname = 'a'\n[[files]]\nname = 'a'\n", "two have the same name"),
        (
            CURVES.replace("[curves]", "file = 'b'\n[curves]") + "[[files]]\nname = 'a'\n",
            "give file or files, not both",
        ),
        (GOOD + "colour = 'red'\n", "datasets/mine.toml, colour: "),
        (GOOD + "[read]\nduplicates = 'last'\n", "datasets/mine.toml, read.duplicates: "),
        (GOOD + "[split]\ntrain = 0.9\n", "add up to 1"),
        (GOOD + "[split]\nkind = 'borders'\n", "numbers of rows"),
        (GOOD.replace("true", "false"), "needs a file, and a url or instructions"),
        (GOOD.replace("mine", "other"), "must be the name of the file"),
        ("name = ", "not TOML"),
    ],
)
def test_a_bad_card_is_located(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, part: str) -> None:
    _shipped(tmp_path, monkeypatch, text)
    with pytest.raises(SeqsciError) as error:
        catalog.card("mine")
    assert part in str(error.value)


def test_recipes_are_named_by_their_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "recipes" / "forecast").mkdir(parents=True)
    (tmp_path / "recipes" / "forecast" / "informer-etth1.yaml").write_text("task: forecast\n")
    monkeypatch.setattr(catalog, "folder", lambda kind: tmp_path / kind)
    assert catalog.recipes() == ["forecast/informer-etth1"]
    assert catalog.recipe_text("forecast/informer-etth1") == "task: forecast\n"


def test_an_installed_package_reads_its_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site-packages"
    (site / "seqsci" / "_share" / "datasets").mkdir(parents=True)
    (site / "datasets").mkdir()  # another project's package of that name
    monkeypatch.setattr(catalog, "__file__", str(site / "seqsci" / "catalog.py"))
    assert catalog.folder("datasets") == site / "seqsci" / "_share" / "datasets"
    (site / "pyproject.toml").touch()
    assert catalog.folder("datasets") == site / "datasets"


def test_description_names_the_source() -> None:
    text = catalog.describe(catalog.card("weather"))
    assert "weather.csv" in text and "52696 rows" in text and "-9999" in text and "Autoformer" in text


def test_description_of_a_set_of_several_files() -> None:
    text = catalog.describe(catalog.card("plasticc"))
    assert "files:    plasticc_train_lightcurves.csv.gz, plasticc_train_metadata.csv.gz\n" in text
    assert "test_11 (plasticc_test_lightcurves_11.csv.gz)" in text and "90 SN Ia" in text and "split:" not in text
    assert "from:     https://zenodo.org/records/2539456/files\n" in text and "zero point 27.5" in text
    text = catalog.describe(catalog.card("mallorn"))
    assert "12 more, train_log.csv" in text and "not read: redshift" in text
    assert "template subtracted: not stated" in text
    assert "IIn is II" in catalog.describe(catalog.card("spcc"))
    assert "objects:  7000 unless asked otherwise" in catalog.describe(catalog.card("demo-photometry"))


def test_parts_of_a_set() -> None:
    card = catalog.card("plasticc")
    assert card.parts == (*(f"test_{i:02d}" for i in range(1, 12)), "test")
    with pytest.raises(SeqsciError, match="data set plasticc has no part 'test_12'; did you mean 'test_"):
        card.wanted(["test_12"])
    with pytest.raises(SeqsciError, match="data set etth1 has no part 'test'; it has none, leave part out"):
        catalog.card("etth1").wanted(["test"])
    assert [file.name for file in catalog.card("etth1").wanted()] == ["ETTh1.csv"]


def test_import_stays_light() -> None:
    heavy = "('polars', 'torch', 'pydantic', 'pooch')"
    code = f"import sys, seqsci.catalog, seqsci.errors; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=_root())
    assert out.stdout.strip() == "[]"


def _root() -> Path:
    return Path(catalog.__file__).parents[1]
