"""What the logger plug-in shows of Snakemake's events."""

from __future__ import annotations

import io
import logging
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yte
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

from meddiff import cli
from snakemake_logger_plugin_meddiff import ending
from snakemake_logger_plugin_meddiff.handler import LogHandler, plain_error
from snakemake_logger_plugin_meddiff.job_log import progress, reason
from snakemake_logger_plugin_meddiff.run_state import Job, RunState
from snakemake_logger_plugin_meddiff.screen import Terminal, live_lines, screen

ERROR = (
    'WorkflowError in file "/x/workflow/rules/common.smk", line 58:\nconfig/x.yaml: a: unknown key\nsay b\n'
    '  File "/x/workflow/rules/common.smk", line 61, in <module>\n'
    '  File "/x/workflow/rules/common.smk", line 58, in told_by_snakemake'
)


class Run:
    """A run of Snakemake's by its events, shown in a pipe."""

    def __init__(self, monkeypatch, folder: Path, **settings: object) -> None:
        self.shown = io.StringIO()
        monkeypatch.setattr("sys.stderr", self.shown)
        monkeypatch.chdir(folder)
        usual = dict.fromkeys(["dryrun", "verbose", "debug_dag", "printshellcmds", "stdout"], False)
        usual |= {"nocolor": True, "quiet": set(), "show_failed_logs": True}
        self.handler = LogHandler(SimpleNamespace(**{**usual, **settings}), None)
        self.now = 1000.0

    def event(self, event: LogEvent | None, text: str = "None", level: int = logging.INFO, **fields) -> None:
        values = {
            "name": "snakemake",
            "levelno": level,
            "levelname": logging.getLevelName(level),
            "msg": text,
        }
        values |= {"created": self.now, **fields} | ({"event": event} if event else {})
        self.handler.handle(logging.makeLogRecord(values))

    def begin(self, **stats: int) -> None:
        names = {"name": "demo", "results": "results/demo"}
        self.event(None, "Experiment demo", meddiff_experiment=names)
        self.event(LogEvent.WORKFLOW_STARTED)
        self.event(None, "Building DAG of jobs...")
        self.event(LogEvent.RUN_INFO, "Job stats", stats={**stats, "total": sum(stats.values())})

    def job(self, number: int, rule: str = "train", output: str = "results/demo/x") -> None:
        files = {"log": [f"{number}.log"], "output": [output]}
        title = f"Training number {number}"
        fields = {"jobid": number, "rule_name": rule, "rule_msg": title, "wildcards": {}, **files}
        fields |= {"input": ["in"], "reason": "Missing output", "indent": False}
        self.event(LogEvent.JOB_INFO, **fields)
        self.event(
            LogEvent.SHELLCMD, "Shell command: python -m meddiff train", shellcmd="python -m meddiff train"
        )

    def finish(self, number: int, seconds: float) -> None:
        self.now += seconds
        self.event(LogEvent.JOB_FINISHED, job_id=number)

    def fail(self, number: int, log: str) -> None:
        Path(f"{number}.log").write_text(log)
        self.event(
            LogEvent.ERROR, "CalledProcessError: command returned 1", logging.ERROR, exception="RuleException"
        )
        fields = {"jobid": number, "rule_name": "train", "log": [f"{number}.log"], "shellcmd": "python -m x"}
        self.event(LogEvent.JOB_ERROR, "Error in rule", logging.ERROR, **fields)

    def end(self) -> list[str]:
        self.handler.close()
        return self.shown.getvalue().splitlines()


@pytest.fixture
def run(monkeypatch, tmp_path):
    return Run(monkeypatch, tmp_path)


def test_a_run_is_one_line_a_job_and_ends_with_what_to_open(run):
    run.begin(train=2, all=1)
    Path("results/demo/tables").mkdir(parents=True)
    run.job(1, output="results/demo/c/m/seed0/weights/model.safetensors")
    run.finish(1, 40)
    run.event(LogEvent.PROGRESS, done=1, total=3)
    run.job(2, output="results/demo/tables/metrics.md")
    run.finish(2, 20)
    run.event(LogEvent.PROGRESS, done=2, total=3)
    run.event(LogEvent.JOB_INFO, jobid=0, rule_name="all", rule_msg=None, wildcards={}, log=[], output=[])
    run.event(LogEvent.JOB_FINISHED, job_id=0)
    run.event(LogEvent.PROGRESS, done=3, total=3)
    run.event(None, f"Complete log(s): {Path.cwd()}/.snakemake/log/a.log")
    lines = run.end()
    assert lines[0] == "Experiment demo"
    assert lines[1] == "3 jobs are to be done."
    assert lines[2] == "[1/3] Training number 1: 40 s; about 40 s left"
    assert lines[3] == "[2/3] Training number 2: 20 s"
    assert lines[4].startswith("Done: 3 of 3 jobs in ")
    assert lines[5] == "  made  1 trained model, 1 table"
    assert lines[6] == "  open  results/demo/tables"
    assert lines[7].startswith("  next  python -m meddiff provenance results/demo ")
    assert lines[-1] == "  log   .snakemake/log/a.log"
    assert not any("Building DAG" in line or "Shell command" in line for line in lines)


def test_a_failure_says_its_message_first(run):
    run.begin(train=2)
    run.job(1)
    run.fail(1, "12:00:00 INFO training 1/2\n12:00:01 ERROR flash is not possible:\nuse sdpa\n")
    run.event(None, "Exiting because a job execution failed. Look above", logging.ERROR)
    lines = run.end()
    at = next(i for i, line in enumerate(lines) if line.startswith("Failed after"))
    assert lines[at].endswith(": Training number 1")
    assert lines[at + 1 : at + 5] == [
        *("  flash is not possible:", "  use sdpa"),
        *("  log: 1.log, its last lines before that:", "    12:00:00 INFO training 1/2"),
    ]
    assert lines[at + 5 : at + 7] == ["  rule: train", "  command: python -m x"]
    assert "1 job failed, 0 of 2 jobs are done" in lines[at + 7]
    assert not any("Exiting" in line or "CalledProcessError" in line for line in lines)


def test_a_log_that_says_nothing_leaves_the_word_to_snakemake(run):
    run.begin(train=1)
    run.job(1)
    run.fail(1, "")
    assert "  CalledProcessError: command returned 1" in run.end()


def test_a_job_that_was_tried_again_is_no_failure_of_the_run(run):
    run.begin(train=1)
    run.job(1)
    run.fail(1, "12:00:01 ERROR out of memory\n")
    run.event(None, "Trying to restart job 1.")
    run.job(1)
    run.finish(1, 5)
    run.event(LogEvent.PROGRESS, done=1, total=1)
    lines = run.end()
    assert "Trying to restart job 1." in lines
    assert any(line.startswith("Done: 1 of 1 jobs") for line in lines)


def test_a_run_that_is_stopped_says_that_it_goes_on(run):
    run.begin(train=3)
    run.job(1)
    run.event(None, "Will exit after finishing currently running jobs (scheduler).")
    lines = run.end()
    assert any(line.startswith("Will exit after") for line in lines)
    assert any(line.startswith("Stopped after") and "0 of 3 jobs" in line for line in lines)


def test_what_is_wrong_while_planning_is_said_without_places_in_the_code(run):
    run.event(LogEvent.ERROR, ERROR, logging.ERROR, exception="WorkflowError")
    assert run.end() == ["Error: config/x.yaml: a: unknown key", "say b"]
    assert plain_error("MissingInputException in rule x: a") == "MissingInputException in rule x: a"


def test_nothing_to_be_done_says_what_to_open(run):
    Path("results/demo/report").mkdir(parents=True)
    Path("results/demo/report/index.html").touch()
    run.event(None, "x", meddiff_experiment={"name": "demo", "results": "results/demo"})
    run.event(LogEvent.WORKFLOW_STARTED)
    run.event(None, "Nothing to be done (all requested files are present and up to date).")
    lines = run.end()
    assert lines[1].startswith("Nothing to be done") and lines[2] == "  open  results/demo/report/index.html"


def test_dry_runs_and_verbose_ones_are_shown_as_snakemake_does(monkeypatch, tmp_path):
    for settings in ({"dryrun": True}, {"verbose": True}):
        run = Run(monkeypatch, tmp_path, **settings)
        run.begin(train=1)
        assert "Building DAG of jobs..." in run.end()


def test_jobs_and_commands_are_shown_with_p(monkeypatch, tmp_path):
    run = Run(monkeypatch, tmp_path, printshellcmds=True)
    run.begin(train=1)
    run.job(1)
    text = "\n".join(run.end())
    assert "Reason: Missing output" in text and "python -m meddiff train" in text


@pytest.mark.parametrize(("quiet", "said"), [("progress", ["Failed", "Stopped"]), ("all", [])])
def test_quiet_runs(monkeypatch, tmp_path, quiet, said):
    run = Run(monkeypatch, tmp_path, quiet={quiet})
    run.begin(train=2)
    run.job(1)
    run.finish(1, 50)
    run.job(2)
    run.fail(2, "12:00:00 ERROR wrong\n")
    text = "\n".join(run.end())
    assert "[1/2]" not in text
    assert [word for word in ("Failed", "Stopped") if word in text] == said


def test_a_quiet_run_does_not_say_how_many_jobs_are_done(monkeypatch, tmp_path):
    """Snakemake tells of none that is finished."""
    run = Run(monkeypatch, tmp_path, quiet={"progress", "rules"})
    run.begin(train=1)
    run.job(1)
    run.now += 30
    run.event(None, "Complete log(s): /somewhere/a.log")
    assert run.end()[-2:] == ["Ended after 30 s.", "  log   /somewhere/a.log"]


def test_a_fault_of_the_display_hides_nothing(run, monkeypatch):
    run.begin(train=1)
    monkeypatch.setattr(logging, "raiseExceptions", False)
    run.event(LogEvent.JOB_FINISHED)  # without the number that belongs there
    run.event(None, "the rest of the run")
    assert "the rest of the run" in run.end()


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ("12:00:00 ERROR a.csv: row 3: 7.0\n12:00:00 INFO bye\n", "a.csv: row 3: 7.0"),
        ("Traceback (most recent call last):\n  File x\nKeyError: 'a'\n", "KeyError: 'a'"),
        ("killed\n", ""),
        ("", ""),
    ],
)
def test_reasons_of_failures(log, message):
    assert reason(log.splitlines()).message == message


def test_progress_of_a_job_is_its_last_line_if_that_counts(tmp_path):
    log = tmp_path / "a.log"
    log.write_text("12:00:00 INFO training 3/10 (2 s left)\n")
    assert progress(str(log)) == "training 3/10 (2 s left)"
    log.write_text(log.read_text() + "12:00:01 INFO GDEF pruned\n")
    assert progress(str(log)) == "" and progress(str(tmp_path / "none.log")) == ""


def test_a_terminal_shows_what_runs_and_keeps_what_took_long(tmp_path):
    stream = io.StringIO()
    stream.isatty = lambda: True
    terminal = Terminal(stream, quiet=False, colours=False)
    state = RunState(0.0)
    state.plan({"train": 9, "total": 9})
    for number in range(7):
        state.start(Job(number, "train", f"Training [number] {number}", 0.0))
    shown = live_lines(state, 5.0)
    assert shown[0].endswith("0 of 9 jobs, 5 s so far")
    assert shown[1] == "  Training [number] 0: 5 s" and shown[-1] == "  and 2 more"
    for number, seconds in ((0, 5.0), (1, 50.0)):
        job, took = state.finish(number, seconds)
        terminal.finished(state, job, took, seconds)
    terminal.close()
    assert stream.getvalue().startswith("[2/9] Training [number] 1: 50 s; ")


def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines(monkeypatch):
    stream = io.StringIO()
    stream.isatty = lambda: True
    monkeypatch.setenv("TERM", "dumb")
    assert not isinstance(screen(stream, quiet=False, colours=True), Terminal)
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(screen(stream, quiet=False, colours=True), Terminal)


def test_a_model_to_ask_is_one_of_a_dataset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ending.trained_run("results/demo") == ""
    for run in ("joint/a/seed0", "chest/b/seed1", "chest/b/seed0"):
        (tmp_path / "results/demo" / run / "weights").mkdir(parents=True)
        (tmp_path / "results/demo" / run / "weights/model.safetensors").touch()
    assert ending.trained_run("results/demo") == "results/demo/chest/b/seed0"
    (tmp_path / "results/demo/tables").mkdir()
    lines = ending.opening(ending.Experiment("demo", "results/demo"))
    assert "python -m meddiff classify results/demo/chest/b/seed0 IMAGE" in lines[1]


def test_commands_to_run_next_exist():
    for command, _ in ending.NEXT:
        assert re.match(f"snakemake |python -m meddiff ({'|'.join(cli.OWN)}) ", command), command


def test_the_profile_chooses_the_plug_in(root, monkeypatch):
    monkeypatch.chdir(root)
    assert LoggerPluginRegistry().is_installed("meddiff")
    text = Path("profiles/default/config.yaml").read_text()
    assert yte.process_yaml(io.StringIO(text), require_use_yte=True)["logger"] == ["meddiff"]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # an environment without Rich
    assert "logger" not in yte.process_yaml(io.StringIO(text), require_use_yte=True)
