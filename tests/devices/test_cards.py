"""Every job has a card of its own: cards that are not there, and real processes that take them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import yte

from meddiff import cli
from meddiff.devices import cards
from meddiff.devices.cards import VISIBLE, own_cards, visible_cards
from meddiff.errors import ConfigError

TWO = """GPU 0: NVIDIA RTX A6000 (UUID: GPU-aaaa-1)
GPU 1: NVIDIA RTX A6000 (UUID: GPU-bbbb-2)
"""
DIVIDED = """GPU 0: NVIDIA A100 (UUID: GPU-aaaa-1)
  MIG 3g.20gb     Device  0: (UUID: MIG-one)
  MIG 3g.20gb     Device  1: (UUID: MIG-two)
GPU 1: NVIDIA A100 (UUID: GPU-bbbb-2)
"""
# Takes cards, and is alone on each: its mark must not be there yet. Appends what it got to a log.
JOB = """
import os, sys, time
from pathlib import Path
from meddiff.devices.cards import own_cards
number, seconds, marks = int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3])
with own_cards(number):
    names = os.environ["CUDA_VISIBLE_DEVICES"].split(",")
    for name in names:
        os.close(os.open(marks / name, os.O_CREAT | os.O_EXCL))
    with open(marks / "log", "a") as log:
        log.write(" ".join(names) + "\\n")
    time.sleep(seconds)
    for name in names:
        os.unlink(marks / name)
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine whose driver shows what is given, with an empty folder for locks."""
    programs, temporary = tmp_path / "bin", tmp_path / "tmp"
    programs.mkdir()
    temporary.mkdir()
    monkeypatch.setenv("PATH", os.pathsep.join([str(programs), os.environ["PATH"]]))
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    for name in (VISIBLE, "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)

    def show(listing: str) -> None:
        program = programs / "nvidia-smi"
        program.write_text(f"#!/bin/sh\ncat <<'EOF'\n{listing}EOF\n" if listing else "#!/bin/sh\nexit 9\n")
        program.chmod(0o755)

    show(TWO)
    return show


def job(marks: Path, number: int = 1, seconds: float = 0.1) -> subprocess.Popen:
    marks.mkdir(exist_ok=True)
    return subprocess.Popen([sys.executable, "-c", JOB, str(number), str(seconds), str(marks)])


def taken(marks: Path) -> list[str]:
    log = marks / "log"
    return log.read_text().splitlines() if log.exists() else []


def wait_until(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("listing", "variable", "expected"),
    [
        (TWO, None, ["GPU-aaaa-1", "GPU-bbbb-2"]),
        (DIVIDED, None, ["MIG-one", "MIG-two", "GPU-bbbb-2"]),
        ("", None, []),
        (TWO, "", []),
        (TWO, "-1", []),
        (TWO, "NoDevFiles", []),
        (TWO, "1", ["1"]),
        (TWO, "0, GPU-bbbb-2", ["0", "GPU-bbbb-2"]),
        (TWO, "1,-1,0", ["1"]),
    ],
)
def test_cards_that_cuda_shows(machine, monkeypatch, listing, variable, expected):
    machine(listing)
    if variable is not None:
        monkeypatch.setenv(VISIBLE, variable)
    assert visible_cards() == expected


def test_cards_that_only_the_kernel_knows(machine, monkeypatch, tmp_path):
    machine("")
    for bus, text in (("0000:65:00.0", "GPU UUID: \t GPU-bbbb-2\n"), ("0000:17:00.0", "Model: \t A6000\n")):
        (tmp_path / bus).mkdir()
        (tmp_path / bus / "information").write_text(text)
    monkeypatch.setattr(cards, "_DRIVER", tmp_path)
    assert visible_cards() == ["0", "GPU-bbbb-2"]


def test_without_cards_nothing_is_changed(machine):
    machine("")
    with own_cards(1):
        assert VISIBLE not in os.environ


def test_a_card_is_taken_and_given_back(machine):
    with own_cards(1):
        assert os.environ[VISIBLE] == "GPU-aaaa-1"
    assert VISIBLE not in os.environ
    with own_cards(5):
        assert os.environ[VISIBLE] == "GPU-aaaa-1,GPU-bbbb-2"


@pytest.mark.parametrize("variable", [None, "0,1"])
def test_jobs_do_not_meet_on_a_card_and_no_card_is_idle(machine, monkeypatch, tmp_path, variable):
    if variable is not None:
        monkeypatch.setenv(VISIBLE, variable)
    marks = tmp_path / "marks"
    jobs = [job(marks, seconds=0.3) for _ in range(6)]
    assert [process.wait(60) for process in jobs] == [0] * 6
    found = Counter(taken(marks))
    assert sum(found.values()) == 6
    assert set(found) == set(visible_cards())


def test_jobs_that_want_all_cards_do_not_wait_for_each_other_for_ever(machine, tmp_path):
    marks = tmp_path / "marks"
    jobs = [job(marks, number) for number in (2, 1, 2, 1, 2)]
    assert [process.wait(60) for process in jobs] == [0] * 5
    assert sorted(len(line.split()) for line in taken(marks)) == [1, 1, 2, 2, 2]


def test_a_killed_job_gives_its_card_back(machine, tmp_path):
    machine(TWO.splitlines(keepends=True)[0])
    first = job(tmp_path / "first", seconds=60)
    wait_until(lambda: taken(tmp_path / "first"))
    second = job(tmp_path / "second")
    time.sleep(1)
    assert second.poll() is None and not taken(tmp_path / "second")
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert second.wait(60) == 0
    assert taken(tmp_path / "second") == ["GPU-aaaa-1"]


def test_numbers_and_uuids_of_a_card_are_one_lock(machine, monkeypatch):
    with own_cards(1):
        monkeypatch.setenv(VISIBLE, "0,1")
        with own_cards(1):
            assert os.environ[VISIBLE] == "1"


def test_who_chose_a_card_does_not_wait(machine, monkeypatch):
    """A user, or Slurm: in its jobs the number of the first card is 0, whichever it is."""
    with own_cards(1):
        monkeypatch.setenv(VISIBLE, "0")
        with own_cards(1):
            assert os.environ[VISIBLE] == "0"


def test_a_job_of_slurm_without_named_cards_is_left_alone(machine, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    with own_cards(1):
        assert VISIBLE not in os.environ


def test_a_folder_of_somebody_else_is_not_used(machine, monkeypatch):
    (Path(os.environ["TMPDIR"]) / f"meddiff-gpus-{os.getuid()}").symlink_to("/")
    with pytest.raises(ConfigError, match=r"not a folder of yours.*TMPDIR"), own_cards(1):
        pass


def test_every_command_of_a_rule_with_a_gpu_takes_one(root: Path):
    rules = "\n".join(path.read_text() for path in (root / "workflow/rules").glob("*.smk"))
    found = {}
    for text in re.split(r"^ *(?:use )?rule ", rules, flags=re.MULTILINE)[1:]:
        if command := re.search(r"python -m meddiff (\w+)", text):
            needs = re.search(r"^ +gpu=", text, re.MULTILINE) is not None
            found[command[1]] = found.get(command[1], False) or needs
    assert sum(found.values()) >= 5
    for command, needs in found.items():
        module = __import__(f"meddiff.cli.{command}", fromlist=["gpus"])
        assert hasattr(module, "gpus") == needs, command


def test_a_command_runs_on_its_card_and_says_so_to_those_it_starts(machine, monkeypatch):
    seen = []
    module = cli.parse(["predict", "--weights", "w", "--store", "s", "--out", "/nowhere/p.csv"])[0]
    monkeypatch.setattr(module, "run", lambda args: seen.append(os.environ[VISIBLE]))
    arguments = ["predict", "--weights", "w", "--store", "s", "--out", "/nowhere/p.csv"]
    assert cli.main(arguments) == 0
    # One of several processes that train together keeps what its parent has taken.
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv(VISIBLE, "GPU-aaaa-1,GPU-bbbb-2")
    assert cli.main(arguments) == 0
    assert seen == ["GPU-aaaa-1", "GPU-aaaa-1,GPU-bbbb-2"]


def profile(root: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> dict:
    monkeypatch.setattr("sys.argv", ["snakemake", *arguments])
    monkeypatch.chdir(root)
    with (root / "profiles/default/config.yaml").open() as file:
        return yte.process_yaml(file, require_use_yte=True)


def test_snakemake_starts_as_many_jobs_as_there_are_cards(machine, monkeypatch, root):
    assert profile(root, monkeypatch)["resources"] == {"gpu": 2}
    for arguments in (["--profile", "slurm"], ["--profile=slurm"]):
        found = profile(root, monkeypatch, *arguments)
        assert "resources" not in found and found["cores"] > 1000
    machine("")
    assert "resources" not in profile(root, monkeypatch)


@pytest.mark.slow
def test_a_workflow_shares_out_the_cards(machine, tmp_path, root):
    """Four cores, two cards: never more than two of the six jobs at a time, each on a card of its own."""
    (tmp_path / "profiles").symlink_to(root / "profiles")
    (tmp_path / "workflow").mkdir()
    (tmp_path / "workflow/src").symlink_to(root / "workflow/src")
    marks = tmp_path / "marks"
    marks.mkdir()
    (tmp_path / "job.py").write_text(JOB)
    (tmp_path / "Snakefile").write_text(
        "rule all:\n    input: expand('{i}', i=range(6))\n"
        "rule one:\n    output: '{i}'\n    resources: gpu=1\n"
        # As many files as jobs of this rule run, counted without regard to cards.
        f"    shell: 'touch {marks}/run-{{wildcards.i}}; ls {marks} | grep -c run- >> {marks}/count;'\n"
        f"        '{sys.executable} job.py 1 0.5 {marks}; rm {marks}/run-{{wildcards.i}}; touch {{output}}'\n"
    )
    run = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "4"], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert max(map(int, (marks / "count").read_text().split())) == 2
    assert len(taken(marks)) == 6 and set(taken(marks)) == {"GPU-aaaa-1", "GPU-bbbb-2"}
