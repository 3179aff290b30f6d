"""The image that jobs run in with ``--software-deployment-method apptainer``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from meddiff.errors import ConfigError

CONTAINER_KEY = "container"
# Where `apptainer build` is told to write it (docs/containers.md).
DEFAULT = "meddiff.sif"


def image_of(top: Mapping[str, Any]) -> str:
    """The image that ``--config container=`` names: a file or folder, or an address such as ``docker://...``.

    Raises:
        ConfigError: if it is no text, or has white space, which Snakemake does not take.
    """
    image = top.get(CONTAINER_KEY, DEFAULT)
    if not isinstance(image, str) or not image or any(character.isspace() for character in image):
        raise ConfigError(
            f"--config {CONTAINER_KEY}: expected an image, as a path or an address without white space, "
            f"got {image!r}"
        )
    return image


def check_image(image: str, deployed: Iterable[str]) -> None:
    """Check that the image is there where jobs are to run in it.

    Args:
        image: as of `image_of`.
        deployed: Snakemake's methods of software deployment that are chosen.

    Raises:
        ConfigError: if it is a path at which there is nothing.
    """
    if "apptainer" in deployed and "://" not in image and not Path(image).exists():
        raise ConfigError(
            f"--software-deployment-method apptainer: there is no image {image}; build it, `apptainer "
            f"build {DEFAULT} "
            f"envs/meddiff.def`, or name another one: --config {CONTAINER_KEY}=PATH"
        )
