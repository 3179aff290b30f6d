"""Bundles: whole or refused, the same bytes for the same run, and networks that their libraries load."""

from __future__ import annotations

import pickle
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import yaml
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from audit_samples import LABEL, NOISE, STRATA, result_of
from bundle_samples import NAMES, STEPS, edited, make_data, make_run, renewed
from core_samples import SIDE, tiny_config, write_store
from meddiff import Classifier
from meddiff.bundles.bundle import CARD, FORMAT_VERSION, MANIFEST, SUMS, Bundle
from meddiff.bundles.card import model_card
from meddiff.bundles.export import export
from meddiff.bundles.library import parts_of, read_network, write_network
from meddiff.bundles.runs import RunFolder
from meddiff.cli import main
from meddiff.config.schema.kinds.stable_diffusion import StableDiffusionConfig
from meddiff.errors import CheckpointError, DataError, ReleaseError
from meddiff.evaluate.audit import GAP
from meddiff.models.spec import CONFIG, ModelSpec
from meddiff.networks.pipeline_folder import with_architecture
from meddiff.networks.tiny_stable_diffusion import make_tiny_stable_diffusion
from meddiff.records.files import Files
from meddiff.records.record import recorded
from meddiff.result_csv import write_csv

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


def loaded(bundle: Path) -> list[torch.nn.Module]:
    """What the documented lines of Python load."""
    return [from_lines(part.lines, bundle) for part in parts_of(Bundle(bundle).spec)]


def from_lines(lines: Sequence[str], bundle: Path) -> torch.nn.Module:
    names: dict[str, torch.nn.Module] = {}
    exec("\n".join(lines).format(bundle=bundle), names)
    return names["network"]


def test_diffusers_loads_the_unet_in_two_lines(runs) -> None:
    (theirs,), ours = loaded(runs.bundles["unet"]), Classifier.from_folder(runs.unet).network
    embedding = load_file(runs.bundles["unet"] / "meddiff.safetensors")["class_embedding.weight"]
    z, logsnr, classes = torch.randn(2, *ours.input_shape), torch.tensor([-1.0, 2.0]), torch.tensor([0, 1])
    with torch.inference_mode():
        found = theirs(z, logsnr, encoder_hidden_states=embedding[classes][:, None]).sample
        torch.testing.assert_close(found, ours(z, logsnr, classes))


def test_diffusers_loads_the_transformer_in_two_lines(runs) -> None:
    (theirs,), ours = loaded(runs.bundles["dit"]), Classifier.from_folder(runs.dit).network
    z, logsnr, classes = torch.randn(2, *ours.input_shape), torch.tensor([-1.0, 2.0]), torch.tensor([0, 1])
    with torch.inference_mode():
        found = theirs(z, timestep=logsnr, class_labels=classes).sample
        torch.testing.assert_close(found, ours(z, logsnr, classes))
    assert not (runs.bundles["dit"] / "meddiff.safetensors").exists()


def test_timm_loads_the_baseline_in_two_lines(runs) -> None:
    (theirs,), ours = loaded(runs.bundles["timm"]), Classifier.from_folder(runs.timm).network
    images = torch.rand(2, 1, SIDE, SIDE)
    with torch.inference_mode():
        torch.testing.assert_close(theirs(images), ours.backbone(images))
    kept = timm.create_model("test_resnet").pretrained_cfg["mean"]
    assert float(ours.mean) == pytest.approx(np.mean(kept))


def test_diffusers_loads_the_parts_of_stable_diffusion(tmp_path) -> None:
    folder, side = tmp_path / "pretrained", 16
    make_tiny_stable_diffusion(
        [write_store(tmp_path / "data", size=side, channels=3)], folder, autoencoder_steps=1
    )
    document = {
        **{"title": "tiny", "family": "diffusion", "kind": "stable_diffusion", "prompts": ["one", "two"]},
        "pretrained": {"generate": "tiny_stable_diffusion", "datasets": ["any"]},
    }
    config = with_architecture(StableDiffusionConfig.model_validate(document), folder)
    spec = ModelSpec(config, 2, 3, side, tuple(NAMES[:2]))
    network = spec.build()
    network.load_pretrained(folder)
    tensors, bundle = network.state_dict(), tmp_path / "bundle"
    write_network(bundle, spec, tensors)
    found = read_network(bundle, spec)
    assert found.keys() == tensors.keys() and all(torch.equal(found[n], tensors[n]) for n in tensors)
    assert list(load_file(bundle / "meddiff.safetensors")) == ["class_tokens"]
    unet, vae = (from_lines(part.lines, bundle) for part in parts_of(spec))
    images, level = torch.rand(2, 3, side, side), torch.tensor([321])
    with torch.inference_mode():
        latents = vae.encode(images).latent_dist.mode() * vae.config.scaling_factor
        torch.testing.assert_close(latents, network.encode(images))
        given = {"encoder_hidden_states": network.class_tokens[[0, 1]]}
        logsnr = network.schedule.table[level].expand(2)
        expected = network(latents, logsnr, torch.tensor([0, 1]))
        torch.testing.assert_close(unet(latents, level, **given).sample, expected)


def test_the_same_run_gives_the_same_bytes_and_an_earlier_bundle_is_replaced(runs, tmp_path) -> None:
    for name in ("one", "two"):
        export(runs.unet, tmp_path / name)
    export(runs.unet, tmp_path / "one")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]  # nothing is left beside


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_sha256sum_agrees(runs) -> None:
    subprocess.run(["sha256sum", "--check", "--quiet", SUMS], cwd=runs.bundles["dit"], check=True)


def test_what_is_no_bundle_is_left_as_it_is(runs, tmp_path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.tex").write_text("years of work")
    (tmp_path / "file").write_text("also")
    for name in ("thesis", "file"):
        with pytest.raises(ReleaseError, match=r"no bundle|no folder"):
            export(runs.unet, tmp_path / name)
    assert (tmp_path / "thesis/chapter.tex").read_text() == "years of work"


def test_a_failed_export_leaves_nothing(runs, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("meddiff.bundles.export.model_card", lambda *given: 1 / 0)
    export_before = contents(runs.bundles["unet"])
    shutil.copytree(runs.bundles["unet"], tmp_path / "bundle")
    for name in ("bundle", "new"):
        with pytest.raises(ZeroDivisionError):
            export(runs.unet, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert contents(tmp_path / "bundle") == export_before


def test_unfinished_runs_are_named(runs, tmp_path) -> None:
    root = shutil.copytree(runs.root, tmp_path / "copy")
    run = root / runs.unet.relative_to(runs.root)
    shutil.rmtree(run / "votes0/predictions")
    with pytest.raises(DataError, match="has no predictions yet"):
        export(run, tmp_path / "bundle")
    shutil.rmtree(run / "votes0")
    with pytest.raises(DataError, match="has not been scored yet"):
        export(run, tmp_path / "bundle")


@pytest.mark.parametrize("name", [WEIGHTS, CONFIG, MANIFEST, "fitted/majority/as_used/calibration.json"])
@pytest.mark.parametrize("how", ["changed", "missing"])
def test_a_bundle_that_is_not_whole_is_refused(bundle, name, how) -> None:
    path = bundle / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content) if how == "changed" else path.unlink()
    with pytest.raises(CheckpointError):
        Classifier.from_folder(bundle)


class Unpickled:
    """Says so when it is."""

    def __reduce__(self):
        return (print, ("unpickled",))


def test_a_pickle_in_place_of_weights_is_not_unpickled(bundle, capsys) -> None:
    (bundle / WEIGHTS).write_bytes(pickle.dumps(Unpickled()))
    with pytest.raises(CheckpointError, match="SHA-256"):
        Classifier.from_folder(bundle)
    renewed(bundle)
    with pytest.raises(CheckpointError, match="damaged weights"):
        _ = Classifier.from_folder(bundle).network
    torch.save({"weight": torch.zeros(1)}, bundle / WEIGHTS)
    renewed(bundle)
    with pytest.raises(CheckpointError, match="damaged weights"):
        _ = Classifier.from_folder(bundle).network
    assert "unpickled" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format_version": FORMAT_VERSION + 1}, "made by a newer meddiff"),
        ({"format_version": None}, None),
        ({"class_names": NAMES[1::-1]}, "do not belong together"),
        ({"class_names": ["a", "b", "c"]}, "do not belong together"),
        ({"pixels": {"size": 2 * SIDE, "channels": 1}}, "images with side 8"),
        ({"surprise": 1}, "surprise"),
        ({"pixels": {"size": "large", "channels": 1}}, "pixels.size"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(bundle, changes, said) -> None:
    edited(bundle, **changes)
    if said is None:  # what says nothing is of version 1
        Classifier.from_folder(bundle)
        return
    with pytest.raises(CheckpointError, match=said):
        Classifier.from_folder(bundle)


def test_nothing_without_a_checksum_is_read(bundle) -> None:
    lines = (bundle / SUMS).read_text().splitlines()
    (bundle / SUMS).write_text("".join(f"{line}\n" for line in lines if WEIGHTS not in line))
    with pytest.raises(CheckpointError, match=f"does not list {WEIGHTS}"):
        Classifier.from_folder(bundle)
    for line in (f"{'0' * 64}  ../weights", f"{'0' * 64}  /etc/passwd", "no checksum"):
        (bundle / SUMS).write_text(f"{line}\n")
        with pytest.raises(CheckpointError, match="line 1"):
            Classifier.from_folder(bundle)


def test_the_card_may_be_edited_and_further_files_may_be_there(bundle) -> None:
    (bundle / CARD).write_text("my own words")
    (bundle / ".gitattributes").write_text("*.safetensors filter=lfs")
    Classifier.from_folder(bundle)


def test_the_card_says_what_the_run_knows(runs) -> None:
    for kind, library in (("unet", "diffusers"), ("timm", "timm")):
        _, front, text = (runs.bundles[kind] / CARD).read_text().split("---\n", 2)
        said = yaml.safe_load(front)
        assert (said["library_name"], said["license"]) == (library, "unknown")
        assert said["pipeline_tag"] == "image-classification"
        run = getattr(runs, kind)
        metrics = run / ("metrics/softmax.csv" if kind == "timm" else "votes0/metrics/majority.csv")
        rows = [line.split(",") for line in metrics.read_text().splitlines()]
        value = next(row[rows[0].index("value")] for row in rows if "accuracy" in row)
        (result,) = said["model-index"][0]["results"]
        assert result["metrics"][0] == {
            "type": "accuracy",
            "value": pytest.approx(float(value), abs=1e-6),
            "name": "Accuracy",
        }
        theirs = ModelCard((runs.bundles[kind] / CARD).read_text()).data.eval_results
        assert (theirs[0].metric_type, theirs[0].task_type) == ("accuracy", "image-classification")
        assert theirs[0].metric_value == pytest.approx(float(value), abs=1e-6)
        assert f"| Accuracy | {float(value):.3f} | " in text
        assert "| test | 6 | 6 | 3 | 3 |" in text
        for heading in (
            "Data",
            "Intended use",
            "Metrics",
            "Limits",
            "Audit of strata",
            "What the splits share",
        ):
            assert f"\n## {heading}\n" in text
        assert "PPV 0.6" in text and "images are generated" not in text
        assert (f"all {STEPS} noise levels" in text) is (kind == "unet")


def test_the_card_says_that_images_of_a_phantom_are_generated(runs, tmp_path) -> None:
    root = shutil.copytree(runs.root, tmp_path / "copy")
    with recorded(
        "fetch",
        Files([], [root / "data/eyes/raw.json"]),
        {"source": {"kind": "phantom"}},
        tmp_path / ".state",
    ):
        (root / "data/eyes/raw.json").write_text("{}")
    run = RunFolder.open(root / runs.timm.relative_to(runs.root))
    assert "**The images are generated**" in model_card(run, run.usage(), "unknown")


def test_the_card_has_the_audit_of_its_model(runs, tmp_path) -> None:
    root = shutil.copytree(runs.root, tmp_path / "copy")
    audit = result_of(STRATA, tiny_timm=LABEL, other=NOISE).assign(dataset="eyes")
    write_csv(audit, root / "results/trial/tables/audit.csv")
    export(root / runs.timm.relative_to(runs.root), tmp_path / "bundle")
    section = (tmp_path / "bundle" / CARD).read_text().split("## Audit of strata")[1].split("## ")[0]
    assert "| tiny timm | old | accuracy | 1.000 |" in section and "| the rule | " in section
    verdict = audit[(audit["model"] == "tiny_timm") & (audit["metric"] == GAP)]["verdict"].iloc[0]
    assert f"| {verdict} |" in section
    export(root / runs.unet.relative_to(runs.root), tmp_path / "other")
    assert "no audit of this model" in (tmp_path / "other" / CARD).read_text()


def test_names_of_classes_are_text_in_the_card(tmp_path) -> None:
    make_data(tmp_path, classes=3)
    export(make_run(tmp_path, "timm", classes=3), tmp_path / "bundle", "mit")
    card = (tmp_path / "bundle" / CARD).read_text()
    assert "<script>" not in card and "&lt;script&gt;" in card and "\nlicense: mit\n" in card


def test_the_command_makes_a_bundle_and_says_why_not(runs, tmp_path, capsys, caplog) -> None:
    assert main(["export", str(runs.dit), str(tmp_path / "new/bundle")]) == 0
    assert contents(tmp_path / "new/bundle") == contents(runs.bundles["dit"])
    assert main(["export", str(tmp_path), str(tmp_path / "other")]) == 1
    assert "is no model" in caplog.text


def test_kinds_of_which_no_parts_are_known_cannot_be_exported(monkeypatch) -> None:
    spec = ModelSpec(tiny_config("dit").model_copy(update={"kind": "convnet"}), 2, 1, SIDE)
    with pytest.raises(CheckpointError, match="kind 'convnet' cannot be exported"):
        parts_of(spec)


def test_the_documentation_has_the_lines_of_diffusers(root, runs) -> None:
    lines = (root / "docs/classify.md").read_text(encoding="utf-8").splitlines()
    page = "\n".join(line for line in lines if line)
    for kind in ("unet", "dit"):
        (part,) = parts_of(Bundle(runs.bundles[kind]).spec)
        assert "\n".join(part.lines).format(bundle="bundle") in page
