"""Generated datasets whose truth is known: where the evidence is, how hard it is to see, and the shortcut."""

from __future__ import annotations

from pathlib import Path

from meddiff.config.schema.data.layout import CheXpertFormat, ISICFormat, TableFormat
from meddiff.config.schema.data.source import PhantomSource
from meddiff.data.phantom import chest, skin
from meddiff.errors import ConfigError


def generate(source: PhantomSource, layout: CheXpertFormat | ISICFormat | TableFormat, root: Path) -> None:
    """Write a phantom dataset below the empty folder `root`, in the on-disk layout that `layout` reads.

    Beside the images and the layout's CSV this writes ``phantom.csv`` (`image_id, path, label, difficulty,
    cue, mask`, one row a usable image) and ``masks/<image_id>.png`` (native size, 255 where the evidence
    of the class is; in a negative film where it would be). Image number i depends on `source.seed` and i
    (and size, difficulty range and shortcut) only: asking for more images leaves the first ones as they are.

    Raises:
        ConfigError: there is no phantom of this layout.
    """
    if isinstance(layout, CheXpertFormat):
        chest.generate(source, layout, root)
    elif isinstance(layout, ISICFormat):
        skin.generate(source, layout, root)
    else:
        raise ConfigError(
            f"format: there is no phantom of {layout.kind!r}; there is of 'chexpert' and 'isic'"
        )
