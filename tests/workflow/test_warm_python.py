"""The warm interpreter does what a new one does: a package called meddiff says what it was started with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import warm_python

pytestmark = pytest.mark.slow

MAIN = """
import json, os, signal, sys, time

match sys.argv[1:]:
    case ["say", *words]:
        ignored = signal.getsignal(signal.SIGUSR1) == signal.SIG_IGN
        said = [os.getcwd(), words, os.environ.get("SAID"), sys.stdin.read(), ignored, __name__, __file__]
        print(json.dumps(said))
        print("and errors", file=sys.stderr)
    case ["exit", "nothing"]:
        sys.exit()
    case ["exit", "message"]:
        sys.exit("a message")
    case ["exit", number]:
        sys.exit(int(number))
    case ["raise"]:
        raise ValueError("raised")
    case ["kill"]:
        os.kill(os.getpid(), signal.SIGKILL)
    case ["wait", file]:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        with open(file, "w") as stream:
            stream.write(str(os.getpid()))
        time.sleep(60)
"""


@pytest.fixture(params=["warm", "new"])
def python(request: pytest.FixtureRequest) -> str:
    """The interpreter to be tried, and for comparison a new one."""
    folder = warm_python.folder()
    if request.param == "new" or folder is None:
        return sys.executable
    return str(folder / "python")


@pytest.fixture
def start(python: str, tmp_path: Path):
    """A function that starts the package with some arguments."""
    (tmp_path / "packages/meddiff").mkdir(parents=True)
    (tmp_path / "packages/meddiff/__init__.py").touch()
    (tmp_path / "packages/meddiff/__main__.py").write_text(MAIN)
    variables = {**os.environ, "PYTHONPATH": str(tmp_path / "packages"), "SAID": "größer =\n1"}

    def begin(*arguments: str, **more) -> subprocess.Popen[str]:
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        command = [python, "-m", "meddiff", *arguments]
        return subprocess.Popen(command, cwd=tmp_path, env=variables, text=True, **{**pipes, **more})

    return begin


def started(process: subprocess.Popen[str], file: Path) -> int:
    """The process that wrote `file`, once it has."""
    while not file.exists() or not file.read_text():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    return int(file.read_text())


def gone(process: int) -> bool:
    """Whether a process ends within ten seconds."""
    for _ in range(500):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.02)
    return False


def test_arguments_environment_folder_and_streams(start, tmp_path):
    out, errors = start("say", "two words", "", "ü").communicate("from standard input")
    said = [str(tmp_path), ["two words", "", "ü"], "größer =\n1", "from standard input", False, "__main__"]
    assert json.loads(out)[:-1] == said
    assert out.rstrip().endswith('packages/meddiff/__main__.py"]')
    assert errors == "and errors\n"


def test_ignored_signals_stay_ignored(start):
    process = start("say", preexec_fn=lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN))
    assert ", true, " in process.communicate("")[0]


@pytest.mark.parametrize(
    ("arguments", "status", "errors"),
    [
        (["exit", "nothing"], 0, ""),
        (["exit", "0"], 0, ""),
        (["exit", "3"], 3, ""),
        (["exit", "message"], 1, "a message\n"),
        (["raise"], 1, "ValueError: raised\n"),
        (["kill"], -signal.SIGKILL, ""),
    ],
)
def test_ends(start, arguments, status, errors):
    process = start(*arguments)
    found = process.communicate()[1]
    assert process.returncode == status
    assert found.endswith(errors) and (errors or not found)


def test_signals_reach_the_job(start, tmp_path):
    process = start("wait", "started")
    started(process, tmp_path / "started")
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 7


def test_a_killed_client_takes_its_job_along(start, tmp_path):
    process = start("wait", "started")
    job = started(process, tmp_path / "started")
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert gone(job)


def test_other_commands_start_anew(python):
    code = "import sys; print('torch' in sys.modules)"
    assert subprocess.run([python, "-c", code], text=True, capture_output=True).stdout == "False\n"
