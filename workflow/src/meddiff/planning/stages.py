"""The stages of a run, and the commands that belong to each."""

from __future__ import annotations

STAGES = {
    "download": ("fetch", "getsplits", "pretrained", "listing", "released"),
    "prepare": ("validate", "split", "leaks", "stratify", "describe", "store", "shift"),
    "weights": ("generate", "zeroshot", "select", "convert"),
    "train": ("train",),
    "score": ("score", "gather"),
    "explain": ("explain", "gradcam"),
    "predict": ("predict",),
    "evaluate": (
        *("vote", "calibrate", "profile", "decide", "metrics", "collect"),
        *("measure", "localise", "artifact", "cases", "report", "methods"),
    ),
}
