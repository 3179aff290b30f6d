"""Which training may write the current weights of a run: the one that began last.

A training whose Snakemake was killed goes on by itself. When it ends, another one may have made the weights
of today's settings, and it must not replace them by its own.
"""

from __future__ import annotations

from pathlib import Path

from meddiff.errors import CheckpointError
from meddiff.io import read_json, write_json
from meddiff.weights.versions import KEPT


class Claim:
    """The right to write the weights in a folder, until a training from something else begins there."""

    def __init__(self, weights_dir: Path, key: str) -> None:
        """Claim the folder, from whoever has it.

        Args:
            weights_dir: folder of the current weights.
            key: hash of what is trained from. Trainings from the same make the same, and share the claim.
        """
        self._path, self._key = weights_dir / KEPT / "claim.json", key
        write_json(self._path, {"key": key})

    def check(self) -> None:
        """Check that it still holds.

        Raises:
            CheckpointError: if another training has begun since.
        """
        try:
            holder = read_json(self._path)["key"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{self._path}: cannot be read ({error}); train again") from error
        if holder != self._key:
            raise CheckpointError(
                f"{self._path.parents[1]}: a training from other settings, code or images has begun here "
                "since, so its weights are not replaced; this one's are in its state folder"
            )
