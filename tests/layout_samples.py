"""Folders in the layouts in which the owners of public datasets ship them, with generated pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from dicom_samples import write_dicom


class Folder:
    """A dataset's folder in the making."""

    def __init__(self, root: Path) -> None:
        self.root, self._rng = root, np.random.default_rng(0)

    def image(self, path: str, mode: str = "RGB") -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        shape = (16, 20, 3) if mode == "RGB" else (16, 20)
        if mode == "I;16":
            pixels = self._rng.integers(0, 65536, shape, dtype=np.uint16)
        else:
            pixels = self._rng.integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(pixels).save(file)

    def text(self, path: str, *lines: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(lines) + "\n")


def ham10000(folder: Folder) -> None:
    rows = ["lesion_id,image_id,dx,dx_type,age,sex,localization,dataset"]
    kinds = ["nv", "mel", "bkl", "bcc", "akiec", "vasc", "df"]
    for i in range(70):
        name = f"ISIC_{24306 + i:07d}"
        folder.image(f"HAM10000_images_part_{1 + i % 2}/{name}.jpg")
        rows.append(f"HAM_{i // 2:07d},{name},{kinds[i // 2 % 7]},histo,{20 + i}.0,male,back,vidir_modern")
    folder.text("HAM10000_metadata.csv", *rows)


def isic2017(folder: Folder) -> None:
    for number, part in enumerate(("Training", "Validation", "Test_v2")):
        rows = ["image_id,melanoma,seborrheic_keratosis"]
        for i in range(12):
            name = f"ISIC_{100 * number + i:07d}"
            folder.image(f"ISIC-2017_{part}_Data/{name}.jpg")
            folder.image(f"ISIC-2017_{part}_Data/{name}_superpixels.png")
            rows.append(f"{name},{i % 2}.0,0.0")
        folder.text(f"ISIC-2017_{part}_Part3_GroundTruth.csv", *rows)


def isic2018(folder: Folder) -> None:
    kinds = ["MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC"]
    rows, lesions = [",".join(["image", *kinds])], ["image,lesion_id,diagnosis_confirm_type"]
    for i in range(70):
        name = f"ISIC_{24306 + i:07d}"
        folder.image(f"ISIC2018_Task3_Training_Input/{name}.jpg")
        rows.append(",".join([name, *("1.0" if j == i // 2 % 7 else "0.0" for j in range(7))]))
        lesions.append(f"{name},HAM_{i // 2:07d},histopathology")
    folder.text("ISIC2018_Task3_Training_GroundTruth/ISIC2018_Task3_Training_GroundTruth.csv", *rows)
    folder.text("ISIC2018_Task3_Training_LesionGroupings.csv", *lesions)


def isic2019(folder: Folder) -> None:
    kinds = ["MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK"]
    rows, more = [",".join(["image", *kinds])], ["image,age_approx,anatom_site_general,lesion_id,sex"]
    for i in range(54):
        name = f"ISIC_{i:07d}" + ("_downsampled" if i % 3 == 0 else "")
        folder.image(f"ISIC_2019_Training_Input/{name}.jpg")
        rows.append(",".join([name, *("1.0" if j == i % 9 else "0.0" for j in range(9))]))
        more.append(f"{name},{'' if i % 5 else '45.0'},,{'' if i % 2 else f'MSK4_{i}'},female")
    folder.text("ISIC_2019_Training_GroundTruth.csv", *rows)
    folder.text("ISIC_2019_Training_Metadata.csv", *more)


def isic2020(folder: Folder) -> None:
    rows = [
        "image_name,patient_id,lesion_id,sex,age_approx,anatom_site_general_challenge,diagnosis,"
        "benign_malignant,target"
    ]
    for i in range(40):
        name = f"ISIC_{2637011 + i}"
        folder.image(f"train/{name}.jpg")
        kind = ("benign", "malignant")[i % 2]
        rows.append(f"{name},IP_{i // 4:07d},IL_{i // 2},male,45.0,head/neck,unknown,{kind},{i % 2}")
    folder.text("ISIC_2020_Training_GroundTruth_v2.csv", *rows)


def chestxray14(folder: Folder) -> None:
    # Two headers have a comma that is not quoted, and all rows end with one.
    rows = [
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
    ]
    lists: dict[str, list[str]] = {"train_val_list.txt": [], "test_list.txt": []}
    findings = ["No Finding", "Effusion", "Atelectasis|Effusion", "Hernia", "No Finding"]
    for i in range(80):
        name = f"{i // 2 + 1:08d}_{i % 2:03d}.png"
        folder.image(f"images_{i % 12 + 1:03d}/images/{name}", "L")
        rows.append(f"{name},{findings[i % 5]},{i % 2},{i // 2 + 1},58,M,PA,2682,2749,0.143,0.143,")
        if i < 76:
            lists["test_list.txt" if i >= 50 else "train_val_list.txt"].append(name)
    folder.text("Data_Entry_2017.csv", *rows)
    for name, lines in lists.items():
        folder.text(name, *lines)


FINDINGS = (
    *("No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema"),
    *("Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other"),
    *("Fracture", "Support Devices"),
)


def chexpert_full(folder: Folder) -> None:
    rows = [",".join(["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *FINDINGS])]
    for i in range(60):
        cells = dict.fromkeys(FINDINGS, "")
        if i % 6 in (0, 3):
            cells["No Finding"] = "1.0"
        else:
            cells["Pneumothorax"] = ("1.0", "1.0", "-1.0", "0.0")[i % 4]
            cells["Edema"] = "1.0"
        name = f"patient{i // 2 + 1:05d}/study1/view1_frontal.jpg"
        folder.image(f"CheXpert-v1.0 batch {2 + i // 2 % 3} (train {1 + i // 2 % 3})/{name}", "L")
        view = "Lateral" if i % 10 == 9 else "Frontal"
        if i % 2:
            name = name.replace("study1", "study2")
            folder.image(f"CheXpert-v1.0 batch {2 + i // 2 % 3} (train {1 + i // 2 % 3})/{name}", "L")
        rows.append(",".join([f"CheXpert-v1.0/train/{name}", "Male", "60", view, "AP", *cells.values()]))
    folder.text("CheXpert-v1.0 batch 1 (validate & csv)/train.csv", *rows)


def padchest(folder: Folder) -> None:
    rows = [",ImageID,ImageDir,StudyID,PatientID,Projection,Labels"]
    labels = [
        "['normal']",
        "['pleural effusion', 'costophrenic angle blunting']",
        "['cardiomegaly']",
        "[]",
        "['pleural effusion']",
    ]
    for i in range(60):
        name = f"{2 * 10**20 + i}_{i:06d}.png"
        if i != 5:
            folder.image(f"{i % 3}/{name}", "I;16")
        projection = "L" if i % 15 == 14 else "PA"
        rows.append(f'{i},{name},{i % 3},{i},{i // 2},{projection},"{labels[i % 5]}"')
    folder.text("PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv", *rows)


def rsna_pneumonia(folder: Folder) -> None:
    rows = ["patientId,class"]
    kinds = ["Normal", "Lung Opacity", "No Lung Opacity / Not Normal"]
    (folder.root / "stage_2_train_images").mkdir(parents=True)
    for i in range(45):
        name = f"{i:08x}-36f5-4b0f-8d6b-{i:012x}"
        pixels = np.random.default_rng(i).integers(0, 256, (16, 16), dtype=np.uint8)
        write_dicom(folder.root / f"stage_2_train_images/{name}.dcm", pixels)
        rows += [f"{name},{kinds[i % 3]}"] * (1 + (i % 3 == 1))  # a row a box
    folder.text("stage_2_detailed_class_info.csv", *rows)


def mura(folder: Folder) -> None:
    for part, number in (("train", 20), ("valid", 12)):
        for i in range(number):
            patient = f"patient{i + 1 if part == 'train' else i + 11185:05d}"
            study = f"XR_WRIST/{patient}/study1_{('negative', 'positive')[i % 2]}"
            for image in (1, 2):
                folder.image(f"MURA-v1.1/{part}/{study}/image{image}.png", "L")


def kermany_chest(folder: Folder) -> None:
    for part, number in (("train", 20), ("val", 4), ("test", 12)):
        for i in range(number):
            person = 100 * len(part) + i // 2
            folder.image(f"chest_xray/{part}/NORMAL/IM-{person:04d}-{i % 2 + 1:04d}.jpeg", "L")
            folder.image(f"chest_xray/{part}/PNEUMONIA/person{person}_bacteria_{i}.jpeg", "L")
