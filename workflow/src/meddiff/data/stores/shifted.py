"""A store of images unlike a dataset's: changed test images, phantoms, and images of other datasets.

It has one split, ``shifted``. An image's id is that of its original behind the name of its shift and a colon;
an image that was changed has the label and the group of its original.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from meddiff.config.schema.data.source import PhantomSource
from meddiff.data.phantom import chest, skin
from meddiff.data.phantom.common import draw_case
from meddiff.data.shifts import SHIFTS, fitted_to, shifted
from meddiff.data.stores.store import Store
from meddiff.data.stores.store_files import FORMAT_VERSION, INDEX, MANIFEST, index_sha256
from meddiff.io import atomic_path, write_json

SPLIT = "shifted"
PHANTOM, OTHERS = "phantom", "other_datasets"
_LEAST_PHANTOMS, _NATIVE_SIZE = 30, 48  # that a source may have; side of its images, or more


@dataclass(frozen=True)
class _Part:
    """Images of one shift: uint8 [N, H, W, C], and N ids, labels and groups."""

    shift: str
    images: np.ndarray
    ids: Sequence[str]
    labels: np.ndarray
    groups: Sequence[str]


def build_shifted_store(
    store_dir: Path, others: Mapping[str, Path], out_dir: Path, kinds: Sequence[str], images: int, seed: int
) -> None:
    """Write the store of a dataset's shifts; the same arguments give the same bytes.

    Args:
        store_dir: the dataset's store.
        others: name -> store of the other datasets.
        out_dir: the store to write, its manifest last.
        kinds: names of `SHIFTS`, ``phantom`` and ``other_datasets``.
        images: of each shift, or fewer where a test split has fewer.
        seed: of the draw of images, and of random changes.

    Raises:
        DataError: if a store is missing or damaged.
    """
    store = Store.open(store_dir, "test")
    parts = list(_parts(store, others, kinds, images, seed))
    pixels = np.concatenate([part.images for part in parts])
    rows = {
        "image_id": [f"{part.shift}:{image_id}" for part in parts for image_id in part.ids],
        "label": np.concatenate([part.labels for part in parts]),
        "group": [group for part in parts for group in part.groups],
    }
    index = pd.DataFrame({"split": SPLIT, "row": np.arange(len(pixels), dtype=np.int64), **rows})
    with atomic_path(out_dir / f"{SPLIT}.npy") as temporary, open(temporary, "wb") as stream:
        np.save(stream, pixels)
    with atomic_path(out_dir / INDEX) as temporary:
        index.to_parquet(temporary, index=False)
    described = {
        "n": len(pixels),
        "sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
        "index_sha256": index_sha256(index),
    }
    same = {key: store.manifest[key] for key in ("size", "geometry", "channels", "class_names")}
    write_json(out_dir / MANIFEST, {"format_version": FORMAT_VERSION, **same, "splits": {SPLIT: described}})


def _parts(
    store: Store, others: Mapping[str, Path], kinds: Sequence[str], images: int, seed: int
) -> Iterator[_Part]:
    own = _drawn(store, images, seed)
    for kind in kinds:
        if kind == PHANTOM:
            yield _phantoms(store, images, seed)
        elif kind == OTHERS:
            for name, folder in others.items():
                yield _of_other(name, Store.open(folder, "test"), store, images, seed)
        else:
            assert kind in SHIFTS
            changed = [shifted(np.array(store.images[row]), kind, store.image_ids[row], seed) for row in own]
            ids, groups = ([values[row] for row in own] for values in (store.image_ids, store.groups))
            yield _Part(kind, np.stack(changed), ids, store.labels[own], groups)


def _drawn(store: Store, images: int, seed: int) -> list[int]:
    """Rows of test images, in their order."""
    return sorted(np.random.default_rng(seed).permutation(len(store))[:images].tolist())


def _of_other(name: str, other: Store, store: Store, images: int, seed: int) -> _Part:
    rows = _drawn(other, images, seed)
    size, channels = store.manifest["size"], store.manifest["channels"]
    fitted = np.stack([fitted_to(np.array(other.images[row]), size, channels) for row in rows])
    groups = [f"{name}:{other.groups[row]}" for row in rows]
    return _Part(name, fitted, [other.image_ids[row] for row in rows], np.zeros(len(rows), np.int64), groups)


def _phantoms(store: Store, images: int, seed: int) -> _Part:
    """Of a chest where images are grey, of skin where they are RGB."""
    size, channels = store.manifest["size"], store.manifest["channels"]
    source = PhantomSource(
        kind="phantom", images=max(images, _LEAST_PHANTOMS), seed=seed, native_size=max(size, _NATIVE_SIZE)
    )
    draw = chest.draw if channels == 1 else skin.draw
    drawn = [draw(source, draw_case(source, i)).pixels for i in range(images)]
    fitted = [fitted_to(p if p.ndim == 3 else p[..., None], size, channels) for p in drawn]
    names = [str(i) for i in range(images)]
    groups = [f"{PHANTOM}:{name}" for name in names]
    return _Part(PHANTOM, np.stack(fitted), names, np.zeros(images, np.int64), groups)
