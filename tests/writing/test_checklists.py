"""The check lists: every item once, answered as far as the run and the authors know."""

from __future__ import annotations

import re

import pytest

from meddiff.config.schema.study import StudyConfig
from meddiff.errors import DataError
from meddiff.writing import claim, tripod
from meddiff.writing.checklists import LISTS, fill, read_checklists, write_checklists
from meddiff.writing.item import Filled, answered_share, filled, study_keys
from meddiff.writing.methods import methods_markdown, references
from meddiff.writing.part import writing_parts
from writing_samples import facts_of, settings_of

ALL = [item for one in LISTS for item in one.ITEMS]


def test_lists_have_all_their_items_in_order():
    assert [item.number for item in claim.ITEMS] == [str(number) for number in range(1, 45)]
    numbers = [item.number for item in tripod.ITEMS]
    assert list(dict.fromkeys(int(re.match(r"\d+", number)[0]) for number in numbers)) == [*range(1, 28)]
    assert len(numbers) == len(set(numbers)) == 52


def test_every_statement_of_the_authors_answers_something_and_every_key_exists():
    used = {key for item in ALL for key in item.study}
    assert used == study_keys()


def test_every_item_can_be_answered():
    for item in ALL:
        assert item.study or item.answer or item.needs is not None


@pytest.mark.parametrize("experiment", ["demo", "paper", "nih_cxr"])
def test_statements_of_the_authors_fill_in_what_the_run_does_not_know(root, tmp_path, experiment):
    settings = settings_of(root, experiment, study=StudyConfig())
    folder = settings.models[0].folders[0]
    facts = facts_of(settings, tmp_path, **{folder: {"versions": {"torch": "2"}}})
    said = StudyConfig(**{key: f"About {key}." for key in study_keys()})
    for title, items in fill(settings, facts).items():
        more = fill(settings.model_copy(update={"study": said}), facts)[title]
        assert 0.4 < answered_share(items) < 1 == answered_share(more)
        for before, after in zip(items, more, strict=True):
            if before.status == "run":
                assert after.status == "run" and after.text.startswith(before.text)
            elif before.status == "open":
                assert after.status == "author" and re.match(r"(\w[\w ]*: )?About ", after.text)


def test_the_demo_answers_most_of_what_applies(root, tmp_path):
    """The aim of both lists: 85 % of the applicable items."""
    settings = settings_of(root, "demo")
    for items in fill(settings, facts_of(settings, tmp_path)).values():
        assert answered_share(items) >= 0.85


def test_generated_images_have_no_people_but_real_ones_do(root, tmp_path):
    for experiment, status in (("demo", "not_applicable"), ("nih_cxr", "open")):
        settings = settings_of(root, experiment, study=StudyConfig())
        ethics = next(item for item in tripod.ITEMS if item.number == "17")
        assert filled(ethics, settings, facts_of(settings, tmp_path)).status == status


def test_generated_images_have_the_labels_of_their_generator(root, tmp_path):
    for experiment, status in (("demo", "run"), ("nih_cxr", "open")):
        settings = settings_of(root, experiment, study=StudyConfig())
        reference = next(item for item in claim.ITEMS if item.number == "14")
        assert filled(reference, settings, facts_of(settings, tmp_path)).status == status


def test_authors_may_say_that_an_item_does_not_apply(root, tmp_path):
    by_number = {item.number: item for item in claim.ITEMS}
    for intended, status in (("Not applicable: a method.", "not_applicable"), ("A reader.", "author")):
        said = StudyConfig(background="not applicable, no care", intended_use=intended, protocol="Here.")
        settings = settings_of(root, "nih_cxr", study=said)
        facts = facts_of(settings, tmp_path)
        item = filled(by_number["3"], settings, facts)
        assert item.status == status
        assert item.text == f"Background: not applicable, no care Intended use: {intended}"
        assert filled(by_number["42"], settings, facts).text.endswith("Protocol: Here.")


def test_the_share_is_of_applicable_items():
    def item(status: str) -> Filled:
        return Filled("1", "a", "b", status, "c")

    assert answered_share([item("run"), item("author"), item("open"), item("not_applicable")]) == 2 / 3
    assert answered_share([item("not_applicable")]) == 1


def test_links_lead_to_tables_and_figures_that_exist(root, tmp_path):
    settings = settings_of(root, "demo")
    anchors = {stem.replace("/", "-") for stem in settings.artifacts}
    links = {
        link
        for items in fill(settings, facts_of(settings, tmp_path)).values()
        for i in items
        for link in i.links
    }
    sections = {"methods", "data", "training", "cases", "origin"}
    assert (
        links == (links & anchors) | sections
        and "tables-participants" in links
        and "figures-evidence_phantom_chest" in links
    )
    stems = {stem for item in ALL for stem in item.links if "/" in stem}
    known = {stem for name in ("demo", "shortcut") for stem in settings_of(root, name).artifacts}
    assert all(any(one == stem or one.startswith(f"{stem}_") for one in known) for stem in stems)


def test_what_is_written_is_read_again_and_shown_as_text(root, tmp_path):
    hostile = 'Said by "us":\n<script>alert(1)</script>, nan'
    settings = settings_of(root, "demo", study=StudyConfig(aims=hostile, funding="NA"))
    facts = facts_of(settings, tmp_path)
    lists = fill(settings, facts)
    paths = [tmp_path / name for name in ("methods.md", "references.bib", "checklists.csv")]
    write_checklists(lists, paths[2])
    assert read_checklists(paths[2]) == lists
    text = methods_markdown(settings, facts)
    paths[0].write_text(text)
    paths[1].write_text(references(text))
    methods, boxes = writing_parts(tuple(paths), {"tables-flow"})
    assert "<script" not in boxes.html + methods.html and "&lt;script&gt;" in boxes.html
    assert set(re.findall(r'href="#([^"]+)"', boxes.html)) == {"tables-flow", "methods"}
    items = lists["CLAIM 2024"]
    share = round(100 * answered_share(items))
    assert f"applicable items are answered ({share} %)" in boxes.html
    assert "[@" not in methods.html and "Favero et al. 2025" in methods.html


def test_a_damaged_file_is_refused(root, tmp_path):
    path = tmp_path / "checklists.csv"
    write_checklists({"A": [Filled("1", "a", "b", "run", "c")]}, path)
    path.write_text(path.read_text().replace("run", "ran"))
    with pytest.raises(DataError, match="item 1: unknown status 'ran'"):
        read_checklists(path)
