"""How long a run takes on some number of GPUs."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from meddiff.planning.work import Work


def wall_hours(works: Sequence[Work], hours: Sequence[float], gpus: int) -> float:
    """Hours until the last job ends, if each job starts as soon as its inputs are there and a GPU is free.

    Among the jobs that could start, the longest goes first. Jobs without GPU work take no time; neither do
    queues and the start of jobs.

    Args:
        works: all jobs.
        hours: of each on one GPU.
        gpus: number of GPUs, at least 1.
    """
    maker = {path: number for number, work in enumerate(works) for path in work.outputs}
    missing = [{maker[path] for path in work.inputs if path in maker} for work in works]
    followers: list[list[int]] = [[] for _ in works]
    for number, before in enumerate(missing):
        for other in before:
            followers[other].append(number)
    ready = [(-hours[number], number) for number, before in enumerate(missing) if not before]
    heapq.heapify(ready)
    running: list[tuple[float, int]] = []
    now, used = 0.0, 0
    while ready or running:
        waiting = []
        while ready:
            entry = heapq.heappop(ready)
            needs = int(hours[entry[1]] > 0)
            if used + needs > gpus:
                waiting.append(entry)
                continue
            used += needs
            heapq.heappush(running, (now + hours[entry[1]], entry[1]))
        ready = waiting
        heapq.heapify(ready)
        now, done = heapq.heappop(running)
        used -= int(hours[done] > 0)
        for number in followers[done]:
            missing[number].discard(done)
            if not missing[number]:
                heapq.heappush(ready, (-hours[number], number))
    return now
