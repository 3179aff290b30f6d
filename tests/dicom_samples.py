"""DICOM files for tests, as pydicom writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

REAL = Path(pydicom.__file__).parent / "data/test_files"
PATIENT = "Doe^Jane"


def dicom(values: np.ndarray, **elements: Any) -> Dataset:
    """An image of `values`, [H, W] grey or [H, W, 3] RGB; None among `elements` leaves one out."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    dataset.SOPClassUID = ComputedRadiographyImageStorage
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=["test"])
    dataset.PatientName = PATIENT
    dataset.private_block(0x0011, "A vendor", create=True).add_new(0x01, "LO", "something")
    bits = values.dtype.itemsize * 8
    described: dict[str, Any] = {
        "PixelRepresentation": int(values.dtype.kind == "i"),
        "PhotometricInterpretation": "RGB" if values.ndim == 3 else "MONOCHROME2",
        "SamplesPerPixel": values.shape[2] if values.ndim == 3 else 1,
        "PlanarConfiguration": 0 if values.ndim == 3 else None,
        "Rows": values.shape[0],
        "Columns": values.shape[1],
        "BitsAllocated": bits,
        "BitsStored": bits,
        "PixelData": values.tobytes(),
    } | elements
    described.setdefault("HighBit", (described["BitsStored"] or 1) - 1)
    for name, value in described.items():
        if value is not None:
            setattr(dataset, name, value)
    if "PixelData" in dataset:
        dataset["PixelData"].VR = "OW"
    return dataset


def write_dicom(path: Path, values: np.ndarray, *, preamble: bool = True, **elements: Any) -> Path:
    """Write `dicom(values, ...)`; without `preamble` it begins with its first element."""
    dataset = dicom(values, **elements)
    if preamble:
        dataset.save_as(path, enforce_file_format=True)
    else:
        meta, dataset.file_meta = dataset.file_meta, FileMetaDataset()
        syntax = meta.TransferSyntaxUID
        dataset.save_as(path, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
    return path


def lookup_table(values: np.ndarray, first: int, bits: int) -> Dataset:
    """An item of ModalityLUTSequence or VOILUTSequence."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(values), first, bits])
    item.add_new("LUTData", "OW", values.astype("<u2").tobytes())
    return item
