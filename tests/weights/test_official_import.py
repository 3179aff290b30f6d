"""The authors' released weights in our models: same outputs, and errors that name the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from accelerate import Accelerator
from diffusers import DiTTransformer2DModel
from safetensors.torch import load_file, save_file

from core_samples import ARCHITECTURES, SIDE, tiny_config, tiny_document, write_store
from meddiff.cli import main
from meddiff.config import load_model, parse_model
from meddiff.errors import CheckpointError
from meddiff.io import read_json
from meddiff.models.kinds import build_model
from meddiff.models.trained import load_model as load_weights_dir
from meddiff.networks.pipeline_folder import with_architecture
from meddiff.networks.tiny_stable_diffusion import make_tiny_stable_diffusion
from meddiff.weights.official import load_official_diffusion
from meddiff.weights.official_baselines import load_official_baseline, with_timm_names
from release_samples import (
    FIXED_SIZE,
    SMALL,
    OfficialClassifier,
    save_diffusion,
    shake,
    with_official_names,
)

CPU = torch.device("cpu")


def ours(name: str, arguments: dict[str, Any], root: Path, size: int) -> torch.nn.Module:
    """The shipped model under the preset ``official``, with the small sizes."""
    config = load_model(name, "isic", "official", root / "config")
    changes = {"architecture": {**config.architecture, **arguments}}
    return build_model(config.model_copy(update=changes), num_classes=2, channels=3, image_size=size)


@pytest.mark.parametrize("name", SMALL)
def test_baseline_gives_the_authors_logits(name, root, tmp_path):
    """Saved by accelerate, as their training does, with the pickles it leaves beside."""
    arguments, size = SMALL[name]
    torch.manual_seed(0)
    theirs = shake(OfficialClassifier(name, arguments, size)).eval()
    accelerator = Accelerator(cpu=True)
    accelerator.prepare(theirs)
    accelerator.save_state(str(tmp_path))
    assert list(tmp_path.glob("*.pkl"))
    model = ours(name, arguments, root, size)
    load_official_baseline(tmp_path, model)
    images = torch.rand(2, 3, size, size) * 2 - 1
    with torch.no_grad():
        expected, got = theirs(images), model.eval()(images)
    assert expected.std() > 1e-3
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_names_and_shapes_of_the_full_baselines(name, root):
    config = load_model(name, "isic", "official", root / "config")
    with torch.device("meta"):
        theirs = OfficialClassifier(name, {}, config.image_size)
        model = build_model(config, num_classes=2, channels=3, image_size=config.image_size)
    named = with_timm_names(Path("x"), theirs.state_dict(), model.backbone)
    assert {n: t.shape for n, t in named.items()} == {n: t.shape for n, t in model.state_dict().items()}


def test_published_and_fair_inputs_of_the_baselines(root):
    for name in SMALL:
        official = load_model(name, "chexpert", "official", root / "config")
        fair = load_model(name, "chexpert", "fixed", root / "config")
        assert official.image_size == (224 if name.startswith(FIXED_SIZE) else 256)
        assert fair.image_size is None  # the dataset's, for all: 256
        assert (official.normalisation, fair.normalisation) == ("half", "pretrained")
        assert official.augment and fair.augment


def test_models_of_a_fixed_size_are_built_for_the_size_of_the_images(root):
    config = load_model("vit_small_patch16_224", "chexpert", "fixed", root / "config")
    assert build_model(config, 2, 3, 64).backbone.patch_embed.img_size == (64, 64)


def test_dit_gives_the_authors_output_in_eval_mode(tmp_path):
    torch.manual_seed(0)
    sizes = {"sample_size": SIDE // 2, "in_channels": 12, "out_channels": 12, "num_embeds_ada_norm": 1000}
    theirs = shake(DiTTransformer2DModel(**sizes, **ARCHITECTURES["dit"])).eval()
    online = DiTTransformer2DModel(**sizes, **ARCHITECTURES["dit"])
    save_diffusion(tmp_path / "dit", online, theirs, None)
    model = build_model(tiny_config("dit", "official"), 2, 3, SIDE).eval()
    load_official_diffusion(tmp_path / "dit", model)
    z, logsnr, labels = torch.randn(3, 12, 4, 4), torch.tensor([-3.0, 0.0, 4.0]), torch.tensor([0, 1, 2])
    with torch.no_grad():
        expected = theirs(z, timestep=logsnr, class_labels=labels, return_dict=False)[0]
        got = model(z, logsnr, labels)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


@pytest.fixture
def convert(tmp_path):
    """Fetch and convert a release by the command line; returns the exit code of the last command."""

    def call(document: dict[str, Any], release: str, folder: Path, **shape: int) -> int:
        listing, manifest = tmp_path / "listing.json", tmp_path / "manifest.json"
        common = ["--folder", str(folder)]
        files = ["--files", str(tmp_path / "downloads")]
        assert main(["listing", "--folder-id", "x", *common, *files, "--out", str(listing)]) == 0
        params = json.dumps({"kind": document["kind"], "release": release})
        record = ["--record", str(tmp_path / "record.json"), "--manifest", str(manifest)]
        found = ["--listing", str(listing), *record]
        if code := main(["released", "--params", params, *found, *common, *files]):
            return code
        settings = {"model": document, "num_classes": 2, "seed": 3, "release": release, **shape}
        out = ["--manifest", str(manifest), "--out", str(tmp_path / "out")]
        return main(["convert", "--params", json.dumps(settings), *common, *out])

    return call


def test_authors_unet_checkpoint_becomes_a_weights_folder(official, convert, tmp_path):
    """The real thing: their training loop's folder, the pickle in it included."""
    document = json.loads((official / "unet-checkpoint" / "config.json").read_text())
    architecture = document["model"]
    for computed in ("sample_size", "in_channels", "out_channels"):
        architecture.pop(computed)
    schedule = {"image_size": document["image_size"], "noise_size": document["noise_d"]}
    model = tiny_document("unet", "official", architecture=architecture, schedule=schedule)
    shape = {"channels": 3, "image_size": 64}
    assert convert(model, "unet-checkpoint", official, **shape) == 0
    loaded, spec = load_weights_dir(tmp_path / "out", CPU)
    reference = build_model(spec.model, 2, 3, 64)
    load_official_diffusion(official / "unet-checkpoint", reference)
    for name, tensor in reference.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    assert not loaded.training
    run = read_json(tmp_path / "out" / "run.json")
    assert set(run["released"]["files"]) == {"model_1.safetensors", "model_2.safetensors"}
    assert str(tmp_path) not in json.dumps(run) and str(official) not in json.dumps(run)
    assert yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())["seed"] == 3


@pytest.fixture
def baseline(tmp_path) -> Path:
    """A folder with a released tiny classifier; its network is timm's ``test_resnet``."""
    folder = tmp_path / "mine" / "isic-classifier" / "best_checkpoint_tiny"
    folder.mkdir(parents=True)
    model = build_model(tiny_config("timm", "official"), 2, 1, SIDE)
    save_file(with_official_names(model, "resnet"), folder / "model.safetensors")
    return folder


TINY = tiny_document("timm", "official")
SHAPE = {"channels": 1, "image_size": SIDE}
RELEASE = "isic-classifier/best_checkpoint_tiny"


def test_tiny_baseline_is_converted(baseline, convert, tmp_path):
    assert convert(TINY, RELEASE, tmp_path / "mine", **SHAPE) == 0
    saved = load_file(baseline / "model.safetensors")
    ours = load_file(tmp_path / "out" / "model.safetensors")
    assert torch.equal(ours["backbone.fc.weight"], saved["head.weight"])
    assert len(ours) == len(saved)


def test_stable_diffusion_pipeline_is_converted(convert, tmp_path):
    """A folder in diffusers' layout; the architecture and the prompts' encodings come from it."""
    folder = tmp_path / "mine" / "stable-diffusion"
    store = write_store(tmp_path / "images", size=16)
    make_tiny_stable_diffusion([store], folder, seed=1, autoencoder_steps=2)
    document = {
        "title": "tiny",
        "family": "diffusion",
        "kind": "stable_diffusion",
        "pretrained": {"repo": "a/b", "files": ["unet/*.safetensors"]},
        "prompts": ["image of a benign skin lesion", "image of a melanoma skin lesion"],
        "train": {"steps": 1, "warmup_steps": 0},
    }
    assert convert(document, "stable-diffusion", tmp_path / "mine", channels=1, image_size=16) == 0
    loaded, spec = load_weights_dir(tmp_path / "out", CPU)
    reference = build_model(with_architecture(parse_model(document), folder), 2, 1, 16)
    reference.load_pretrained(folder)
    for name, tensor in reference.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    unet = load_file(next((folder / "unet").glob("*.safetensors")))
    assert torch.equal(loaded.unet.conv_in.weight, unet["conv_in.weight"])
    assert spec.model.prompts == document["prompts"] and loaded.class_tokens.abs().sum() > 0


def test_misfit_names_the_file_and_leaves_no_weights(baseline, convert, tmp_path, caplog):
    tensors = load_file(baseline / "model.safetensors")
    save_file({**tensors, "head.weight": torch.zeros(2, 5)}, baseline / "model.safetensors")
    assert convert(TINY, RELEASE, tmp_path / "mine", **SHAPE) == 1
    assert f"{baseline / 'model.safetensors'}: weights do not fit the model: wrong shape" in caplog.text
    assert "backbone.fc.weight: (2, 5)" in caplog.text
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_released_weights_that_are_no_numbers(baseline, convert, tmp_path, caplog):
    """Not a matter of the learning rate or the precision, which is where they would show first."""
    tensors = load_file(baseline / "model.safetensors")
    tensors["head.weight"][0, 1] = torch.nan
    save_file(tensors, baseline / "model.safetensors")
    assert convert(TINY, RELEASE, tmp_path / "mine", **SHAPE) == 1
    expected = f"{baseline / 'model.safetensors'}: values that are NaN or infinite in 1 tensors"
    assert f"{expected}: backbone.fc.weight (1 of {tensors['head.weight'].numel()})" in caplog.text
    assert not (tmp_path / "out" / "model.safetensors").exists()


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_pipelines_that_are_no_numbers(part, tmp_path):
    folder = tmp_path / "pipeline"
    make_tiny_stable_diffusion(
        [write_store(tmp_path / "images", size=16)], folder, seed=1, autoencoder_steps=1
    )
    path = next((folder / part).glob("*.safetensors"))
    tensors = load_file(path)
    name = max(tensors, key=lambda name: tensors[name].numel())
    tensors[name].view(-1)[3] = torch.nan
    save_file(tensors, path, {"format": "pt"})
    document = {
        "title": "tiny",
        "family": "diffusion",
        "kind": "stable_diffusion",
        "pretrained": {"repo": "a/b", "files": ["unet/*.safetensors"]},
        "prompts": ["a", "b"],
        "train": {"steps": 1, "warmup_steps": 0},
    }
    model = build_model(with_architecture(parse_model(document), folder), 2, 1, 16)
    with pytest.raises(
        CheckpointError, match=rf"{part}: values that are NaN or infinite in 1 tensors: \S*weight"
    ):
        model.load_pretrained(folder)


def test_file_that_changed_since_it_was_recorded(baseline, convert, tmp_path, caplog):
    assert convert(TINY, RELEASE, tmp_path / "mine", **SHAPE) == 0
    tensors = load_file(baseline / "model.safetensors")
    save_file({**tensors, "head.bias": tensors["head.bias"] + 1}, baseline / "model.safetensors")
    assert convert(TINY, RELEASE, tmp_path / "mine", **SHAPE) == 1
    assert f"{baseline / 'model.safetensors'}: expected" in caplog.text and "SHA-256" in caplog.text


def test_conversion_checks_the_files_again(baseline, convert, tmp_path, caplog):
    """The folder may be the user's own: what was recorded at the fetch is what must be read."""
    assert convert(TINY, RELEASE, tmp_path / "mine", **SHAPE) == 0
    (baseline / "model.safetensors").write_bytes(b"x" * 100)
    settings = {"model": TINY, "num_classes": 2, "seed": 0, "release": RELEASE, **SHAPE}
    arguments = ["--folder", str(tmp_path / "mine"), "--manifest", str(tmp_path / "manifest.json")]
    assert (
        main(["convert", "--params", json.dumps(settings), *arguments, "--out", str(tmp_path / "new")]) == 1
    )
    assert f"{baseline / 'model.safetensors'}: expected" in caplog.text
    assert not (tmp_path / "new").exists()


def test_unknown_names_and_damaged_files(baseline):
    model = build_model(tiny_config("timm", "official"), 2, 1, SIDE)
    path = baseline / "model.safetensors"
    tensors = load_file(path)
    save_file({**tensors, "backbone.convnext.stem": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: unknown tensor backbone\.convnext\.stem"):
        load_official_baseline(baseline, model)
    path.write_bytes(b"\x80\x04not safetensors")
    with pytest.raises(CheckpointError, match=r"model\.safetensors: damaged"):
        load_official_baseline(baseline, model)


def test_diffusion_checkpoint_without_its_embedding(tmp_path):
    model = build_model(tiny_config("unet", "official"), 2, 3, SIDE)
    save_diffusion(tmp_path / "unet", model.backbone, model.backbone, torch.zeros(3, 8))
    load_official_diffusion(tmp_path / "unet", model)
    save_file({"other": torch.zeros(3, 8)}, tmp_path / "unet" / "model_2.safetensors")
    with pytest.raises(CheckpointError, match=r"model_2\.safetensors: expected the class embedding"):
        load_official_diffusion(tmp_path / "unet", model)
    (tmp_path / "unet" / "model_2.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model_2\.safetensors: no such weights"):
        load_official_diffusion(tmp_path / "unet", model)
