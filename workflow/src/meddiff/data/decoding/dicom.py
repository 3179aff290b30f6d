"""Read DICOM files: what says how their pixels are meant, and the pixels. Who is in them is not read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from meddiff.data.decoding.deep import Deep
from meddiff.data.decoding.dicom_streams import stream_size
from meddiff.data.decoding.dicom_values import lift_shared, padding, rescale, window
from meddiff.data.decoding.pictures import check_size
from meddiff.errors import DataError

if TYPE_CHECKING:
    from pydicom import Dataset

DICOM_SUFFIXES = (".dcm", ".dicom")

_MAGIC_AT, _MAGIC = 128, b"DICM"
_DEFLATED, _META_BYTES = b"1.2.840.10008.1.2.1.99", 1 << 14
_NEEDED = [
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
]
# No other element is kept, names of patients among them.
_TAGS = [
    *_NEEDED,
    "SOPClassUID",
    "NumberOfFrames",
    "PlanarConfiguration",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData",
    "SegmentedRedPaletteColorLookupTableData",
    "SegmentedGreenPaletteColorLookupTableData",
    "SegmentedBluePaletteColorLookupTableData",
    "PixelData",
    "FloatPixelData",
    "DoubleFloatPixelData",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
]
_LARGE = 1 << 12  # bytes; pixels are not read to look at a header
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_GREY = ("MONOCHROME1", "MONOCHROME2")
_UNCOMPRESS = "save it uncompressed, for instance with `gdcmconv --raw`"
# One library for each compression, so that the same file always gives the same values.
_PLUGINS = {
    "JPEGBaseline8Bit": "pillow",
    "JPEGLossless": "gdcm",
    "JPEGLosslessSV1": "gdcm",
    "JPEGLSLossless": "gdcm",
    "JPEGLSNearLossless": "gdcm",
    "JPEG2000Lossless": "pylibjpeg",
    "JPEG2000": "pylibjpeg",
    "HTJ2KLossless": "pylibjpeg",
    "HTJ2KLosslessRPCL": "pylibjpeg",
    "HTJ2K": "pylibjpeg",
    "RLELossless": "pydicom",
}


def has_dicom_content(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins as DICOM files do: 128 bytes of anything, then ``DICM``."""
    with open(path, "rb") as stream:
        return stream.read(_MAGIC_AT + len(_MAGIC))[_MAGIC_AT:] == _MAGIC


def has_dicom_name(path: str | os.PathLike[str]) -> bool:
    """Whether a file may be one without that beginning: by its ending, or because it has none.

    Names made of a UID end in a number, which is no ending.
    """
    suffix = Path(path).suffix.lower()
    return suffix in DICOM_SUFFIXES or not suffix or suffix[1:].isdigit()


@dataclass(frozen=True)
class DicomFile:
    """A DICOM file whose header is read and found usable.

    Attributes:
        path: the file.
        width: in pixels, as `height`.
    """

    path: str | os.PathLike[str]
    width: int
    height: int

    def read(self) -> Deep:
        """Its pixels: grey as stored, colour as RGB.

        Raises:
            DataError: see `open_dicom`.
            Exception: whatever pydicom and its plug-ins raise of damage.
        """
        dataset = _read(self.path)
        values = _decoded(self.path, dataset)
        photometric = dataset.PhotometricInterpretation
        if photometric not in _GREY:
            return _colour(self.path, dataset, values)
        lift_shared(dataset)
        try:
            units, shares, outside = rescale(dataset), window(dataset), padding(dataset)
        except ValueError as error:
            raise DataError(f"{self.path}: {error}; mend the file, or leave its row out") from error
        has_range = values.dtype.kind != "f" and dataset.BitsStored <= 16
        return Deep(
            values,
            bits=int(dataset.BitsStored) if has_range else None,
            signed=values.dtype.kind == "i",
            dicom=True,
            rescale=units,
            window=shares,
            inverted=photometric == "MONOCHROME1",
            padding=outside,
        )


def open_dicom(path: str | os.PathLike[str]) -> DicomFile | None:
    """Read the header of a DICOM file; None where there is nothing of DICOM in it.

    Raises:
        DataError: it has no pixels, several frames, too many pixels, or lacks an element that says how its
            pixels are meant.
        Exception: whatever pydicom raises of damage.
    """
    with open(path, "rb") as stream:
        if _DEFLATED in stream.read(_META_BYTES):
            # To be known to be small it would have to be unpacked.
            raise DataError(f"{path}: is a deflated DICOM file, which is not read; {_UNCOMPRESS}")
    header = _read(path, defer_size=_LARGE)
    if not has_dicom_content(path) and "Rows" not in header and "SOPClassUID" not in header:
        return None
    if not any(name in header for name in _PIXELS):
        kind = getattr(header.get("SOPClassUID"), "name", "") or "of unknown kind"
        raise DataError(
            f"{path}: is a DICOM file without pixel data ({kind}); expected an image: leave its row out"
        )
    missing = [name for name in _needed(header) if header.get(name) is None]
    if missing:
        raise DataError(
            f"{path}: the DICOM file lacks {', '.join(missing)}, without which nobody knows how its pixels "
            "are meant; add them with a DICOM editor (`dcmodify -i`), or leave its row out"
        )
    frames = _frames(header)
    if frames != 1:
        raise DataError(
            f"{path}: is a DICOM file of {frames} frames (NumberOfFrames), and which one is meant is not "
            "known; save the frames as files of their own, and name the one that the label is of"
        )
    check_size(path, int(header.Columns), int(header.Rows))
    return DicomFile(path, int(header.Columns), int(header.Rows))


def _read(path: str | os.PathLike[str], defer_size: int | None = None) -> Dataset:
    """The elements of `_TAGS`; what is larger than `defer_size` only when it is asked for."""
    from pydicom import config, dcmread
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    # What is odd in elements that are used is an error of ours; a warning would quote it.
    config.settings.reading_validation_mode = config.IGNORE
    dataset = dcmread(path, force=True, specific_tags=_TAGS, defer_size=defer_size)
    meta = getattr(dataset, "file_meta", None) or FileMetaDataset()
    if not meta.get("TransferSyntaxUID"):
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    dataset.file_meta = meta
    return dataset


def _needed(header: Dataset) -> list[str]:
    if header.get("SamplesPerPixel") not in (None, 1):
        return [*_NEEDED, "PlanarConfiguration"]
    return _NEEDED


def _frames(header: Dataset) -> Any:
    value = header.get("NumberOfFrames")
    try:
        return int(value) if value not in (None, "") else 1
    except (TypeError, ValueError):
        return repr(value)


def _decoded(path: str | os.PathLike[str], dataset: Dataset) -> np.ndarray:
    """[H, W] or [H, W, 3]: stored values of grey, RGB of colour."""
    from pydicom.pixels import pixel_array

    syntax = dataset.file_meta.TransferSyntaxUID
    plugin = ""
    if syntax.is_compressed:
        plugin = _plugin(path, dataset)
        _check_stream(path, dataset)
    return pixel_array(dataset, index=0, decoding_plugin=plugin)


def _check_stream(path: str | os.PathLike[str], dataset: Dataset) -> None:
    from pydicom.encaps import get_frame

    size = stream_size(get_frame(dataset.PixelData, 0, number_of_frames=1))
    said = (int(dataset.Columns), int(dataset.Rows))
    if size is not None and size != said:
        raise DataError(
            f"{path}: its compressed picture has {size[0]} x {size[1]} pixels, but Columns and Rows say "
            f"{said[0]} x {said[1]}; mend the file, or leave its row out"
        )


def _plugin(path: str | os.PathLike[str], dataset: Dataset) -> str:
    from pydicom.pixels import get_decoder

    syntax = dataset.file_meta.TransferSyntaxUID
    name = _PLUGINS.get(syntax.keyword, "")
    if syntax.keyword == "JPEGExtended12Bit":
        name = "pillow" if dataset.BitsStored == 8 else "pylibjpeg"
    if not name:
        raise DataError(f"{path}: is compressed as {syntax.name}, which is not read; {_UNCOMPRESS}")
    if name not in get_decoder(syntax).available_plugins:
        raise DataError(
            f"{path}: is compressed as {syntax.name}, which needs a package that is not installed: "
            f"`pip install -r envs/requirements-jpeg12.txt`, or {_UNCOMPRESS}"
        )
    return name


def _colour(path: str | os.PathLike[str], dataset: Dataset, values: np.ndarray) -> Deep:
    from pydicom.pixels import apply_color_lut

    bits = int(dataset.BitsStored)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        values = apply_color_lut(values, dataset)
        bits = values.dtype.itemsize * 8
    if values.ndim != 3 or values.shape[2] != 3 or bits > 16:
        raise DataError(
            f"{path}: has the photometric interpretation {dataset.PhotometricInterpretation!r} with "
            f"{bits} bits; expected grey, or RGB, YBR or palette colour of at most 16 bits; convert it"
        )
    return Deep(values, bits=bits, dicom=True)
