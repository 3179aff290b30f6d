"""The files of a bundle: written once, and compared with their checksums whenever they are read.

Files in a bundle: `MANIFEST` (how the model is used), ``config.yaml`` (what the model is, as beside the
weights of a run), the network (`meddiff.bundles.library`), what was fitted for every decision rule, a model
card, and `SUMS`, checksums of all of these, which ``sha256sum -c`` reads as well.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from meddiff.bundles.library import OURS, parts_of, read_network
from meddiff.bundles.usage import Fitted, Usage
from meddiff.config.reasons import lines_of
from meddiff.errors import CheckpointError
from meddiff.format_version import KEY, as_of_today
from meddiff.io import read_json, regular_file, sha256_file, write_json, write_text
from meddiff.models.spec import CONFIG, ModelSpec, read_spec

FORMAT_VERSION = 1
MANIFEST, SUMS, CARD = "meddiff.json", "SHA256SUMS", "README.md"
ALL_STEPS, AS_USED = "all_steps", "as_used"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_REPAIR = "copy the bundle again, or make it again with `meddiff export`"


def is_bundle(folder: Path) -> bool:
    """Whether a folder is one, as far as its names tell."""
    return (folder / MANIFEST).is_file() and (folder / SUMS).is_file()


def write_manifest(path: Path, usage: Usage) -> None:
    """Write how a model is used, atomically."""
    write_json(path, {KEY: FORMAT_VERSION, **usage.model_dump(mode="json")})


def write_fitted(folder: Path, decision: str, part: str, fitted: Fitted) -> list[str]:
    """Write what was fitted for a decision rule in `AS_USED` or `ALL_STEPS`; the files, from `folder`."""
    from meddiff.readout.calibration_file import write_calibration
    from meddiff.readout.ood import write_profile

    place, written = f"fitted/{decision}/{part}", []
    if fitted.calibration is not None:
        written.append(f"{place}/calibration.json")
        write_calibration(folder / written[-1], fitted.calibration)
    if fitted.profile is not None:
        written.append(f"{place}/profile.json")
        write_profile(folder / written[-1], fitted.profile, fitted.limits)
    if fitted.threshold is not None:
        written.append(f"{place}/operating_point.json")
        write_json(folder / written[-1], {"threshold": fitted.threshold})
    if fitted.profile is None and fitted.limits is not None:
        written.append(f"{place}/limits.json")
        write_json(folder / written[-1], fitted.limits)
    return written


def write_sums(folder: Path, names: list[str]) -> None:
    """Write `SUMS` of files in `folder`."""
    write_text(folder / SUMS, "".join(f"{sha256_file(folder / name)}  {name}\n" for name in sorted(names)))


class Bundle:
    """A bundle that is whole.

    Attributes:
        folder: of it.
        usage: how its model is used.
        spec: what its model is.
    """

    def __init__(self, folder: Path) -> None:
        """Open a bundle: every file but the model card is compared with its checksum.

        Raises:
            CheckpointError: if a file is missing, is not the one that was written, cannot be used, or was
                made by a newer meddiff.
        """
        self.folder = folder
        # First, since what the other files are is up to it.
        self.usage = read_manifest(folder / MANIFEST)
        sums = _read_sums(folder / SUMS)
        for name, expected in sums.items():
            _check(folder / name, expected)
        self._names = sums.keys()
        needed = [MANIFEST, CONFIG]
        self._require(needed)
        self.spec: ModelSpec = read_spec(folder)
        self._require([name for part in parts_of(self.spec) for name in part.files])
        if (folder / OURS).is_file():
            self._require([OURS])

    def _require(self, names: list[str]) -> None:
        """Nothing is read that has no checksum."""
        for name in names:
            if name not in self._names:
                raise CheckpointError(f"{self.folder / SUMS}: does not list {name}; {_REPAIR}")

    def tensors(self) -> dict[str, Any]:
        """All tensors of the network, by our names."""
        return read_network(self.folder, self.spec)

    def fitted(self, decision: str, part: str) -> Fitted:
        """What was fitted for a decision rule.

        Raises:
            DataError: if a file cannot be used.
        """
        from meddiff.readout.calibration_file import read_calibration
        from meddiff.readout.ood import read_profile

        place = f"fitted/{decision}/{part}"
        calibration = profile = usual = point = None
        if (name := f"{place}/calibration.json") in self._names:
            calibration = read_calibration(self.folder / name)
        if (name := f"{place}/profile.json") in self._names:
            profile, usual = read_profile(self.folder / name)
        if (name := f"{place}/limits.json") in self._names:
            usual = {kind: float(value) for kind, value in read_json(self.folder / name).items()}
        if (name := f"{place}/operating_point.json") in self._names:
            point = float(read_json(self.folder / name)["threshold"])
        return Fitted(calibration, profile, usual, point)


def read_manifest(path: Path) -> Usage:
    """How a model is used.

    Raises:
        CheckpointError: if the file cannot be used, or was made by a newer meddiff.
    """
    try:
        document = dict(read_json(path))
        content = as_of_today(path, document.pop(KEY, None), document, (), CheckpointError, _REPAIR)
        return Usage.model_validate(content)
    except ValidationError as error:
        raise CheckpointError(f"{path}: {lines_of(error)[0]}; {_REPAIR}") from error
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); {_REPAIR}") from error


def _read_sums(path: Path) -> dict[str, str]:
    """Name -> checksum of all files but the model card, which may be edited."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); {_REPAIR}") from error
    found = {}
    for number, line in enumerate(lines, start=1):
        match = _LINE.fullmatch(line)
        if match is None or Path(match[2]).is_absolute() or ".." in Path(match[2]).parts:
            raise CheckpointError(f"{path}: line {number} is no checksum of a file in the bundle; {_REPAIR}")
        found[match[2]] = match[1]
    found.pop(CARD, None)
    return found


def _check(path: Path, expected: str) -> None:
    try:
        regular_file(path)
        got = sha256_file(path)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: is missing, and {SUMS} lists it; {_REPAIR}") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); {_REPAIR}") from error
    if got != expected:
        raise CheckpointError(
            f"{path}: is damaged or was changed: its SHA-256 is {got}, and {SUMS} says {expected}; {_REPAIR}"
        )
