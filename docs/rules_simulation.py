"""The simulation of docs/rules.md: decision rules on five unequal classes, with a denoiser that is known.

Images are normal around the mean of their class; the denoiser is the exact one of a class's Gaussian plus an
error of its own, which falls with the root of the class's training images. This
script prints the table as Markdown, in about a minute.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from meddiff.evaluate.rules.learned import learned
from meddiff.evaluate.rules.ranking import rule_ranking

SHARES = np.array([0.45, 0.12, 0.19, 0.18, 0.06])
DIMENSIONS, DEVIATION, TRAINED, STEPS, IMAGES, WORLDS = 48, 0.5, 1000, 51, 400, 3
SHOWN = [
    "majority",
    "mean",
    "pairwise",
    "condorcet",
    "weighted_errors",
    "centred_weighted",
    "band_regression",
]
# The denoiser's error of its own: the part that is the same in every image and step, and that which is not.
CASES = {
    "none": (0, 0, False),
    "the same in every image": (2, 0, False),
    "another at every step": (0, 3, False),
    "another at every step; classes are grades": (0, 3, True),
}


def simulated(world: int, split: int, fixed: float, random: float, grades: bool) -> xr.Dataset:
    """An errors dataset of a split; a world has its own classes and its own denoiser."""
    classes = len(SHARES)
    generator = np.random.default_rng([world, 0])
    if grades:  # along a line, a step of .7 apart
        direction = generator.normal(size=DIMENSIONS)
        means = 0.7 * np.arange(classes)[:, None] * direction / np.linalg.norm(direction)
    else:
        means = generator.normal(size=(classes, DIMENSIONS)) / np.sqrt(DIMENSIONS)
    scale = 1 / np.sqrt(TRAINED * SHARES)[:, None]
    own = fixed * scale * generator.normal(size=(classes, DIMENSIONS))
    generator = np.random.default_rng([world, 1 + split])
    label = generator.choice(classes, IMAGES, p=SHARES)
    images = means[label] + DEVIATION * generator.normal(size=(IMAGES, DIMENSIONS))
    t = generator.uniform(0.001, 0.999, (IMAGES, STEPS))
    alpha, sigma = np.cos(np.pi * t / 2)[..., None], np.sin(np.pi * t / 2)[..., None]
    eps = generator.normal(size=(IMAGES, STEPS, DIMENSIONS))
    z = alpha * images[:, None] + sigma * eps
    errors = np.empty((IMAGES, STEPS, classes))
    for k in range(classes):
        exact = sigma * (z - alpha * means[k]) / (alpha**2 * DEVIATION**2 + sigma**2)
        predicted = exact + own[k] + random * scale[k] * generator.normal(size=eps.shape)
        errors[..., k] = ((predicted - eps) ** 2).sum(axis=-1)
    ids = np.array([f"{i:04d}" for i in range(IMAGES)])
    return xr.Dataset(
        {
            "errors": (("image", "step", "class"), errors.astype(np.float32)),
            "logsnr": (("image", "step"), -2 * np.log(np.tan(np.pi * t / 2))),
            "label": ("image", label),
            "group": ("image", ids),
        },
        coords={"image": ids, "class": [f"class {k}" for k in range(classes)]},
    )


def row(case: tuple[float, float, bool]) -> list[str]:
    """Accuracy of each rule, and in brackets after calibration."""
    tables = []
    for world in range(WORLDS):
        test, validation = (simulated(world, split, *case) for split in (0, 1))
        tables.append(rule_ranking(test, learned(validation, test)).set_index("rule"))
    shown = ["accuracy", "calibrated_accuracy"]
    mean = np.mean([table.loc[SHOWN, shown].to_numpy() for table in tables], axis=0)
    return [f"{100 * raw:.1f} ({100 * calibrated:.1f})" for raw, calibrated in mean]


def main() -> None:
    """Print the table."""
    print(f"| the denoiser's own error | {' | '.join(f'`{rule}`' for rule in SHOWN)} |")
    print("|---" * (1 + len(SHOWN)) + "|")
    for name, case in CASES.items():
        print(f"| {' | '.join([name, *row(case)])} |")


if __name__ == "__main__":
    main()
