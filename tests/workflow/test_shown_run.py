"""What a person sees of a run: on a terminal, in a pipe, and what their own words make stale."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

REPORT = "results/smallest/report"


def on_a_terminal(project, *arguments: str) -> str:
    """What Snakemake writes to a terminal."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=project.folder,
        env={**project.environment, "TERM": "xterm-256color", "COLUMNS": "120"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    parts = []
    while True:
        try:
            part = os.read(controller, 65536)
        except OSError:  # Linux says so at the end
            break
        if not part:
            break
        parts.append(part)
    os.close(controller)
    assert process.wait() == 0
    return b"".join(parts).decode()


def test_statements_of_the_authors_make_the_report_again_and_a_terminal_shows_how_far_it_is(project):
    project.edit_yaml("config/experiments/smallest.yaml", study={"ethics": "None was needed."})
    assert project.planned() == {"write_methods": 1, "make_report": 1}
    text = on_a_terminal(project)
    assert "\x1b[?25l" in text and text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # the cursor is back
    assert re.search(r"0 of 3 jobs, \d+ s so far", text)
    assert "  Drafting methods and filling in check lists: " in text
    assert "Reason:" not in text and "--params" not in text
    ending = text[text.index("Done: 3 of 3 jobs") :]
    assert f"open  {REPORT}/index.html" in ending and ".snakemake/log/" in ending
    assert "None was needed." in (project.folder / REPORT / "checklists.csv").read_text()
    assert project.planned() == {}


def test_a_pipe_gets_one_line_a_job_and_the_message_of_a_failure_first(project):
    shutil.rmtree(project.folder / REPORT)
    (project.folder / "results/smallest/tables/flow.csv").write_text("not,a\ntable")
    text = project.snakemake(f"{REPORT}/methods.md", "--allowed-rules", "write_methods", expect=1)
    after = text.split("Failed after ")[1].splitlines()
    assert after[0].endswith(": Drafting methods and filling in check lists")
    assert "results/smallest/tables/flow.csv" in after[1]
    assert any(line.startswith("  command: python -m meddiff methods") for line in after)
    project.snakemake("results/smallest/tables/flow.md", "--force")
    text = project.snakemake()
    jobs = [line for line in text.splitlines() if re.match(r"\[ *\d+/\d+\] ", line)]
    assert len({line.split("]")[0] for line in jobs}) == len(jobs) >= 3
    assert "\x1b" not in text and "Reason:" not in text and "Done: " in text
