"""The documentation site: it builds without a warning, and its generated pages say what the code says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

import reference_pages
import root_pages
from meddiff.cli import COMMANDS
from meddiff.config.json_schemas import schemas


@pytest.mark.slow
def test_the_site_builds_without_a_warning(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet"]
    done = subprocess.run(
        [*command, str(root / "docs"), str(tmp_path)], text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {path.relative_to(tmp_path).with_suffix("").as_posix() for path in tmp_path.rglob("*.html")}
    assert {"index", "start", "python", "_generated/configuration", "_generated/commands"} <= pages
    for page in tmp_path.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        fetched = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="(https?://[^"]*)"', text)
        assert not fetched, f"{page.name}: the site works without a network"
        for target in re.findall(r'href="([^"#:?]+)(?:[?#][^"]*)?"', text):
            assert (page.parent / target).exists(), f"{page.name}: {target} is not there"


def test_every_page_is_in_the_contents(root: Path) -> None:
    contents = (root / "docs/index.md").read_text(encoding="utf-8")
    named = {
        one or other for one, other in re.findall(r"^(?:([\w/-]+)|.* <(_\w+/\w+)>)$", contents, re.MULTILINE)
    }
    there = {path.stem for path in (root / "docs").glob("*.md")} - {"index"}
    assert (
        there | set(root_pages.PAGES.values()) - {"index"} | {"_generated/keys", "_generated/commands"}
        == named
    )


def test_every_command_and_argument_is_in_the_reference() -> None:
    page = reference_pages.commands()
    for name in COMMANDS:
        assert f"# `{name}`\n" in page
    assert "| `--tflops TFLOPS` | sustained TFLOP/s of one GPU, on these networks |" in page
    assert "%(" not in page, "defaults are filled in"


def test_every_key_is_in_the_reference_with_type_default_and_limits() -> None:
    page = reference_pages.keys()
    for schema in schemas().values():
        for part in (schema, *schema["$defs"].values()):
            for key in part.get("properties", {}):
                assert f"| `{key}` |" in page
    assert "| `image_size` | whole number from 8 to 4,096 | required | side in pixels" in page
    assert "| `hflip` | number from 0 to 1 | `0.0` |" in page
    assert '| `decoding` | `"full"` or `"reduced"` | `"full"` |' in page


@pytest.mark.parametrize(
    ("source", "page", "link", "expected"),
    [
        ("config/README.md", "_generated/configuration", "../docs/tried.md#a", "../tried.md#a"),
        ("config/README.md", "_generated/configuration", "../CONTRIBUTING.md", "contributing.md"),
        ("config/README.md", "_generated/configuration", "#presets", "#presets"),
        ("docs/paper.md", "paper", "../config/README.md#presets", "_generated/configuration.md#presets"),
        ("docs/paper.md", "paper", "https://example.org/a", "https://example.org/a"),
        ("docs/datasets.md", "datasets", "../config/datasets/isic.yaml", "../config/datasets/isic.yaml"),
        ("CONTRIBUTING.md", "_generated/contributing", "LICENSE", "../../LICENSE"),
    ],
)
def test_links_are_those_of_the_site(root: Path, source: str, page: str, link: str, expected: str) -> None:
    text = f"see [`a` [b]]({link}).\n\n```\n[code]({link})\n```\n"
    made = root_pages.linked(text, root, PurePosixPath(source), page)
    assert made == f"see [`a` [b]]({expected}).\n\n```\n[code]({link})\n```\n"


def test_no_page_links_to_what_only_the_site_has(root: Path) -> None:
    for page in (root / "docs").glob("*.md"):
        assert f"({root_pages.GENERATED}/" not in page.read_text(encoding="utf-8"), f"{page.name}"


def test_a_link_to_a_folder_is_only_its_text(root: Path) -> None:
    made = root_pages.linked("see [the files](../config/models).", root, PurePosixPath("docs/a.md"), "a")
    assert made == "see the files."


def test_a_page_is_written_again_only_if_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "made/page.md"
    root_pages.write_if_changed(path, "one")
    os.utime(path, (1, 1))
    root_pages.write_if_changed(path, "one")
    assert path.stat().st_mtime == 1
    root_pages.write_if_changed(path, "two")
    assert path.read_text() == "two" and path.stat().st_mtime > 1
