"""The draft of methods says what was run, and cites what it should."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from meddiff.config.schema.deciding import TriageConfig
from meddiff.config.schema.experiment import ScoreConfig
from meddiff.errors import ConfigError, DataError
from meddiff.writing.bibliography import bibtex, cited, short_name
from meddiff.writing.facts import Facts
from meddiff.writing.methods import methods_markdown, references
from meddiff.writing.part import html_of
from meddiff.writing.wording import listed, number, plain
from writing_samples import facts_of, settings_of

EXPERIMENTS = ["demo", "paper", "nih_cxr", "elsewhere", "shortcut"]


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_has_a_draft_whose_citations_are_in_the_references(root, tmp_path, experiment):
    settings = settings_of(root, experiment)
    text = methods_markdown(settings, facts_of(settings, tmp_path))
    assert all(plain(model.title) in text for model in settings.models)
    assert all(plain(dataset.title) in text for dataset in settings.datasets)
    keys = cited(text)
    assert keys and set(re.findall(r"^@\w+{(\w+),", references(text), re.MULTILINE)) == set(keys)
    assert "None" not in text and "  " not in text and "()" not in text


def test_numbers_are_those_of_the_tables(root, tmp_path):
    settings = settings_of(root, "demo")
    text = methods_markdown(settings, facts_of(settings, tmp_path))
    assert "Of 1,306 images in its list, 306 were left out." in text
    assert "800 for training of 700 patients or other groups (390/410 by class), 80 for validation" in text
    assert "120 for test (1/119 by class)" in text
    assert "found 18 (15 % of the test images); they were kept" in text


def test_what_was_set_is_said(root, tmp_path):
    settings = settings_of(root, "demo")
    facts = facts_of(settings, tmp_path)
    text = methods_markdown(settings, facts)
    assert "at 51 noise levels drawn uniformly in time" in text
    assert "a PPV of 90 % and an NPV of 90 %" in text and "with a confidence of 90 %" in text
    assert "1,000 bootstrap samples" in text and "12 steps" in text and "guidance of 2.5" in text
    assert "left out for 15 % of the images" in text and "left out for 0 %" not in text
    assert "Counterfactuals were made by Tiny DiT, of up to 14 test images of each class" in text
    assert text.count("One model was trained on all datasets together.") == 1
    assert (
        "20 images of each of 7 kinds a dataset: inverted, " in text
    )  # phantoms are not foreign to phantoms
    triage = settings.evaluate.model_copy(update={"triage": TriageConfig(ppv=0.8)})
    assert "a PPV of 80 %" in methods_markdown(settings.model_copy(update={"evaluate": triage}), facts)
    seven = ScoreConfig(steps=7, noise_levels="antithetic", decisions=["mean"])
    other = methods_markdown(settings.model_copy(update={"score": seven}), facts)
    assert "at 7 noise levels drawn in antithetic pairs" in other and "by majority" not in other


def test_each_dataset_has_its_own_number_of_parameters_where_they_differ(root, tmp_path):
    settings = settings_of(root, "demo")
    unet = next(model for model in settings.models if model.name == "tiny_unet")
    chest, skin = (unet.runs[name][0] for name in ("phantom_chest", "phantom_skin"))
    for count, said in ((7, "with 7 parameters"), (9, "7 (Chest phantom) and 9 (Skin phantom) parameters")):
        facts = facts_of(settings, tmp_path, **{chest: {"parameters": 7}, skin: {"parameters": count}})
        assert said in methods_markdown(settings, facts)


def test_the_schedule_of_a_pretrained_model_is_that_of_its_weights(root, tmp_path):
    settings = settings_of(root, "demo")
    model = next(one for one in settings.models if one.name == "tiny_stable_diffusion")
    scheduler = {"prediction_type": "epsilon", "num_train_timesteps": 1000, "beta_schedule": "scaled_linear"}
    scheduler |= {"beta_start": 0.00085, "beta_end": 0.012}
    params = {"model": {"architecture": {"scheduler": scheduler}}}
    facts = facts_of(settings, tmp_path, **{model.runs["joint"][0]: {"inputs": {"params": params}}})
    text = methods_markdown(settings, facts)
    assert "predicts the noise [@ho2020]" in text
    assert "1,000 steps, scaled linear, with beta from 0.00085 to 0.012" in text


def test_tests_are_those_of_the_groups_of_each_dataset(root, tmp_path):
    settings = settings_of(root, "demo")
    facts = facts_of(settings, tmp_path)
    text = methods_markdown(settings, facts)
    assert "swaps the two decisions" not in text and "McNemar's mid-p test [@fagerland2013]; their" in text
    table = facts.participants
    table.loc[(table["split"] == "test") & (table["what"] == "groups"), "images"] = 60
    text = methods_markdown(settings, facts)
    assert "with mid-p values (Chest phantom) and McNemar's" in text
    assert "a group of its own (Skin phantom)" in text


def test_changes_of_training_images_are_those_that_were_made(root, tmp_path):
    # Phantoms allow no change, whatever their models ask for.
    for experiment, said in (("demo", set()), ("paper", {"left-right flips", "rotation"})):
        settings = settings_of(root, experiment)
        text = methods_markdown(settings, facts_of(settings, tmp_path))
        changed = re.findall(r"changed at random: ([^.]+)\.", text)
        assert all(any(word in one for one in changed) for word in said) and bool(changed) == bool(said)


def test_what_was_not_done_is_not_said(root, tmp_path):
    bare = ScoreConfig(validation=False, evidence=False)
    settings = settings_of(root, "demo", score=bare, counterfactuals=None, shifts=None)
    text = methods_markdown(settings, facts_of(settings, tmp_path))
    assert "No probability and no threshold was fitted." in text and "was chosen on the test images" in text
    assert not re.search("Counterfactuals|Evidence maps|quantile|temperature", text)
    # Weights are still chosen on the validation split.
    assert "Which weights were kept was chosen there for Tiny ResNet" in text


@pytest.mark.parametrize("family", ["diffusion", "baselines"])
def test_an_experiment_of_one_family_only(root, tmp_path, family):
    settings = settings_of(root, "demo")
    settings = settings.model_copy(update={"models": getattr(settings, family)})
    text = methods_markdown(settings, facts_of(settings, tmp_path))
    assert ("predicting the noise once for every class" in text) == (family == "diffusion")
    assert ("softmax of their logits" in text) == (family == "baselines")


def test_what_trainings_noted_is_said(root, tmp_path):
    settings = settings_of(root, "demo")
    folder = settings.models[0].folders[0]
    record = {"parameters": 1234567, "hours": 0.5, "device": "cpu", "versions": {"torch": "2.14.1"}}
    text = methods_markdown(settings, facts_of(settings, tmp_path, **{folder: record}))
    assert "with 1,234,567 parameters" in text and "took 30 minutes on the clock, added up, on cpu" in text
    assert "trained with torch 2.14.1 [@paszke2019]" in text


def test_records_of_trainings_are_read_where_they_are(root, tmp_path, monkeypatch):
    settings = settings_of(root, "demo")
    files = {name: [tmp_path / f"{name}.csv"] for name in ("participants", "flow", "leaks")}
    facts_of(settings, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert Facts.of(settings, files).trained == {}
    path = Path(settings.models[0].folders[0]) / "run.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"parameters": 5}')
    assert Facts.of(settings, files).parameters(settings.models[0].folders) == 5
    path.write_text("[]")
    with pytest.raises(DataError, match="expected an object"):
        Facts.of(settings, files)
    with pytest.raises(DataError, match=r"expected one file, the table tables/flow\.csv"):
        Facts.of(settings, {"participants": files["participants"]})


def test_kept_weights_are_said_with_the_settings_that_they_were_trained_with(root, tmp_path):
    settings = settings_of(root, "demo")
    model = next(one for one in settings.models if one.name == "tiny_resnet")
    dataset, (folder, *_) = next(iter(model.runs.items()))
    trained = {**model.configs[dataset], "train": {**model.configs[dataset]["train"], "lr": 0.125}}
    models = [one.as_trained({folder: {"inputs": {"params": {"model": trained}}}}) for one in settings.models]
    text = methods_markdown(settings.model_copy(update={"models": models}), facts_of(settings, tmp_path))
    assert text.count("a learning rate of 0.125") == 1


def test_references_have_what_a_bibliography_needs():
    text = bibtex(["ho2020", "clopper1934", "wightman2019", "ho2020"])
    kinds = re.findall(r"^@(\w+){(\w+),", text, re.MULTILINE)
    assert kinds == [("article", "clopper1934"), ("inproceedings", "ho2020"), ("misc", "wightman2019")]
    for entry in text.split("\n\n"):
        assert entry.count("{") == entry.count("}")
        assert {"author", "title", "year"} <= set(re.findall(r"^  (\w+) +=", entry, re.MULTILINE))
    assert short_name("ho2020") == "Ho et al. 2020" and short_name("platt1999") == "Platt 1999"
    with pytest.raises(ConfigError, match="nobody1999"):
        bibtex(["nobody1999"])


def test_words():
    assert [listed("a"), listed("ab"), listed("abc"), listed("")] == ["a", "a and b", "a, b and c", ""]
    assert [number(1200), number(0.001), number(2.0)] == ["1,200", "0.001", "2"]


HOSTILE = ["<script>alert(1)</script>", "**a** `b` [@c]", "a_b\\*c", "漢字 'x' \"y\""]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_the_users_stay_text(root, tmp_path, name):
    settings = settings_of(root, "demo")
    first = settings.models[0].model_copy(update={"title": name})
    settings = settings.model_copy(update={"models": [first, *settings.models[1:]], "title": name})
    text = methods_markdown(settings, facts_of(settings, tmp_path))
    assert set(cited(text)) == set(re.findall(r"{(\w+\d{4}),", references(text)))
    html = str(html_of(plain(name)))
    assert "<" not in html
    shown = html.replace("&lt;", "<").replace("&gt;", ">").replace("&#34;", '"').replace("&#39;", "'")
    assert shown.replace("&amp;", "&") == name


def test_citations_and_bold_are_shown_as_such():
    assert html_of("**a** by [@ho2020; @platt1999], `x`") == (
        "<strong>a</strong> by (Ho et al. 2020; Platt 1999), <code>x</code>"
    )
