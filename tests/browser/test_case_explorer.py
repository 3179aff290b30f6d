"""The case explorer in a browser: what it lists, opens, draws and says, by mouse, keys and addresses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from case_samples import ODD_CLASSES, ODD_IDS, SEED, SIDE, made_up, write_case_page
from meddiff.cases import part
from meddiff.cases.settings import CaseSettings
from meddiff.data.stores.store import Store
from meddiff.diffusion.haar import haar_transform, inverse_haar_transform
from meddiff.diffusion.noise import classification_noise, noise_keys
from meddiff.diffusion.schedule import alpha_sigma
from meddiff.readout.predictions import probabilities, read_predictions
from meddiff.scoring.error_file import load_errors

pytestmark = pytest.mark.slow

IMAGES, MANY = 60, 2000
PIXELS = """canvas => {
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
    copy.drawImage(canvas, 0, 0);
    return [...copy.getImageData(0, 0, canvas.width, canvas.height).data];
}"""
Open = Callable[..., Any]  # `opened` of conftest.py
IS_CUT_OFF = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[CaseSettings, Path]:
    """Sixty images of three classes, and their page."""
    folder = tmp_path_factory.mktemp("run")
    settings = made_up(folder, IMAGES, ["benign", "melanoma", "nevus"])
    return settings, write_case_page(settings, folder)


@pytest.fixture
def explorer(opened: Open, run: tuple[CaseSettings, Path]) -> Page:
    """The page, which must have had no problem when the test is done."""
    found = opened(run[1])
    yield found.page
    assert found.problems == []


def address(image: str, dataset: str = "chest", model: str = "unet/majority") -> str:
    return f"#case={quote(dataset, safe='')}/{quote(image, safe='')}&model={model}"


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_label(label, exact=True).select_option(label=option)


def listed(page: Page) -> list[str]:
    """All ids of the grid in their order, read while scrolling through it."""
    return page.evaluate("""async () => {
        const grid = document.querySelector("#cases .grid"), found = new Map();
        const read = () => {
            for (const one of grid.querySelectorAll(".cell")) found.set(Number(one.dataset.place), one.title);
        };
        for (let top = 0; top <= grid.scrollHeight; top += grid.clientHeight) {
            grid.scrollTop = top;
            await new Promise(requestAnimationFrame);
            await new Promise(requestAnimationFrame);
            read();
        }
        grid.scrollTop = 0;
        return [...found.keys()].sort((a, b) => a - b).map((place) => found.get(place));
    }""")


def test_what_is_filtered_and_sorted_is_what_the_tables_say(explorer: Page, run) -> None:
    table = read_predictions(run[0].datasets[0].runs[0].predictions)
    table["u"], table["p"] = table["uncertainty_vote_entropy"], probabilities(table).max(axis=1)
    table["wrong"] = table["prediction"] != table["label"]
    wrong = table[table["wrong"]]
    assert 3 < len(wrong) < IMAGES - 3, "the sample must have both"
    orders = {
        "Most uncertain errors": wrong.sort_values(["u", "image_id"], ascending=[False, True]),
        "Surest errors": wrong.sort_values(["p", "image_id"], ascending=[False, True]),
        "All cases": table.sort_values(["wrong", "u", "image_id"], ascending=[False, False, True]),
    }
    for view, expected in orders.items():
        explorer.get_by_role("button", name=view).click()
        assert listed(explorer) == expected["image_id"].tolist(), view
    choose(explorer, "True class", "melanoma")
    choose(explorer, "Decided class", "nevus")
    choose(explorer, "Order", "by id")
    both = table[(table["label"] == 1) & (table["prediction"] == 2)]
    assert listed(explorer) == sorted(both["image_id"])
    assert explorer.get_by_role("status").inner_text() == (
        f"{len(both)} of {IMAGES} test images" if len(both) else "No test image fits these filters."
    )
    choose(explorer, "Decided class", "any")
    choose(explorer, "Model", "ResNet")
    choose(explorer, "Decision", "wrong")
    other = read_predictions(run[0].datasets[0].runs[1].predictions)
    missed = other[(other["label"] == 1) & (other["prediction"] != 1)]
    assert listed(explorer) == sorted(missed["image_id"])
    explorer.get_by_role("button", name="Models disagree").click()
    assert set(listed(explorer)) == set(table["image_id"][table["prediction"] != other["prediction"]])
    explorer.get_by_role("button", name="All cases").click()
    choose(explorer, "Model", "UNet (majority)")
    sets = table[[f"in_set_{name}" for name in ("benign", "melanoma", "nevus")]].to_numpy() == 1
    for option, fits in (
        ("one class: sure", sets.sum(axis=1) == 1),
        ("several: for a person", sets.sum(axis=1) > 1),
        ("with melanoma", sets[:, 1]),
        ("without the true class", ~sets[np.arange(IMAGES), table["label"]]),
    ):
        choose(explorer, "Predicted set", option)
        assert set(listed(explorer)) == set(table["image_id"][fits]), option
    choose(explorer, "Predicted set", "any")
    choose(explorer, "View", "view 1")
    choose(explorer, "Unlike the training data", "yes")
    both = (table["label"] % 2 == 1) & (table["ood_profile"] > 0)
    assert both.any() and set(listed(explorer)) == set(table["image_id"][both])
    explorer.get_by_role("button", name="All cases").click()
    choose(explorer, "Counterfactual", "of this model")
    assert sorted(listed(explorer)) == ["image-00000", "image-00001"]
    # Letters that are typed one after the other choose as in any other select.
    explorer.get_by_label("True class", exact=True).focus()
    explorer.keyboard.type("ne")
    expect(explorer.get_by_label("True class", exact=True)).to_have_value("2")
    explorer.get_by_role("button", name="All cases").click()
    explorer.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
    explorer.evaluate("document.querySelector('main').style.paddingTop = '3000px'")
    explorer.keyboard.press("/")
    expect(explorer.get_by_label("Search ( / )")).to_be_in_viewport()
    explorer.keyboard.type("0001")
    assert listed(explorer) and all("0001" in name for name in listed(explorer))


def test_a_case_opens_by_click_keys_and_address(explorer: Page) -> None:
    heading, cells = explorer.locator("#cases h3"), explorer.locator("#cases .cell")
    first, second = cells.nth(0).get_attribute("title"), cells.nth(1).get_attribute("title")
    cells.nth(0).click()
    expect(heading).to_contain_text(first)
    expect(heading).to_be_focused()
    explorer.keyboard.press("j")
    expect(heading).to_contain_text(second)
    explorer.keyboard.press("k")
    expect(heading).to_contain_text(first)
    explorer.keyboard.press("Escape")
    expect(heading).to_have_count(0)
    expect(cells.nth(0)).to_be_focused()  # where one was
    explorer.keyboard.press("ArrowRight")
    expect(cells.nth(1)).to_be_focused()
    explorer.keyboard.press("Enter")
    expect(heading).to_contain_text(second)
    explorer.go_back()
    expect(heading).to_have_count(0)
    explorer.go_forward()
    expect(heading).to_contain_text(second)
    explorer.get_by_role("link", name="ResNet", exact=True).click()
    expect(heading).to_contain_text("ResNet")
    assert "model=resnet/softmax" in explorer.url


def test_an_address_opens_its_case_when_the_page_loads(opened: Open, run) -> None:
    page = opened(run[1], anchor=address("image-00007")).page
    expect(page.locator("#cases h3")).to_contain_text("image-00007 · UNet (majority)")
    # What grows above it meanwhile does not push it out of sight.
    page.evaluate("document.querySelector('main').style.paddingTop = '3000px'")
    page.wait_for_function(
        "Math.abs(document.querySelector('#cases .case').getBoundingClientRect().top) < 40"
    )
    page.mouse.wheel(0, 500)
    page.reload()
    expect(page.locator("#cases h3")).to_be_in_viewport()
    page.wait_for_function(
        "Math.abs(document.querySelector('#cases .case').getBoundingClientRect().top) < 40"
    )
    page = opened(run[1], anchor=address("no such image")).page
    expect(page.get_by_role("status")).to_contain_text("a case that this report does not have")
    page = opened(run[1], anchor=address("image-00007", model="unet/wisest")).page
    expect(page.locator("#cases .case")).to_contain_text("does not have of these images (unet, wisest)")
    assert "model=unet/majority" in page.url
    expect(page.locator("#cases .case")).to_contain_text("There are 2 of other images")


def test_sliders_change_pixels(opened: Open, run) -> None:
    found = opened(run[1], anchor=address("image-00000"))
    panels = found.page.locator("#cases .panel")
    for title, label in (
        ("Image and evidence", "Evidence map"),
        ("Counterfactual", "From factual to counterfactual"),
        ("Counterfactual", "Difference"),
    ):
        panel = panels.filter(has=found.page.get_by_role("heading", name=title))
        seen = []
        for value in (0, 50, 100):
            panel.get_by_role("slider", name=label, exact=True).fill(str(value))
            seen.append(panel.locator(".stack").screenshot())
        assert len({*seen}) == 3, label
    assert found.problems == []


def test_a_class_has_one_colour_in_map_charts_and_legends(opened: Open, run) -> None:
    page = opened(run[1], anchor=address("image-00000")).page
    panels = page.locator("#cases .panel")
    panel = panels.filter(has=page.get_by_role("heading", name="Image and evidence"))
    colours = "all => all.map((one) => getComputedStyle(one).color)"
    of_map = panel.locator(".swatch").evaluate_all(colours)
    vote = panels.filter(has=page.get_by_role("heading", name="The vote, step by step"))
    assert len(of_map) == 2 and {*of_map} <= {*vote.locator(".swatch").evaluate_all(colours)}
    drawn = panel.locator("canvas").evaluate("""canvas => {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        const found = new Set();
        for (let i = 0; i < data.length; i += 4)
            if (data[i + 3] === 255) found.add(`rgb(${data[i]}, ${data[i + 1]}, ${data[i + 2]})`);
        return [...found];
    }""")
    assert drawn and {*drawn} <= {*of_map}


@pytest.mark.parametrize(("wavelet", "levels"), [(False, "uniform"), (True, "antithetic")])
def test_the_noise_that_is_drawn_is_the_noise_that_was_scored(
    opened: Open, tmp_path: Path, wavelet: bool, levels: str
) -> None:
    settings = made_up(tmp_path, 3, ["a", "b"], levels=levels)
    dataset = settings.datasets[0]
    scored = dataset.scored[0].model_copy(update={"wavelet": wavelet})
    dataset = dataset.model_copy(update={"scored": [scored]})
    path = write_case_page(settings.model_copy(update={"datasets": [dataset]}), tmp_path)
    found = opened(path, anchor=address("image-00002"))
    canvas = found.page.locator("canvas.noised")
    errors = load_errors(scored.errors).sel(image="image-00002")
    steps = np.argsort(-errors["logsnr"].values, kind="stable")
    store = Store.open(dataset.stores[str(SIDE)], "test")
    x = torch.from_numpy(store.images[2] / 127.5 - 1).permute(2, 0, 1)[None].float()
    x = haar_transform(x) if wavelet else x
    for place in (0, 5, len(steps) - 1):
        found.page.get_by_role("slider", name="Noise level").fill(str(place))
        step = int(steps[place])
        expect(canvas).to_have_attribute("aria-label", f"The image with the noise of step {step + 1}")
        alpha, sigma = alpha_sigma(torch.tensor([float(errors["logsnr"][step])]))
        eps = classification_noise(
            noise_keys(SEED, ["image-00002"]), torch.tensor([step]), x.shape[1:], levels
        )
        z = alpha * x + sigma * eps
        z = inverse_haar_transform(z) if wavelet else z
        shown = (z / torch.hypot(alpha, (2 if wavelet else 1) * sigma)).clamp(-1, 1)[0, 0]
        pixels = canvas.evaluate(PIXELS)
        drawn = np.array(pixels).reshape(SIDE, SIDE, 4)[..., 0]
        assert np.abs(drawn - 127.5 * (shown.numpy() + 1)).max() <= 1
    assert found.problems == []


def test_names_stay_text(opened: Open, tmp_path: Path) -> None:
    path = write_case_page(made_up(tmp_path, ODD_IDS, ODD_CLASSES), tmp_path)
    found = opened(path)
    found.page.on("dialog", lambda dialog: found.problems.append(dialog.message))
    assert sorted(listed(found.page)) == sorted(ODD_IDS)
    for name in ODD_IDS:
        found.page.evaluate("hash => { location.hash = hash; }", address(name))
        expect(found.page.locator("#cases h3 bdi")).to_have_text(name)
        expect(found.page.locator("#cases .panel").first).to_be_visible()
    assert found.page.locator("#cases img[src='x']").count() == 0
    expect(found.page.locator("#cases td bdi").first).to_contain_text("")
    assert set(found.page.locator("#cases .legend bdi").all_inner_texts()) <= set(ODD_CLASSES)
    assert found.problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(opened: Open, run, scheme: str) -> None:
    for anchor in ("#cases", address("image-00000")):
        page = opened(run[1], scheme=scheme, anchor=anchor).page
        expect(page.locator("#cases .cell:visible, #cases .panel:visible").first).to_be_visible()
        violations = Axe().run(page).response["violations"]
        serious = [v["id"] for v in violations if v["impact"] in ("serious", "critical")]
        assert serious == [], [v for v in violations if v["id"] in serious]


@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_is_cut_off(opened: Open, run, tmp_path: Path, width: int) -> None:
    many = write_case_page(
        made_up(tmp_path, 16, [f"a class with a long name, {k}" for k in range(14)]), tmp_path
    )
    for path, image in ((run[1], "image-00000"), (many, "image-00001")):
        for anchor in ("#cases", address(image)):
            page = opened(path, width=width, anchor=anchor).page
            expect(page.locator("#cases .cell:visible, #cases .panel:visible").first).to_be_visible()
            page.wait_for_timeout(200)  # charts are drawn for the width that they got
            assert not page.evaluate(IS_CUT_OFF), (path, anchor)


def test_two_thousand_cases_beside_the_page(opened: Open, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(part, "_MOST_INLINE_BYTES", 0)
    path = write_case_page(made_up(tmp_path, MANY, ["a", "b"], most_details=100), tmp_path)
    assert path.stat().st_size < 700_000
    found = opened(path)
    page, elements = found.page, "document.querySelectorAll('#cases *').length"
    expect(page.get_by_role("status")).to_have_text(f"{MANY} of {MANY} test images")
    assert page.evaluate(elements) < 1500
    choose(page, "Order", "by id")
    page.locator("#cases .grid").evaluate("grid => { grid.scrollTop = grid.scrollHeight; }")
    expect(page.locator(f"#cases [title='image-{MANY - 1:05d}']")).to_be_visible()
    assert page.evaluate(elements) < 1500
    page.get_by_role("button", name="Surest errors").click()
    page.locator("#cases .cell").first.click()
    expect(page.locator("#cases .verdict")).to_be_visible()
    assert found.problems == []


def test_what_is_not_here_is_said(opened: Open, tmp_path: Path) -> None:
    settings = made_up(tmp_path, 6, ["a", "b"])
    for name in ("errors.nc", "evidence.nc", "store/test.npy", "counterfactuals.csv"):
        (tmp_path / name).unlink()
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    found = opened(write_case_page(settings, tmp_path))
    expect(found.page.locator("#cases .browse > .note")).to_contain_text(
        "restored without the images of Chest"
    )
    found.page.locator("#cases .cell").first.click()
    expect(found.page.locator("#cases .case")).to_contain_text("restored without its images")
    expect(found.page.locator("#cases .case")).to_contain_text("The errors of this model are not here")
    expect(found.page.locator("#cases table")).to_contain_text("ResNet")
    assert found.problems == []


def test_a_lost_folder_is_said(opened: Open, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(part, "_MOST_INLINE_BYTES", 0)
    path = write_case_page(made_up(tmp_path, 4, ["a", "b"]), tmp_path)
    (tmp_path / "cases").rename(tmp_path / "lost")
    page = opened(path, anchor=address("image-00000")).page
    expect(page.locator("#cases .case")).to_contain_text("is not beside this page")
