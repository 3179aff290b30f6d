"""The file of a fitted calibration, JSON, which lies beside the predictions that it belongs to."""

from __future__ import annotations

from pathlib import Path

from meddiff.errors import DataError
from meddiff.format_version import KEY, as_of_today
from meddiff.io import read_json, write_json
from meddiff.readout.calibration import Calibration
from meddiff.readout.triage import Margins

FORMAT_VERSION = 1
_REPAIR = "fit it again with `meddiff calibrate`"


def write_calibration(path: str | Path, calibration: Calibration) -> None:
    """Write `calibration`, atomically."""
    write_json(path, {KEY: FORMAT_VERSION, **calibration.to_dict()})


def read_calibration(path: str | Path) -> Calibration:
    """Read a calibration.

    Raises:
        DataError: if it cannot be read, is none, or a newer meddiff made it.
    """
    try:
        document = dict(read_json(path))
        content = as_of_today(path, document.pop(KEY, None), document, (), DataError, _REPAIR)
        lists = {key: tuple(content.pop(key)) for key in ("class_names", "offsets", "counts")}
        margins = Margins(**{key: tuple(values) for key, values in content.pop("margins").items()})
        return Calibration(slope=float(content.pop("slope")), margins=margins, **lists, **content)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path}: is no calibration ({error}); {_REPAIR}") from error
