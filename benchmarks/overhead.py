"""What the workflow itself costs: planning, starting commands, and all tables and figures of the paper.

    python benchmarks/overhead.py > overhead.json

Stored results of the paper's size are drawn from a seeded random model (`stored_results`) in a temporary
folder. Snakemake is asked for the command lines of the experiment, and those of the evaluation are run as its
rules run them, each in its own process: one after the other for the times of each command, and two at a time
for the time in all. Seconds are of this machine and of what else runs on it; CPU seconds are user and system.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "workflow/src"
EXPERIMENT = "paper"

# Commands that come after scoring and need no image, in stages: one reads what the stages before it wrote.
STAGES = (
    (r"vote", r"stratify"),
    (
        r"metrics",
        r"artifact tables/(comparison|efficiency|audit)",
        r"artifact figures/(step_ablation|uncertainty|method)",
    ),
    (r"artifact tables/(classification|metrics|published)", r"artifact figures/(efficiency|audit)"),
    (r"collect",),
)


@dataclass(frozen=True)
class Seconds:
    """Time of one process and of those it waited for."""

    wall: float
    cpu: float


def measure(workers: int = 2, folder: Path | None = None) -> dict[str, Any]:
    """Time everything.

    Args:
        workers: commands at a time, for the time in all.
        folder: empty or missing folder to work in, which is kept; a temporary one where None.

    Returns:
        Seconds ``wall`` and ``cpu`` of ``dry_run`` (of the whole experiment), of each command under
        ``startup`` (until its imports are done; ``torch`` says whether that is one of them), of each kind of
        command under ``commands`` (their mean, and ``number``), and of all these commands under
        ``evaluation``: ``wall`` is that with `workers` at a time, the CPU seconds are of one after the other.
        ``load`` is that of the machine before.

    Raises:
        RuntimeError: if a command fails; it has what it printed.
    """
    load = os.getloadavg()[0]
    with _folder(folder) as work:
        (work / "config").symlink_to(ROOT / "config")
        dry_run, printed = _dry_run(work)
        subprocess.run([sys.executable, __file__, "--write", str(work)], check=True, env=_environment())
        stages = [_of_stage(printed, patterns) for patterns in STAGES]
        commands = _one_by_one(work, stages)
        started = time.perf_counter()
        with ThreadPoolExecutor(workers) as pool:
            for stage in stages:
                list(pool.map(lambda line: _job(line, work), stage))
        wall = time.perf_counter() - started
    return {
        "load": round(load, 2),
        "dry_run": _rounded(dry_run),
        "startup": {name: _startup(name) for name in _command_names()},
        "commands": {
            kind: {"number": len(times), **_rounded(_mean(times))} for kind, times in sorted(commands.items())
        },
        "evaluation": {
            "commands": sum(map(len, stages)),
            "cpu": round(sum(t.cpu for times in commands.values() for t in times), 1),
            "wall_one_by_one": round(sum(t.wall for times in commands.values() for t in times), 1),
            "wall": round(wall, 1),
            "workers": workers,
        },
    }


def _dry_run(work: Path) -> tuple[Seconds, list[str]]:
    """Time of planning the experiment in an empty folder, and all command lines."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--dry-run"]
    command += ["--printshellcmds", "--directory", str(work), "--config", f"experiment={EXPERIMENT}"]
    log = work / "dry_run.txt"
    seconds = _timed(["bash", "-c", '"$@" > "$0" 2>&1', str(log), *command], work, log)
    return seconds, re.findall(r"^Shell command: (python -m meddiff .*)$", log.read_text(), re.MULTILINE)


def _of_stage(lines: Iterable[str], patterns: tuple[str, ...]) -> list[str]:
    wanted = re.compile(rf"python -m meddiff ({'|'.join(patterns)}) ")
    return sorted(line for line in lines if wanted.match(line))


def _one_by_one(work: Path, stages: list[list[str]]) -> dict[str, list[Seconds]]:
    """Kind of command -> times."""
    found: dict[str, list[Seconds]] = {}
    for line in (line for stage in stages for line in stage):
        kind = re.match(r"python -m meddiff (?:artifact )?(\S+)", line)[1]
        found.setdefault(kind, []).append(_job(line, work))
    return found


def _job(line: str, work: Path) -> Seconds:
    """Run a rule's command line."""
    log = work / line.split(" > ")[1].split()[0]
    log.parent.mkdir(parents=True, exist_ok=True)  # Snakemake makes it, and the line needs it
    return _timed(["bash", "-c", line], work, log)


def _command_names() -> list[str]:
    listing = "import json, meddiff.cli; print(json.dumps(list(meddiff.cli.COMMANDS)))"
    return json.loads(subprocess.check_output([sys.executable, "-c", listing], env=_environment()))


def _startup(command: str) -> dict[str, float | bool]:
    """A process that imports all that a command imports of this package, for all of its kinds."""
    tree = ast.parse((SOURCE / f"meddiff/cli/{command}.py").read_text(encoding="utf-8"))
    imports = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    code = "\n".join(["import meddiff.cli", *(line for line in imports if "__future__" not in line)])
    needs_torch = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nsys.exit('torch' not in sys.modules)"],
        env=_environment(),
        check=False,
    )  # also reads the files once, so that the disk is not what is timed
    return {**_rounded(_timed([sys.executable, "-c", code], ROOT)), "torch": needs_torch.returncode == 0}


def _timed(command: list[str], work: Path, log: Path | None = None) -> Seconds:
    """Run a command to its end; `log` is the file that it prints to."""
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=work, env=_environment())
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        printed = log.read_text(encoding="utf-8") if log is not None and log.is_file() else ""
        raise RuntimeError(f"status {process.returncode}: {' '.join(command)}\n{printed}")
    return Seconds(time.perf_counter() - started, usage.ru_utime + usage.ru_stime)


def _environment() -> dict[str, str]:
    """What a job's process sees: this interpreter, this package, and one thread of its own."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}


@contextmanager
def _folder(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder.resolve()
    else:
        with tempfile.TemporaryDirectory(prefix="meddiff-overhead-") as name:
            yield Path(name)


def _mean(times: list[Seconds]) -> Seconds:
    return Seconds(sum(t.wall for t in times) / len(times), sum(t.cpu for t in times) / len(times))


def _rounded(seconds: Seconds) -> dict[str, float]:
    return {"wall": round(seconds.wall, 2), "cpu": round(seconds.cpu, 2)}


def main() -> None:
    """Print the times as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=2, help="commands at a time")
    parser.add_argument("--folder", type=Path, help="work here, and keep it")
    parser.add_argument("--write", type=Path, help="only write the stored results to this folder")
    args = parser.parse_args()
    if args.write:
        sys.path.insert(0, str(SOURCE))
        from meddiff.config import Config
        from stored_results import write_stored_results

        write_stored_results(Config({"experiment": EXPERIMENT}, ROOT / "config"), args.write)
    else:
        print(json.dumps(measure(args.workers, args.folder), indent=1))


if __name__ == "__main__":
    main()
