"""How many images the splits of a dataset have, before or after they are made, and how that is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from meddiff.config.datasets.folds import whole
from meddiff.config.schema.data.source import PhantomSource
from meddiff.config.schema.data.split import DRAWN, FoldsSplit, RecipeSplit
from meddiff.config.schema.dataset import DatasetConfig
from meddiff.errors import ConfigError

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class SplitSizes:
    """Images of each split, and where the numbers come from."""

    train: int
    valid: int
    test: int
    source: str

    @property
    def total(self) -> int:
        """Images of all splits."""
        return self.train + self.valid + self.test


def parse_sizes(text: str) -> tuple[str, SplitSizes]:
    """Read ``NAME=TRAIN,VALID,TEST``.

    Raises:
        ConfigError: if it is something else.
    """
    name, _, numbers = text.partition("=")
    parts = numbers.split(",")
    if not name or len(parts) != len(SPLITS) or not all(part.isdecimal() for part in parts):
        raise ConfigError(f"--images {text}: expected NAME=TRAIN,VALID,TEST, e.g. chexpert=16324,2040,2040")
    return name, SplitSizes(*map(int, parts), source="--images")


def split_sizes(name: str, dataset: DatasetConfig, given: Mapping[str, SplitSizes]) -> SplitSizes:
    """The sizes of a dataset's splits.

    In this order: as the user says (of a fold by the name of its dataset, too); the tables in
    ``splits/<name>``; `DatasetConfig.sizes`; the number of images of a phantom. Shares of a recipe are of
    images, so groups may shift them a little.

    Raises:
        ConfigError: if none of these says it.
    """
    if (said := given.get(name) or given.get(whole(name))) is not None:
        return said
    tables = [Path("splits") / name / f"{split}.csv" for split in SPLITS]
    if all(table.is_file() for table in tables):
        return SplitSizes(*map(_rows, tables), source=f"splits/{name}")
    recipe = dataset.split if isinstance(dataset.split, DRAWN) else None
    if dataset.sizes is not None:
        known = SplitSizes(*(dataset.sizes[split] for split in SPLITS), source="sizes in its file")
        return _by_recipe(known.total, recipe, known.source) if recipe else known
    if isinstance(dataset.source, PhantomSource) and recipe:
        return _by_recipe(dataset.source.images, recipe, "source.images in its file")
    raise ConfigError(
        f"dataset {name}: how many images it has is not known before it is there; run `snakemake datasets` "
        f"first, or say it with --images {name}=TRAIN,VALID,TEST"
    )


def _by_recipe(total: int, recipe: RecipeSplit | FoldsSplit, source: str) -> SplitSizes:
    valid, test = round(total * recipe.valid), round(total * recipe.test)
    return SplitSizes(total - valid - test, valid, test, source=f"{source}, by recipe")


def _rows(table: Path) -> int:
    with table.open(encoding="utf-8") as stream:
        return sum(1 for line in stream if line.strip()) - 1
