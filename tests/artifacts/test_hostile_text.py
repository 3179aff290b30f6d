"""Titles and names may hold anything: every output shows them as text."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt
from matplotlib.figure import Figure
from matplotlib.text import Text

from evaluate_samples import sample_errors, sample_predictions
from meddiff.artifacts.figures import audit, counterfactual_front, efficiency, step_ablation, uncertainty
from meddiff.artifacts.figures import counterfactuals as counterfactual_rows
from meddiff.artifacts.figures.method import draw_method
from meddiff.artifacts.render import Block, Cell, Column, Grid, to_latex, to_markdown
from meddiff.artifacts.style import save
from meddiff.config.dataset_slices import ValidateParams, parse_slice, slice_of
from meddiff.config.schema.dataset import DatasetConfig
from meddiff.config.schema.figure import FigureStyle
from meddiff.evaluate.method import example_image, step_table
from meddiff.text import one_line, script_safe_json

HOSTILE = {
    "script": "</script><script>alert(1)</script>",
    "picture with a handler": '<img src=x onerror="alert(1)">',
    "newline": "first\nsecond\r\n\n| third |",
    "other line breaks": "a\x0bb\x0cc\x85d\u2028e\u2029f",
    "markdown link": "[click](javascript:alert(1))",
    "markdown picture": "![dot](http://example.org/dot.png)",
    "address": "http://example.org www.example.org",
    "reference": "[8, 10]: http://example.org and [8, 10](http://example.org)",
    "entity": "&lt;script&gt; &#60;",
    "table": "a | b || c",
    "emphasis": "*a* **b** _c_ `d` ~~e~~ a\\|b \\",
    "latex": r"100 % of $x_1^2$ & #3 {a} ~b \input{/etc/passwd} \end{tabular}",
    "ligatures": "a|b`c",
    "mathtext": r"costs $5 to $6, $\frac{1$ and \alpha",
    "math of one dollar": "US$",
    "control characters": "bell\x07 null\x00 escape\x1b[31m",
    "reversed": "safe\u202egnp.exe",
    "quotes": 'it\'s a "title" with $(touch pwned) and `touch pwned`',
}
hostile = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)


def shown(text: str) -> str:
    """What a reader is to see: the same, on one line."""
    return " ".join(re.sub("[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", text).replace("\u202e", "").split())


@hostile
def test_one_line(text: str) -> None:
    assert one_line(text) == shown(text)


def grid(text: str) -> Grid:
    """The text in every place that a grid has for text."""
    columns = [Column("Model"), Column(text, text), Column("n", text), Column("plain")]
    row = [Cell(text), Cell("1", "[8, 10]"), Cell(text, text, best=True), Cell("−0.1", "(−2.5 [−4.5, +0.5])")]
    return Grid(f"Shown: {text}", "label", columns, [Block(text, [row, row])])


class Elements(HTMLParser):
    """The tags of a page, the text of its table cells, and all its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.rows and self.rows[-1] and "table" in self.tags:
            self.rows[-1][-1] += data


@hostile
def test_markdown_shows_it_and_nothing_else(text: str) -> None:
    source = to_markdown(grid(text))
    page = Elements(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(source))
    assert set(page.tags) <= {"p", "table", "thead", "tbody", "tr", "th", "td", "em", "strong"}
    assert [len(row) for row in page.rows] == [4] * 4
    cells = [[cell.strip() for cell in row] for row in page.rows]
    assert cells[0] == ["Model", f"{shown(text)}: {shown(text)}", f"{shown(text)}: n", "plain"]
    assert cells[1] == [shown(text), "", "", ""]
    assert cells[2] == [
        shown(text),
        "1 [8, 10]",
        f"{shown(text)} {shown(text)}",
        "−0.1 (−2.5 [−4.5, +0.5])",
    ]
    assert page.text.startswith(f"Shown: {shown(text)}\n")
    # What GitHub would make a link of, or a formula, without being told to.
    assert not re.search(r"(?<!\\)(?:\w://|www\.|\$)", source)


def decoded(tex: str) -> str:
    """Escaped LaTeX as its reader sees it; fails for anything that is not one of the escapes."""
    words = {"textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^", "ldots": "…"}
    words |= {"textbar": "|", "textasciigrave": "`"}
    symbols = {"<": "<", ">": ">", r"\pm": "±", "-": "−", r"\rightarrow": "→"}
    token = re.compile(
        r"\\(?P<word>[a-zA-Z]+)\{\}|\\(?P<escaped>[&%$#_{}])|\$(?P<math>[^$]+)\$|\{(?P<open>\[)\}"
        r"|(?P<plain>[^\\&%$#_{}~^|`])"
    )
    found, position = "", 0
    while position < len(tex):
        match = token.match(tex, position)
        assert match, f"not escaped: {tex[position:]!r}"
        kind = match.lastgroup
        value = match[kind]
        found += words[value] if kind == "word" else symbols[value] if kind == "math" else value
        position = match.end()
    return found


@hostile
def test_latex_shows_it_and_nothing_else(text: str) -> None:
    lines = to_latex(grid(text)).splitlines()
    assert sum(r"\begin{" in line and "textbackslash" not in line for line in lines) == 2
    caption = next(line for line in lines if line.startswith(r"\caption{"))
    assert decoded(caption.removeprefix(r"\caption{").removesuffix("}")) == f"Shown: {shown(text)}"
    (head,) = (line for line in lines if line.startswith("Model & "))
    assert [decoded(part) for part in re.split(r" (?<!\\)& ", head.removesuffix(r" \\"))] == [
        "Model",
        shown(text),
        "n",
        "plain",
    ]
    body = [
        line
        for line in lines
        if line.endswith(r"−0.1".replace("−", "$-$") + r" ($-$2.5 {[}$-$4.5, +0.5]) \\")
    ]
    assert len(body) == 2
    first = re.split(r" (?<!\\)& ", body[0])[0]
    assert decoded(first) == shown(text)
    block = next(line for line in lines if r"{@{}l}{\textit{" in line)
    assert decoded(block.partition(r"\textit{")[2].removesuffix(r"}} \\")) == shown(text)


def test_latex_says_when_its_letters_need_another_engine() -> None:
    assert "XeLaTeX" in to_latex(grid("胸部"))
    assert "XeLaTeX" not in to_latex(grid("Müller, Łódź: a → b ± 1 × 2 … δ"))


def page_of(params: str) -> Elements:
    """How Snakemake's report writes the params of a rule into its page."""
    return Elements(f"<body><script>var results = {json.dumps({'params': [params]})};</script></body>")


@hostile
def test_params_cannot_leave_the_script_of_the_report(text: str) -> None:
    value = {"title": text, text: [1, None, {"b": text}]}
    params = script_safe_json(value)
    assert json.loads(params) == value
    page = page_of(params)
    assert page.tags == ["body", "script"]
    assert json.loads(page.text.removeprefix("var results = ").removesuffix(";"))["params"] == [params]


def test_the_slices_of_data_rules_cannot_either() -> None:
    document = {
        "title": "x",
        "source": {"kind": "local"},
        "format": {
            "kind": "table",
            "csv": "a.csv",
            "image_column": "a",
            "label_column": "b",
            "image_dir": "images",
        },
        "classes": [{"value": 0, "name": "a & b"}, {"value": 1, "name": HOSTILE["script"]}],
        "image_size": 32,
        "channels": 1,
        "split": {"kind": "recipe", "valid": 0.1, "test": 0.1, "seed": 0},
    }
    dataset = DatasetConfig.model_validate(document)
    params = slice_of(dataset, ValidateParams)
    assert page_of(params).tags == ["body", "script"]
    assert parse_slice(params, ValidateParams).classes[1].name == HOSTILE["script"]


def test_rules_make_their_params_this_way() -> None:
    """A `json.dumps` in a rule file, or in what rules call, would not be seen by the tests above."""
    workflow = Path(__file__).parents[2] / "workflow"
    files = [*workflow.glob("rules/*.smk"), *workflow.glob("src/meddiff/pipeline/*.py")]
    made = {path.name for path in files if "json.dumps" in path.read_text()}
    assert made == {"start.py"}  # what it makes goes to a command, not into a rule
    safe = {path.name for path in files if "script_safe_json" in path.read_text()}
    assert safe >= {"explaining.py", "scoring.py", "training.py", "weights.py"}


def layout(text: str) -> dict[str, Any]:
    return {
        "datasets": [{"name": "a", "title": text}],
        "models": [{"name": "m", "title": text, "family": "diffusion"}],
    }


RUN = {"dataset": "a", "model": "m", "seed": 0}
RESAMPLING = {"bootstrap_samples": 10, "confidence": 0.9, "bootstrap_seed": 0}
STYLE = {"width": 7.0, "height": 2.5, "dpi": 50}


def draw_steps(text: str) -> Figure:
    settings = step_ablation.Settings(**layout(text), confidence=0.9, runs=[RUN], steps=[1, 5], style=STYLE)
    table = step_ablation.curves([(settings.runs[0], sample_errors(images=12))], settings)
    return step_ablation.draw(table, settings, {})


def draw_removal(text: str) -> Figure:
    runs = [{**RUN, "decision": "majority"}]
    settings = uncertainty.Settings(**layout(text), **RESAMPLING, runs=runs, style=STYLE)
    pairs = [(settings.runs[0], sample_predictions("majority", images=12))]
    return uncertainty.draw(uncertainty.curves(pairs, settings), settings, {})


def method(text: str) -> Figure:
    errors = sample_errors(images=12)
    table = step_table(errors.sel(image=example_image(errors)))
    noised = [np.zeros((8, 8, 1))] * int(table["shown"].sum())
    return draw_method(table, [text, "other"], 0, np.zeros((8, 8, 1)), noised, FigureStyle())


def draw_efficiency(text: str) -> Figure:
    settings = efficiency.Settings(**layout(text), confidence=0.9, runs=[RUN], style=STYLE)
    rows = [
        ["a", "m", "", "first", n, metric, 2 * n, 50.0, 40.0, 60.0]
        for n in (1, 5)
        for metric in ("accuracy", "agreement", "aurc")
    ]
    columns = ["dataset", "model", "further", "rule", "setting", "metric", "passes", "value", "ci_low"]
    return efficiency.draw(pd.DataFrame(rows, columns=[*columns, "ci_high"]), settings, {})


def draw_audit(text: str) -> Figure:
    runs = [{**RUN, "decision": "majority"}]
    settings = audit.Settings(**layout(text), confidence=0.9, runs=runs, style=STYLE)
    rows = [["a", "m", "majority", side, 50.0, 40.0, 60.0, 9, 1] for side in ("right", "wrong")]
    columns = ["dataset", "model", "decision", "rule", "accuracy_percent", "ci_low_percent"]
    columns += ["ci_high_percent", "images", "seeds"]
    return audit.draw(pd.DataFrame(rows, columns=columns), settings, {})


def counterfactuals(text: str) -> Figure:
    more = {"classes": {"a": [text, "other"]}, "style": {**STYLE, "height": 1.2}}
    settings = counterfactual_rows.Settings(**layout(text), **more, runs=[RUN])
    row = {**RUN, "image_id": "i", "source": 0, "target": 1, "qualified": 1, "valid": 1.0}
    pictures = {name: np.zeros((8, 8, 1), np.uint8) for name in ("input", "factual", "counterfactual")}
    table = pd.DataFrame([row]).assign(valid_oracle=np.nan)
    return counterfactual_rows.draw_rows(table, [{**pictures, "mask": np.zeros((8, 8), np.uint8)}], settings)


def front(text: str) -> Figure:
    more = {"oracle": text, "style": STYLE}
    settings = counterfactual_front.Settings(**layout(text), confidence=0.9, **more, runs=[RUN])
    rows = [["a", "m", judge, 0.5, 1.0, 50.0, 40.0, 60.0, 5.0, 0.1, 9, 1] for judge in ("itself", "oracle")]
    columns = ["dataset", "model", "judge", "from_t", "cfg_scale", "validity_percent", "ci_low_percent"]
    columns += ["ci_high_percent", "control_percent", "l1", "images", "seeds"]
    return counterfactual_front.draw(pd.DataFrame(rows, columns=columns), settings, {})


FIGURES = [draw_steps, draw_removal, method, draw_efficiency, draw_audit, counterfactuals, front]


@pytest.mark.filterwarnings("ignore:Glyph .* missing from font")
@pytest.mark.parametrize("draw", FIGURES, ids=lambda draw: draw.__name__)
@pytest.mark.parametrize("kind", ["mathtext", "newline"])
def test_figures_show_it_as_it_is(draw: Any, kind: str, tmp_path: Path) -> None:
    text = HOSTILE[kind]
    figure = draw(text)
    save(figure, tmp_path / "f.png", tmp_path / "f.pdf", 50)  # a formula that cannot be read would fail here
    # Some places have room for the beginning only, or break lines.
    start = re.sub(r"\s", "", shown(text))[:12]
    found = [artist for artist in figure.findobj(Text) if start in re.sub(r"\s", "", artist.get_text())]
    assert found and not any(artist.get_parse_math() for artist in found)
