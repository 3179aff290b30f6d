"""From one of the authors' released models to weights of ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name

from meddiff.io import read_json, write_json
from meddiff.models.checkpoint import save_weights
from meddiff.models.kinds import with_pretrained_architecture
from meddiff.models.spec import RUN, WEIGHTS, ModelSpec, write_config
from meddiff.provenance import environment
from meddiff.weights.released import release_of, verified_files


def import_released(
    spec: ModelSpec, seed: int, release: str, folder: Path, manifest: Path, out_dir: Path
) -> None:
    """Write a released model as training would: ``model.safetensors``, ``config.yaml``, ``run.json``.

    Args:
        spec: the model, with the flags of the preset ``official``.
        seed: of the run that the weights are for; it changes nothing about them.
        release: the model's folder in the release.
        folder: a copy of the release.
        manifest: what the model's files must be, as `meddiff.weights.released.fetch_released` writes it.
        out_dir: gets the files.

    Raises:
        CheckpointError: if a file is missing, is not the recorded one, or does not fit the model.
    """
    source = verified_files(folder, spec.model.kind, release, manifest)
    load = resolve_name(release_of(spec.model.kind).importer)
    spec = replace(spec, model=with_pretrained_architecture(spec.model, source))
    model = spec.build().eval()
    load(source, model)
    write_config(out_dir, spec, seed)
    write_json(
        out_dir / RUN,
        {
            "released": read_json(manifest),
            "parameters": sum(p.numel() for p in model.parameters()),
            **environment(),
        },
    )
    save_weights(out_dir / WEIGHTS, model)
