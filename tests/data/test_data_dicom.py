"""DICOM files: their values are shown as the file says, and nothing else of them is kept."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from dicom_samples import PATIENT, REAL, dicom, lookup_table, write_dicom
from meddiff.config.schema.data.intensity import FullRange, Percentiles, Window
from meddiff.data.decoding.dicom import open_dicom
from meddiff.data.decoding.images import decode, is_image, read_picture
from meddiff.data.obtain.fetch import fetch, read_manifest
from meddiff.data.obtain.listing import find_files
from meddiff.data.validate import validate_dataset
from meddiff.errors import DataError

RNG = np.random.default_rng(0)
FILM = RNG.integers(0, 4096, (20, 24)).astype(np.uint16)  # of 12 bits
FILM[0, :2] = 0, 4095


def shades(path: Path, **rule) -> np.ndarray:
    return np.asarray(decode(path, 1, **rule)).astype(int)


def scaled(units: np.ndarray, black: float, white: float) -> np.ndarray:
    return np.rint(np.clip((units - black) / (white - black), 0, 1) * 255).astype(int)


def test_a_film_that_is_stored_inverted_is_turned_round(tmp_path: Path) -> None:
    plain = write_dicom(tmp_path / "a.dcm", FILM, BitsStored=12)
    inverted = write_dicom(
        tmp_path / "b.dcm", 4095 - FILM, BitsStored=12, PhotometricInterpretation="MONOCHROME1"
    )
    full = {"intensity": FullRange(kind="full_range")}
    assert np.array_equal(shades(plain, **full), scaled(FILM, 0, 4095))
    assert np.array_equal(shades(inverted, **full), shades(plain, **full))
    assert np.array_equal(shades(inverted), shades(plain))


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID", None])
@pytest.mark.parametrize("rescale", [{}, {"RescaleSlope": 0.5, "RescaleIntercept": -1024}])
def test_the_first_window_is_what_pydicom_makes_of_it(tmp_path: Path, function, rescale) -> None:
    elements = {"WindowCenter": [200, 40], "WindowWidth": [1500, 400], "VOILUTFunction": function, **rescale}
    path = write_dicom(tmp_path / "a.dcm", FILM, BitsStored=12, **elements)
    dataset = dicom(FILM, BitsStored=12, **elements)
    expected = apply_voi_lut(apply_modality_lut(FILM, dataset), dataset)
    ends = apply_modality_lut(np.array([0.0, 4095.0]), dataset)
    assert np.array_equal(shades(path), scaled(expected, *ends))


def test_signed_values_in_hounsfield_units(tmp_path: Path) -> None:
    values = np.array([[-1000, -160, 40, 240, 3000]] * 2, dtype=np.int16)
    path = write_dicom(tmp_path / "a.dcm", values)
    rule = Window(kind="window", center=40, width=400)
    assert shades(path, intensity=rule)[0].tolist() == [0, 0, 128, 255, 255]
    shifted = write_dicom(tmp_path / "b.dcm", values + 24, RescaleSlope=1, RescaleIntercept=-24)
    assert np.array_equal(shades(shifted, intensity=rule), shades(path, intensity=rule))


def test_lookup_tables(tmp_path: Path) -> None:
    values = np.arange(8, dtype=np.uint16).reshape(2, 4)
    modality = lookup_table(np.arange(8) * 100, first=0, bits=16)
    voi = lookup_table(np.array([0, 51, 102, 255]), first=200, bits=8)
    path = write_dicom(tmp_path / "a.dcm", values, ModalityLUTSequence=[modality])
    assert np.array_equal(shades(path), scaled(values, 0, 7))  # no window: the range of the values
    rule = Window(kind="window", center=300, width=200)
    assert np.array_equal(shades(path, intensity=rule), scaled(values * 100.0, 200, 400))
    units = np.array([[0, 199, 200, 201], [202, 203, 204, 999]], dtype=np.uint16)
    both = write_dicom(
        tmp_path / "b.dcm", units, VOILUTSequence=[voi], WindowCenter=1, WindowWidth=2
    )  # the table goes first
    assert shades(both).tolist() == [[0, 0, 0, 51], [102, 255, 255, 255]]


def test_a_table_of_twelve_bits_that_says_sixteen(tmp_path: Path) -> None:
    table = lookup_table(np.arange(4096), first=0, bits=16)
    path = write_dicom(tmp_path / "a.dcm", FILM, BitsStored=12, VOILUTSequence=[table])
    assert np.array_equal(shades(path), scaled(FILM, 0, 4095))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_sets_no_range(tmp_path: Path, photometric: str) -> None:
    values = FILM.astype(np.int16) + 100
    values[:3] = -2000
    values[3:5] = -1990
    path = write_dicom(
        tmp_path / "a.dcm",
        values,
        PixelPaddingValue=-2000,
        PixelPaddingRangeLimit=-1990,
        PhotometricInterpretation=photometric,
    )
    expected = scaled(values, values[5:].min(), values[5:].max())
    expected = 255 - expected if photometric == "MONOCHROME1" else expected
    expected[:5] = 0
    assert np.array_equal(shades(path), expected)


def test_without_a_window_eight_bits_stay_as_they_are(tmp_path: Path) -> None:
    values = RNG.integers(10, 100, (20, 24), dtype=np.uint8)
    assert np.array_equal(shades(write_dicom(tmp_path / "a.dcm", values)), values)


def test_percentiles_are_of_the_rescaled_values(tmp_path: Path) -> None:
    values = np.arange(1000, dtype=np.uint16).reshape(20, 50)
    path = write_dicom(tmp_path / "a.dcm", values, RescaleSlope=-1, RescaleIntercept=0)
    found = shades(path, intensity=Percentiles(kind="percentile", low=1, high=99))
    assert np.array_equal(found, scaled(-values.astype(float), -990, -10))


def test_bits_in_place_of_what_the_file_says(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", FILM)
    rule = FullRange(kind="full_range")
    assert read_picture(path).peak == 4095
    assert np.array_equal(shades(path, bits=12, intensity=rule), scaled(FILM, 0, 4095))
    with pytest.raises(DataError, match=r"a\.dcm: has the value 4095, but with `bits: 11` white is 2047"):
        decode(path, 1, 11, rule)


@pytest.mark.parametrize("name", ["a.dcm", "a.DICOM", "IM0001", "1.2.840.113619.2.5"])
@pytest.mark.parametrize("preamble", [True, False])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_content_and_then_the_name_decide(tmp_path: Path, name: str, preamble: bool, syntax) -> None:
    dataset = dicom(FILM.astype(">u2" if syntax == ExplicitVRBigEndian else "<u2"), BitsStored=12)
    dataset.file_meta.TransferSyntaxUID = syntax
    if preamble:
        dataset.save_as(tmp_path / name, enforce_file_format=True)
    else:
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.save_as(
            tmp_path / name, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian
        )
    assert np.array_equal(shades(tmp_path / name), scaled(FILM, 0, 4095))


def test_a_dicom_file_of_another_ending(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.png", FILM, BitsStored=12)
    assert np.array_equal(shades(path), scaled(FILM, 0, 4095))


def test_who_is_in_the_image_is_not_read(tmp_path: Path, monkeypatch) -> None:
    path, kept = write_dicom(tmp_path / "a.dcm", FILM), []
    read = pydicom.dcmread

    def spied(*args, **options):
        kept.append(read(*args, **options))
        return kept[-1]

    monkeypatch.setattr(pydicom, "dcmread", spied)
    open_dicom(path).read()
    assert PATIENT.encode() in path.read_bytes()
    assert kept and not any(PATIENT in str(dataset) for dataset in kept)
    assert not any(element.tag.is_private for dataset in kept for element in dataset)


def test_colour(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, (6, 5, 3), dtype=np.uint8)
    path = write_dicom(tmp_path / "a.dcm", pixels)
    assert np.array_equal(np.asarray(decode(path, 3)), pixels)
    deep = pixels.astype(np.uint16) * 257
    path = write_dicom(tmp_path / "b.dcm", deep)
    assert np.array_equal(np.asarray(decode(path, 3)), pixels)


def test_what_an_enhanced_file_says_of_its_only_frame(tmp_path: Path) -> None:
    shared, values, window = Dataset(), Dataset(), Dataset()
    values.RescaleSlope, values.RescaleIntercept = 2, -10
    window.WindowCenter, window.WindowWidth = 3000, 1000
    shared.PixelValueTransformationSequence, shared.FrameVOILUTSequence = [values], [window]
    enhanced = write_dicom(
        tmp_path / "a.dcm", FILM, NumberOfFrames=1, SharedFunctionalGroupsSequence=[shared]
    )
    plain = write_dicom(
        tmp_path / "b.dcm",
        FILM,
        RescaleSlope=2,
        RescaleIntercept=-10,
        WindowCenter=3000,
        WindowWidth=1000,
    )
    assert np.array_equal(shades(enhanced), shades(plain))


# One image, as different programs compress it, and the file that has it uncompressed.
SAME = {
    "MR_small.dcm": [
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_implicit.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
    ],
    "SC_rgb_rle.dcm": ["SC_rgb_jpeg_gdcm.dcm", "SC_rgb_rle_16bit.dcm"],
}


@pytest.mark.parametrize("plain, packed", [(a, b) for a, others in SAME.items() for b in others])
def test_real_files_that_are_compressed(plain: str, packed: str) -> None:
    found = [np.asarray(decode(REAL / name, 3)).astype(int) for name in (plain, packed)]
    assert np.ptp(found[0]) > 50
    assert np.array_equal(*found)


@pytest.mark.parametrize(
    "packed, furthest",
    [("SC_rgb_jpeg_dcmtk.dcm", 2), ("SC_rgb_dcmtk_+eb+cr.dcm", 2), ("SC_ybr_full_422_uncompressed.dcm", 30)],
)
def test_real_colours_that_are_compressed_with_losses(packed: str, furthest: int) -> None:
    found = [np.asarray(decode(REAL / name, 3)).astype(int) for name in ("SC_rgb_rle.dcm", packed)]
    assert np.median(abs(found[0] - found[1])) <= furthest


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_again(tmp_path: Path, syntax) -> None:
    dataset = pydicom.dcmread(REAL / "CT_small.dcm")
    dataset.compress(syntax)
    dataset.save_as(tmp_path / "a.dcm")
    assert np.array_equal(shades(tmp_path / "a.dcm"), shades(REAL / "CT_small.dcm"))


def test_a_real_palette() -> None:
    dataset = pydicom.dcmread(REAL / "examples_palette.dcm")
    expected = pydicom.pixels.apply_color_lut(dataset.pixel_array, dataset)
    found = np.asarray(decode(REAL / "examples_palette.dcm", 3)).astype(int)
    assert np.array_equal(found, scaled(expected, 0, 65535))


def test_a_folder_of_files_without_endings(tmp_path: Path, make_dataset) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "labels.csv").write_text("file,patient,diagnosis\nIM1,1,0\n1.2.3.4,2,1\n")
    write_dicom(tmp_path / "images/IM1", FILM)
    write_dicom(tmp_path / "images/1.2.3.4", FILM[::-1].copy())
    write_dicom(tmp_path / "images/DICOMDIR", FILM)
    (tmp_path / "images/README").write_text("no image")
    (tmp_path / "images/notes.pdf").write_bytes((tmp_path / "images/IM1").read_bytes())
    found = find_files("mine", make_dataset(), tmp_path)
    assert sorted(found) == ["images/1.2.3.4", "images/IM1", "labels.csv"]
    assert is_image("x.dcm") and not is_image("IM1")
    fetch("mine", make_dataset(), tmp_path, tmp_path / "raw.json")
    table = validate_dataset(make_dataset(), tmp_path, read_manifest(tmp_path / "raw.json")).table
    assert table["path"].tolist() == ["images/1.2.3.4", "images/IM1"]
    assert table["image_id"].tolist() == ["1.2.3.4", "IM1"]


def test_what_is_counted_in_the_log(local_root: Path, make_dataset, caplog) -> None:
    write_dicom(local_root / "images/a.dcm", FILM, PhotometricInterpretation="MONOCHROME1")
    write_dicom(local_root / "images/b.dcm", FILM[::-1].copy(), WindowCenter=2000, WindowWidth=4000)
    with open(local_root / "labels.csv", "a") as stream:
        stream.write("a.dcm,91,0\nb.dcm,92,1\n")
    with caplog.at_level(logging.INFO, "meddiff"):
        validate_dataset(make_dataset(intensity={"kind": "dicom"}), local_root, {"files": {}})
    assert "1 images are inverted, since their lowest value is white" in caplog.text
    assert "1 images are DICOM files without a window of their own" in caplog.text
    assert "40 images have 8 bits and are taken as they are" in caplog.text
    assert PATIENT not in caplog.text


def test_a_copy_elsewhere_gives_the_same(tmp_path: Path) -> None:
    shutil.copy(REAL / "693_J2KI.dcm", tmp_path / "scan")
    assert np.array_equal(shades(tmp_path / "scan"), shades(REAL / "693_J2KI.dcm"))
