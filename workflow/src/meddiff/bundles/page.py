"""The page of explanations: one file that opens anywhere, with all pictures in it."""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from meddiff.bundles.explanation import Explanation
from meddiff.bundles.shown import answer_words
from meddiff.errors import ConfigError
from meddiff.io import write_text

_TITLES = {
    "image": "The image as the model sees it",
    "factual": "Denoised as {name}, which it was decided to be",
    "counterfactual": "Denoised as {name}",
    "difference": "What {name} would change: red lighter, blue darker",
    "evidence": "Where the evidence lies, against {name}: red for the decision, blue for {name}",
}
_GRAD_CAM = "What speaks for {name} (Grad-CAM): the redder the more"
_PICTURE = re.compile(rf"image_\d+/({'|'.join(_TITLES)})(_\d+)?\.png")
_BLANK = "has the same value everywhere: it says nothing about where, and is not drawn."
PAGE, _OURS = "index.html", '<meta name="generator" content="meddiff classify">'
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="meddiff classify">
<title>What {{ title }} says</title>
<style>
:root { color-scheme: light dark; --bg: #fff; --fg: #1c1c1e; --muted: #5c5c66; --line: #d8d8de;
  --card: #f6f6f8; --bad: #a3261d; }
@media (prefers-color-scheme: dark) {
  :root { --bg: #16171a; --fg: #ececf0; --muted: #a5a5b0; --line: #3a3b42;
    --card: #202126; --bad: #ff9a90; } }
body { margin: 0 auto; max-width: 70rem; padding: 1rem; font: 16px/1.5 system-ui, sans-serif;
  background: var(--bg); color: var(--fg); }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; overflow-wrap: anywhere; }
section { border-top: 1px solid var(--line); padding: .5rem 0 1.5rem; }
table { border-collapse: collapse; margin: .5rem 0; }
th, td { text-align: left; padding: .15rem 1.2rem .15rem 0; vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: 600; color: var(--muted); }
.doubt { color: var(--bad); font-weight: 600; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(15rem, 100%), 1fr));
  gap: 1rem; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 6px;
  padding: .6rem; }
figure img { width: 100%; image-rendering: pixelated; display: block; }
figcaption { font-size: .9rem; color: var(--muted); padding-top: .4rem; overflow-wrap: anywhere; }
</style>
</head>
<body>
<main>
<h1>What {{ title }} says</h1>
<p>Classes: {{ classes | join(", ") }}. An answer is that of a research model, and no diagnosis.</p>
{% for case in cases %}
<section>
<h2>{{ case.name }}</h2>
{% for doubt in case.doubts %}<p class="doubt">{{ doubt }}</p>
{% endfor %}<table>
{% for what, value in case.words %}<tr><th scope="row">{{ what }}</th><td>{{ value }}</td></tr>
{% endfor %}</table>
<div class="pictures">
{% for picture in case.pictures %}<figure>
<img src="{{ picture.data }}" alt="{{ picture.title }}">
<figcaption>{{ picture.title }}</figcaption>
</figure>
{% endfor %}</div>
{% for sentence in case.blank %}<p>{{ sentence }}</p>
{% endfor %}
</section>
{% endfor %}
{% if refused %}
<section>
<h2>Refused</h2>
<ul>
{% for reason in refused %}<li>{{ reason }}</li>
{% endfor %}</ul>
</section>
{% endif %}
</main>
</body>
</html>
"""


def check_folder(folder: Path) -> None:
    """Check that explanations may be written into a folder: a new or an empty one, or one that has some.

    Raises:
        ConfigError: if it has something else.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    page = folder / PAGE
    if page.is_file() and _OURS in page.read_text(encoding="utf-8", errors="replace"):
        return
    raise ConfigError(
        f"--explain: {folder} is there and no earlier explanation, and is left as it is; name a new folder"
    )


def remove_earlier(folder: Path) -> None:
    """Remove the pictures of an earlier explanation, which may be of other images."""
    for place in folder.glob("image_*"):
        for path in place.glob("*.png"):
            if _PICTURE.fullmatch(f"{place.name}/{path.name}") and not place.is_symlink():
                path.unlink()


def write_page(
    path: Path,
    title: str,
    class_names: Sequence[str],
    explanations: Sequence[Explanation],
    refused: Sequence[str] = (),
) -> None:
    """Write the page, atomically. All that comes from files and configurations is shown as text.

    Args:
        path: the file.
        title: of the model.
        class_names: in the order of the class index.
        explanations: one an image.
        refused: why images were refused.
    """
    from jinja2 import Environment

    page = Environment(autoescape=True, trim_blocks=True).from_string(_PAGE)
    cases = [_case(one, class_names) for one in explanations]
    write_text(path, page.render(title=title, classes=class_names, cases=cases, refused=refused))


def _case(explanation: Explanation, class_names: Sequence[str]) -> dict[str, Any]:
    words = answer_words(explanation.answer, class_names)
    is_baseline = explanation.factual is None
    pictures = []
    for (what, name), pixels in explanation.pictures().items():
        title = _GRAD_CAM if is_baseline and what == "evidence" else _TITLES[what]
        pictures.append({"title": title.format(name=name), "data": _data_uri(pixels)})
    doubts = [text for text in (words.pop("Doubt", ""), explanation.answer["note"]) if text]
    which = (
        "The Grad-CAM map of what speaks for {name}" if is_baseline else "The map of evidence against {name}"
    )
    return {
        "name": explanation.answer["image"],
        "words": list(words.items()),
        "doubts": doubts,
        "pictures": pictures,
        "blank": [f"{which.format(name=name)} {_BLANK}" for name in explanation.blank()],
    }


def _data_uri(pixels: Any) -> str:
    """A picture as a PNG inside the page, of at least 128 pixels a side where it can be enlarged evenly."""
    image, stream = Image.fromarray(pixels), io.BytesIO()
    factor = max(1, math.ceil(128 / min(image.size)))
    image.resize([side * factor for side in image.size], Image.Resampling.NEAREST).save(stream, "PNG")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
