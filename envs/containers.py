"""Write what images for containers are built from: ``envs/meddiff.def`` (Apptainer) and ``envs/Dockerfile``.

Both have the same steps and take the pins of ``envs/requirements.txt``, which is copied into the image. Run
by ``make containers``; a test compares the files with what this module would write.
"""

from __future__ import annotations

from pathlib import Path

ENVS = Path(__file__).parent
# Its Python is 3.11, which the pins are for.
BASE = "debian:bookworm-slim"
_REQUIREMENTS = "requirements.txt"
_FOLDER = "/opt/meddiff"
_PYTHON = f"{_FOLDER}/environment/bin"
_NOTE = (
    f"Made by `make containers`, with the pins of envs/{_REQUIREMENTS}: change that file, or "
    "envs/containers.py."
)

# Run as root when an image is built.
STEPS = (
    "export DEBIAN_FRONTEND=noninteractive",
    "apt-get update",
    "apt-get install --yes --no-install-recommends ca-certificates python3 python3-venv",
    "rm -rf /var/lib/apt/lists/*",
    f"python3 -m venv {_FOLDER}/environment",
    f"{_PYTHON}/python -m pip install --no-cache-dir --disable-pip-version-check"
    f" --requirement {_FOLDER}/{_REQUIREMENTS}",
)
# In every container. What lies in the home folder, which Apptainer mounts, must not be imported instead.
VARIABLES = {
    "PATH": f"{_PYTHON}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PYTHONNOUSERSITE": "1",
}
CHECK = 'python -c "import accelerate, diffusers, snakemake, timm, torch, torchvision, transformers, xarray"'


def definition() -> str:
    """Of an image for Apptainer, to be built in the folder of the repository."""
    sections = {
        "%files": [f"envs/{_REQUIREMENTS} {_FOLDER}/{_REQUIREMENTS}"],
        "%post": ["set -e", *STEPS],
        "%environment": [f'export {name}="{value}"' for name, value in VARIABLES.items()],
        "%test": [CHECK],
        "%labels": ["Title meddiff"],
        "%help": [
            "What the rules of the workflow meddiff need. Its code is not in it: they use the checkout."
        ],
    }
    lines = [f"# {_NOTE}", "Bootstrap: docker", f"From: {BASE}"]
    for name, content in sections.items():
        lines += ["", name, *(f"    {line}" for line in content)]
    return "\n".join(lines) + "\n"


def dockerfile() -> str:
    """Of the same image for Docker and Podman, to be built with the folder ``envs`` as context."""
    steps = " \\\n && ".join(STEPS)
    variables = " \\\n    ".join(f'{name}="{value}"' for name, value in VARIABLES.items())
    blocks = [
        f"# {_NOTE}\nFROM {BASE}",
        f"COPY {_REQUIREMENTS} {_FOLDER}/{_REQUIREMENTS}",
        f"RUN {steps}",
        f"ENV {variables}",
        f"RUN {CHECK}",
    ]
    return "\n\n".join(blocks) + "\n"


FILES = {"meddiff.def": definition, "Dockerfile": dockerfile}


if __name__ == "__main__":
    for name, content in FILES.items():
        (ENVS / name).write_text(content(), encoding="utf-8")
