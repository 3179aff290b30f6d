"""What is written as YAML is read as the same by the workflow's own reader."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from meddiff.config.yaml_file import read_yaml
from meddiff.starting.yaml_text import document

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60)
odd = st.sampled_from(
    ["no", "Yes", "true", "010", "1e3", "1:30", "a: b", "#x", "- a", "it's", '"', "\\d+", "~", "*"]
)
scalars = st.one_of(texts, odd, st.booleans(), st.integers(-10, 10**6), st.floats(1e-6, 1000))
values = st.one_of(
    scalars,
    st.lists(scalars, max_size=5),
    st.lists(st.dictionaries(texts, scalars, min_size=1, max_size=3), max_size=3),
)


@given(
    st.dictionaries(texts | odd, st.one_of(values, st.dictionaries(texts, values, max_size=4)), min_size=1),
    st.lists(texts, max_size=3),
)
def test_it_is_read_as_it_was_meant(content: dict, comments: list[str]) -> None:
    notes = {key: comments for key in content}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.yaml"
        path.write_text(document("dataset", comments, content, notes), encoding="utf-8")
        found = read_yaml(path)
    assert list(found) == list(content)
    assert str(rounded(found)) == str(rounded(content))


def rounded(value: object) -> object:
    """Small numbers are written with two digits."""
    if isinstance(value, float):
        return f"{value:.1e}"
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    return [rounded(inner) for inner in value] if isinstance(value, list) else value
