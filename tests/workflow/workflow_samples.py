"""The smallest experiment, and a copy of the repository to run it in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import warm_python
import yaml

TRACKED = (
    *("Snakefile", "workflow", "config", "profiles", "slurm", "envs"),
    *("dvc.yaml", ".dvc/config", ".dvc/.gitignore", ".dvc/plots", ".dvcignore", ".gitignore"),
)

DATASET = {
    "title": "Small chest phantom",
    "source": {"kind": "phantom", "images": 60, "native_size": 32},
    "format": {"kind": "chexpert"},
    "classes": [{"value": 0, "name": "no finding"}, {"value": 1, "name": "effusion"}],
    "image_size": 16,
    "channels": 1,
    "split": {"kind": "recipe", "valid": 0.2, "test": 0.2, "seed": 0},
}
TRAIN = {"epochs": 1, "batch_size": 16, "lr": 1e-3, "warmup_steps": 1}
SCHEDULE = {"image_size": 16, "noise_size": 16}
MODELS = {
    "small_unet": {
        "title": "Small UNet",
        "family": "diffusion",
        "kind": "unet",
        "architecture": {
            "layers_per_block": 1,
            "block_out_channels": [8, 8],
            "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
            "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
            "norm_num_groups": 4,
            "attention_head_dim": 2,
            "encoder_hid_dim": 8,
            "encoder_hid_dim_type": "text_proj",
            "cross_attention_dim": 8,
        },
        "schedule": SCHEDULE,
        "validation_steps": 1,
        "train": {**TRAIN, "ema": {"update_after_step": 0, "update_every": 1}},
    },
    "small_dit": {
        "title": "Small DiT",
        "family": "diffusion",
        "kind": "dit",
        "architecture": {"num_attention_heads": 2, "attention_head_dim": 4, "num_layers": 1, "patch_size": 4},
        "schedule": SCHEDULE,
        "validation_steps": 1,
        "train": TRAIN,
    },
    "small_resnet": {
        "title": "Small ResNet",
        "family": "cnn",
        "kind": "timm",
        "architecture": {"model_name": "test_resnet"},
        "train": TRAIN,
    },
}
EXPERIMENT = {
    "title": "The smallest experiment",
    "datasets": ["small_chest"],
    "models": list(MODELS),
    # Without what follows from the validation split and from maps: half as many jobs. `EVERYTHING` has them.
    "score": {
        **{"steps": 3, "shards": 2, "decisions": ["majority", "mean"]},
        **{"validation": False, "evidence": False},
    },
    "evaluate": {"bootstrap_samples": 100, "ablation_steps": [1, 3]},
}


# What experiments have that do not say otherwise.
EVERYTHING = {"decisions": ["majority", "mean", "t_score"], "validation": True, "evidence": True}


@dataclass(frozen=True)
class Project:
    """A copy of the repository with an experiment of its own.

    Attributes:
        folder: where it is.
        variables: environment variables of its runs, beside those of this process.
        warm: whether its jobs start from an interpreter that has imported the libraries (`warm_python`).
    """

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    warm: bool = True

    @property
    def environment(self) -> dict[str, str]:
        """The environment that Snakemake runs in: this interpreter comes first on PATH."""
        variables = {**os.environ, "MEDDIFF_STATE_DIR": str(self.folder / ".meddiff/state"), **self.variables}
        folders = [warm_python.folder() if self.warm else None, Path(sys.executable).parent]
        variables["PATH"] = os.pathsep.join([*(str(path) for path in folders if path), variables["PATH"]])
        return variables

    @property
    def python(self) -> str:
        """The interpreter that jobs start with."""
        folder = warm_python.folder() if self.warm else None
        return str(folder / "python") if folder else sys.executable

    def snakemake(self, *arguments: str, expect: int | None = 0) -> str:
        """Run Snakemake and return what it printed; `expect` is the exit status (None: any)."""
        return self.run(self.python, "-m", "snakemake", *arguments, expect=expect)

    def run(self, *command: str, expect: int | None = 0) -> str:
        """Run a command in the folder and return what it printed; `expect` as for `snakemake`."""
        result = subprocess.run(
            list(command),
            cwd=self.folder,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if expect is not None:
            assert result.returncode == expect, result.stdout + self.logs()
        return result.stdout

    def planned(self, *arguments: str) -> dict[str, int]:
        """Jobs of a dry run: rule -> number, without the target rule."""
        text = self.snakemake("-n", *arguments)
        if "Nothing to be done" in text:
            return {}
        table = text.split("Job stats:")[-1].split("total")[0]
        jobs = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}
        jobs.pop("all", None)
        return jobs

    def provenance(self, *arguments: str) -> tuple[int, str]:
        """Exit status and output of ``meddiff provenance``, run with the project's code."""
        result = subprocess.run(
            [self.python, "-m", "meddiff", "provenance", *arguments],
            cwd=self.folder,
            env={**self.environment, "PYTHONPATH": str(self.folder / "workflow/src")},
            text=True,
            capture_output=True,
            check=False,
        )
        assert "Traceback" not in result.stderr, result.stderr
        return result.returncode, result.stdout

    def edit_yaml(self, path: str, **changes: object) -> None:
        """Set top-level keys of a YAML file; mappings are merged."""
        file = self.folder / path
        document = yaml.safe_load(file.read_text())
        for key, value in changes.items():
            if isinstance(value, dict):
                document[key] = {**document.get(key, {}), **value}
            else:
                document[key] = value
        file.write_text(yaml.safe_dump(document))

    def logs(self) -> str:
        """All log files of rules, for the message of a failed assertion."""
        return "".join(f"\n--- {p}\n{p.read_text()}" for p in sorted(self.folder.glob("logs/**/*.log")))


def make_project(folder: Path, root: Path) -> Project:
    """Copy the repository's workflow to `folder` and add the smallest experiment."""
    folder.mkdir(parents=True)
    for name in TRACKED:
        source = root / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy2(source, folder / name)
    (folder / "config/datasets/small_chest.yaml").write_text(yaml.safe_dump(DATASET))
    for name, model in MODELS.items():
        (folder / f"config/models/{name}.yaml").write_text(yaml.safe_dump(model))
    (folder / "config/experiments/smallest.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    (folder / "config/config.yaml").write_text("experiment: smallest\n")
    return Project(folder)


def copy_of(project: Project, folder: Path) -> Project:
    """A copy of a run in `folder`, times and Snakemake's records included."""
    shutil.copytree(project.folder, folder / "repository", symlinks=True)
    return Project(folder / "repository")
