"""Every value that the rules put into a shell text stays one word, whatever it is."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.utils import format as fill

HOSTILE = "a b;touch pwned $(touch pwned) `touch pwned` > pwned 'x' \"y\" *\n&"
PLACEHOLDER = re.compile(r"(?<!\{)\{([^{}]*)\}")


def rule_files(root: Path) -> list[Path]:
    return [root / "Snakefile", *sorted((root / "workflow").glob("**/*.smk"))]


def shell_texts(file: Path) -> list[str]:
    """The text of every ``shell:`` of a file: the string literals that follow it, joined."""
    lines = file.read_text().splitlines()
    texts = []
    for number, line in enumerate(lines):
        if line.strip() != "shell:":
            continue
        literals = []
        for following in lines[number + 1 :]:
            if not following.strip().startswith('"'):
                break
            literals.append(following.strip())
        texts.append(ast.literal_eval(f"({' '.join(literals)})"))
    return texts


class Anything(SimpleNamespace):
    """An object whose every attribute is `value`, as a rule's `params` may be."""

    def __getattr__(self, name: str) -> str:
        return self.value


def filled(text: str, value: object) -> str:
    parts = ("input", "output", "params", "resources", "wildcards")
    values = {part: value if f"{{{part}:q}}" in text else Anything(value=value) for part in parts}
    return fill(text, **values, log=value, threads=value)


def test_all_shell_texts_are_read(root):
    for file in rule_files(root):
        source = file.read_text()
        assert len(re.findall(r"^\s*shell:", source, re.MULTILINE)) == len(shell_texts(file)), file
        # Nothing else starts a shell; processes are started with lists of words.
        others = r"^\s*run:|\bshell\(|os\.system|popen|shell=|getoutput|getstatusoutput"
        assert not re.search(others, source, re.MULTILINE | re.IGNORECASE), file
    assert sum(len(shell_texts(file)) for file in rule_files(root)) > 20


def test_every_placeholder_is_quoted(root):
    unquoted = [
        f"{file.name}: {{{name}}}"
        for file in rule_files(root)
        for text in shell_texts(file)
        for name in PLACEHOLDER.findall(text)
        if not name.endswith(":q")
    ]
    assert unquoted == []


@pytest.mark.parametrize("values", [HOSTILE, [HOSTILE, HOSTILE]], ids=["one", "several"])
def test_hostile_values_stay_words(root, values):
    """The shell sees the same words as with a harmless value, apart from that value."""
    harmless = "harmless" if isinstance(values, str) else ["harmless"] * len(values)
    for file in rule_files(root):
        for text in shell_texts(file):
            if isinstance(values, list):  # only whole words can be lists
                text = re.sub(r"\{wildcards[^}]*\}|data/\{[^}]*\}/official", "x", text)
            expected = [word.replace("harmless", HOSTILE) for word in shlex.split(filled(text, harmless))]
            assert shlex.split(filled(text, values)) == expected, f"{file.name}: {text}"
