"""The results of the benchmarks as Markdown."""

from __future__ import annotations

from statistics import median
from typing import Any

from figures import FIGURES, PHANTOM, REAL


def markdown(document: dict[str, Any]) -> str:
    """Tables of the figures, of stopping rules, network switches and overhead, as far as they were measured.

    Args:
        document: as in ``latest.json``.
    """
    parts = document["parts"]
    blocks = ["# Benchmarks", _machine(document["machine"]), _figures(document["spread"])]
    titles = {PHANTOM: "chest phantom", REAL: "chest X-rays"}
    blocks += [_scoring(title, parts[part]) for part, title in titles.items() if part in parts]
    if "training" in parts:
        blocks.append(_training(parts["training"]["comparisons"]))
    if "network" in parts:
        blocks.append(_network(parts["network"]["switches"]))
    if "overhead" in parts:
        blocks.append(_overhead(parts["overhead"]))
    return "\n\n".join(blocks) + "\n"


def _machine(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {machine[name]}" for name in ("python", "torch", "diffusers", "snakemake"))
    gpu = f", {machine['gpu']}" if machine["gpu"] else ", no GPU"
    return (
        f"{machine['cpus']} CPUs ({machine['processor']}, {machine['vector_instructions']}), "
        f"{machine['memory_gib']} GiB{gpu}; {versions}. Made by `make bench`. Ratios are of two things that "
        "were timed in turn, median [min, max] over runs."
    )


def _figures(entries: dict[str, Any]) -> str:
    rows = [["figure", "measured", "runs", "aimed at", "reached"]]
    for figure in FIGURES:
        entry = entries[figure.name]
        if entry is None:
            rows.append([figure.what, "not measured", "", figure.target or "", ""])
            continue
        value = _number(entry["value"])
        if entry["runs"] > 1 and not isinstance(entry["value"], bool):
            value += f" [{_number(entry['min'])}, {_number(entry['max'])}]"
        reached = "yes" if entry["reached"] else "no"
        rows.append([figure.what, value, str(entry["runs"]), figure.target or "", reached])
    return _table(rows)


def _scoring(title: str, part: dict[str, Any]) -> str:
    rows = [["procedure", "seconds", "steps an image", "against plain"]]
    steps = part["steps"]
    found = {
        "plain": ("plain procedure", steps, None),
        "all_steps": ("meddiff, all steps", steps, part["all_steps_speedup"]),
        "exact": ("meddiff, exact stopping", part["exact_steps"], part["exact_speedup"]),
        "sequential": (
            f"meddiff, sequential stopping, delta {part['delta']:g}" + _at_least(part["min_steps"]),
            part["sequential_steps"],
            part["sequential_speedup"],
        ),
    }
    for key, (name, used, ratios) in found.items():
        seconds = ", ".join(f"{value:.1f}" for value in part["seconds"][key])
        speedup = "" if ratios is None else ", ".join(f"{ratio:.2f}x" for ratio in ratios)
        rows.append([name, seconds, f"{used:.1f}", speedup])
    return (
        f"## Scoring, {title}\n\n{part['images']} images, {part['threads']} threads; making the store takes "
        f"{part['store_seconds']:.2f} s once.\n\n{_table(rows)}\n\n"
        "The sequential rule, replayed from the errors of all steps: steps an image, share of decisions that "
        "are those of all steps, and change of AURC; with steps in the order drawn, and in the spread order "
        f"with different least numbers of steps:\n\n{_table(_sweep(part['replayed']))}"
    )


def _sweep(replayed: list[dict[str, Any]]) -> list[list[str]]:
    """A row a delta, a column an order and least number of steps (only 1 in the order drawn)."""
    columns: dict[tuple[str, int], dict[float, str]] = {}
    for row in replayed:
        if row["order"] == "spread" or row["min_steps"] == 1:
            text = f"{row['steps']:.1f}, {100 * row['agreement']:.1f} %, {row['aurc_delta']:+.4f}"
            columns.setdefault((row["order"], row["min_steps"]), {})[row["delta"]] = text
    heads = [order + _at_least(number) for order, number in columns]
    deltas = next(iter(columns.values()))
    return [["delta", *heads]] + [
        [f"{delta:g}", *(cells[delta] for cells in columns.values())] for delta in deltas
    ]


def _at_least(steps: int) -> str:
    return f", at least {steps} steps" if steps > 1 else ""


def _training(comparisons: list[dict[str, Any]]) -> str:
    columns = {
        "ours": "meddiff (ms)",
        "passes": "its network passes alone (ms)",
        "plain, 0 workers": "plain, no workers (ms)",
        "plain, 2 workers": "plain, 2 workers (ms)",
    }
    rows = [["images", "threads", *columns.values(), "ratio"]]
    for entry in comparisons:
        milliseconds = {name: f"{median(values):.1f}" for name, values in entry["milliseconds"].items()}
        sides = [milliseconds.get(name, "") for name in columns]
        runs = ", ".join(f"{ratio:.2f}x" for ratio in entry["ratio"]["runs"])
        rows.append([entry["source"], str(entry["threads"]), *sides, runs])
    return (
        "## Training step\n\nOf the tiny UNet, data included. Both sides have the same CPUs; the ratio is "
        f"that of the faster plain side.\n\n{_table(rows)}"
    )


def _network(switches: list[dict[str, Any]]) -> str:
    rows = [["switch", "inputs a second", "speed", "first call (s)", "largest error", "votes changed"]]
    for row in switches:
        low, high = row["spread"]
        rows.append(
            [
                row["name"],
                f"{row['inputs_per_second']:.0f}",
                f"{row['speedup']:.2f}x [{low:.2f}, {high:.2f}]",
                f"{row['first_call_seconds']:.1f}",
                f"{row['largest_relative_difference']:.1e}",
                f"{100 * row['votes_changed']:.1f} %",
            ]
        )
    return (
        "## Network\n\nThe chest phantom's UNet; errors are relative differences of a noise-prediction error "
        f"from the first row's.\n\n{_table(rows)}"
    )


def _overhead(part: dict[str, Any]) -> str:
    total, dry_run = part["evaluation"], part["dry_run"]
    rows = [["what", "wall (s)", "CPU (s)"]]
    rows.append(["`snakemake -n` of the paper", f"{dry_run['wall']:.1f}", f"{dry_run['cpu']:.1f}"])
    rows.append(
        [
            f"all tables and figures of the paper's size, {total['workers']} commands at a time",
            f"{total['wall']:.1f}",
            f"{total['cpu']:.1f}",
        ]
    )
    for torch, which in ((False, "without"), (True, "with")):
        starts = {name: times for name, times in part["startup"].items() if times["torch"] is torch}
        name, times = max(starts.items(), key=lambda item: item[1]["wall"])
        what = f"slowest start of a command {which} PyTorch (`{name}`)"
        rows.append([what, f"{times['wall']:.1f}", f"{times['cpu']:.1f}"])
    return f"## Workflow\n\n{_table(rows)}"


def _table(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def _number(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:.3g}"
