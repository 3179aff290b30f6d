"""The last words of a run: what was made, how long it took, what to open and what to do next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from snakemake_logger_plugin_meddiff.run_state import RunState, duration

# What one may want to do with finished results; a test asks that the commands exist.
NEXT = (
    ("python -m meddiff classify {run} IMAGE", "ask a model about an image"),
    ("python -m meddiff export {run} bundle", "take it away, with a model card"),
    ("python -m meddiff provenance {results}", "what the results were made from"),
)
# Singular, plural -> which outputs are counted as such.
_KINDS = {
    ("dataset", "datasets"): lambda path: path.match("data/*/table.csv"),
    ("trained model", "trained models"): lambda path: path.match("weights/model.safetensors"),
    ("scored test split", "scored test splits"): lambda path: path.name == "errors.nc",
    ("set of predictions", "sets of predictions"): lambda path: path.match("predictions/*.csv"),
    ("table", "tables"): lambda path: path.match("tables/*.md"),
    ("figure", "figures"): lambda path: path.match("figures/*.png"),
    ("report", "reports"): lambda path: path.match("report/index.html"),
}


@dataclass(frozen=True)
class Experiment:
    """What the workflow says of itself when it starts.

    Attributes:
        name: of the experiment.
        results: the folder of its results.
    """

    name: str
    results: str


def made(outputs: Iterable[str]) -> str:
    """Outputs by kind: ``8 trained models, 1 table``; empty if there are none of these kinds."""
    counts: Counter[tuple[str, str]] = Counter()
    for path in map(PurePosixPath, outputs):
        counts.update(kind for kind, belongs in _KINDS.items() if belongs(path))
    return ", ".join(f"{counts[kind]} {kind[counts[kind] > 1]}" for kind in _KINDS if counts[kind])


def to_open(results: str) -> list[str]:
    """What of an experiment's results a person would open first, among what is there."""
    folder = PurePosixPath(results)
    first = [folder / "report/index.html"]
    then = [folder / "tables", folder / "figures"]
    return [str(path) for path in [*first, *then] if Path(path).exists()]


def trained_run(results: str) -> str:
    """The folder of the first run, by name, that has weights of its own dataset; empty if there is none."""
    found = sorted(Path(results).glob("*/*/seed*/weights/model.safetensors"))
    own = [path.parents[1] for path in found if path.parents[3].name != "joint"]
    return own[0].as_posix() if own else ""


def last_words(state: RunState, experiment: Experiment | None, logs: str, now: float) -> list[str]:
    """The lines at the end of a run.

    Args:
        state: of the run.
        experiment: what was run, as far as known.
        logs: where Snakemake's complete log is; empty if there is none.
        now: the time of the end.
    """
    took = duration(now - state.began)
    counted = f"{state.done} of {state.total} jobs"
    if state.failed:
        jobs = "1 job" if len(state.failed) == 1 else f"{len(state.failed)} jobs"
        lines = [f"Stopped after {took}: {jobs} failed, {counted} are done."]
        lines.append("Mend what is said above and start it again: what is done is kept.")
    elif state.done < state.total:
        lines = [
            f"Stopped after {took}: {counted} are done.",
            "Start it again to go on: what is done is kept.",
        ]
    else:
        lines = [f"Done: {counted} in {took}."]
    what = made(output for job in state.finished for output in job.outputs)
    lines += [f"  made  {what}"] if what else []
    if experiment is not None and not state.failed and state.done >= state.total:
        lines += opening(experiment)
    return [*lines, f"  log   {logs}"] if logs else lines


def opening(experiment: Experiment) -> list[str]:
    """What to open and what to do next with an experiment's results; nothing if there are none."""
    paths = to_open(experiment.results)
    if not paths:
        return []
    run = trained_run(experiment.results)
    filled = [
        (command.format(results=experiment.results, run=run), why)
        for command, why in NEXT
        if run or "{run}" not in command
    ]
    width = max(len(command) for command, _ in filled)
    lines = [f"{'  open' if i == 0 else '':<8}{path}" for i, path in enumerate(paths)]
    lines += [
        f"{'  next' if i == 0 else '':<8}{command:<{width}}  {why}" for i, (command, why) in enumerate(filled)
    ]
    return lines
