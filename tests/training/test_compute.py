"""Attention kernels, memory format and compilation: same answers, or an error that says why not."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from diffusers.models import attention_dispatch
from diffusers.models.attention_dispatch import AttentionBackendName

from core_samples import SIDE, tiny_config, write_store
from meddiff.config.schema.compute import ComputeConfig
from meddiff.data.stores.store import Store
from meddiff.errors import ConfigError
from meddiff.models.kinds import build_model
from meddiff.networks.attention import choose_backend, set_attention
from meddiff.networks.prepare import compile_network, is_convolutional, prepare_network
from scoring_samples import score_images

CPU = torch.device("cpu")


def errors(tmp_path, *, kind: str, change) -> tuple[np.ndarray, np.ndarray]:
    """Noise-prediction errors of an untrained model before and after `change`."""
    store = Store.open(write_store(tmp_path), "test")
    torch.manual_seed(0)
    model = build_model(tiny_config(kind, "official"), 2, 1, SIDE)
    before, _ = score_images(model, store.images, store.image_ids, seed=0, steps=7)
    change(model)
    after, _ = score_images(model, store.images, store.image_ids, seed=0, steps=7)
    return before, after


def same_decisions(before: np.ndarray, after: np.ndarray) -> None:
    np.testing.assert_allclose(after, before, rtol=1e-4)
    clear = np.abs(before[..., 0] - before[..., 1]) > 1e-3 * before[..., 0]
    assert clear.any()
    assert np.array_equal(before.argmin(axis=2)[clear], after.argmin(axis=2)[clear])


@pytest.mark.parametrize("kind", ["unet", "dit"])
@pytest.mark.parametrize("backend", [AttentionBackendName.NATIVE, AttentionBackendName._NATIVE_MATH])
def test_dispatched_attention_computes_the_same(kind, backend, tmp_path):
    """With backends that a CPU has; all attention layers go through the dispatcher."""

    def change(model):
        assert set_attention(model, backend) == {"unet": 8, "dit": 2}[kind]

    same_decisions(*errors(tmp_path, kind=kind, change=change))


@pytest.mark.parametrize("kind", ["unet", "dit"])
def test_channels_last_computes_the_same(kind, tmp_path):
    compute = ComputeConfig(channels_last=True)
    same_decisions(
        *errors(tmp_path, kind=kind, change=lambda model: prepare_network(model, compute, CPU, "fp32"))
    )


@pytest.mark.parametrize(
    ("kind", "setting", "expected"),
    [
        ("unet", "auto", False),
        ("dit", "auto", False),
        ("timm", "auto", True),
        ("vit", "auto", False),
        ("unet", True, True),
        ("timm", False, False),
        ("dit", True, True),
    ],
)
def test_memory_format_is_that_of_convolutions(kind, setting, expected):
    """Those that only cut an image into patches do not count, and on a CPU group norms are slow in it."""
    changes = {"architecture": {"model_name": "test_vit", "img_size": 32}} if kind == "vit" else {}
    model = build_model(tiny_config("timm" if kind == "vit" else kind, **changes), 2, 3, 32)
    prepare_network(model, ComputeConfig(channels_last=setting), CPU, "fp32")
    weights = [p for p in model.parameters() if p.ndim == 4 and p.shape[1] > 1 and p.shape[2] > 1]
    assert weights
    assert all(p.is_contiguous(memory_format=torch.channels_last) == expected for p in weights)


@pytest.mark.parametrize(("kind", "expected"), [("unet", True), ("dit", False), ("timm", True)])
def test_windows_that_overlap_make_a_network_convolutional(kind, expected):
    """On a GPU that decides alone."""
    assert is_convolutional(build_model(tiny_config(kind), 2, 3, 32)) == expected


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")
def test_the_process_keeps_memory_that_a_network_frees():
    """In a process of its own, since this can't be undone."""
    script = """
import resource, torch
from meddiff.devices.host_memory import keep_freed_memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        [torch.ones(2**20) for _ in range(8)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
torch.set_num_threads(1)
faults()
print(faults())
assert keep_freed_memory()
faults()
print(faults())
"""
    # Whether the allocator's own limits matter depends on where the arrays happen to lie; these do.
    limits = {"MALLOC_TRIM_THRESHOLD_": "131072", "MALLOC_MMAP_THRESHOLD_": "131072"}
    run = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **limits},
    )
    before, after = map(int, run.stdout.split())
    assert before > 10_000 and after < 100


@pytest.mark.parametrize(
    ("written", "mode"),
    [("no", "no"), ("false", "no"), ("true", "default"), ("reduce-overhead", "reduce-overhead")],
)
def test_mode_of_compilation_as_yaml_has_it(written, mode):
    assert ComputeConfig(**yaml.safe_load(f"compile: {written}")).compile == mode


@pytest.mark.parametrize("kind", ["unet", "timm"])
@pytest.mark.parametrize("mode", ["no", "default", "reduce-overhead", "max-autotune"])
def test_mode_reaches_the_compiler(kind, mode, monkeypatch):
    given = []
    monkeypatch.setattr(torch, "compile", lambda function, **settings: given.append(settings) or function)
    compile_network(build_model(tiny_config(kind), 2, 1, SIDE), ComputeConfig(compile=mode))
    assert {settings["mode"] for settings in given} == (set() if mode == "no" else {mode})


@pytest.mark.slow
def test_a_compiled_network_computes_the_same_and_keeps_its_names(tmp_path):
    """Traced as on a GPU, but run without generated code: compiling that takes minutes on a slow CPU."""

    def change(model):
        names = list(model.state_dict())
        compile_network(model, ComputeConfig(compile="default"), backend="eager")
        assert list(model.state_dict()) == names

    same_decisions(*errors(tmp_path, kind="dit", change=change))


def test_auto_is_pytorchs_attention_where_flash_is_not_possible():
    assert choose_backend("auto", CPU, "fp16") is None
    assert choose_backend("sdpa", CPU, "fp16") is None


class Card:
    """A CUDA device that is not there."""

    type = "cuda"


@pytest.mark.parametrize(
    ("device", "capability", "installed", "precision", "reason"),
    [
        (CPU, None, True, "fp16", "NVIDIA card"),
        (Card(), (7, 5), True, "fp16", "Ampere"),
        (Card(), (8, 0), True, "fp32", "half precision"),
        (Card(), (8, 0), False, "bf16", "missing package or the version is too old"),
    ],
)
def test_flash_not_possible_is_an_error(device, capability, installed, precision, reason, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a card")
    monkeypatch.setattr(attention_dispatch, "_CAN_USE_FLASH_ATTN", installed)
    with pytest.raises(ConfigError, match=reason):
        choose_backend("flash", device, precision)
    assert choose_backend("auto", device, precision) is None


def test_a_flash_attn_that_diffusers_does_not_load_is_not_used(tmp_path):
    """An old version and one whose parts are missing, asked in a process that finds them."""
    script = """
import torch
from meddiff.networks.attention import choose_backend
from meddiff.errors import ConfigError
torch.cuda.get_device_capability = lambda device: (8, 0)
class Card: type = "cuda"
assert choose_backend("auto", Card(), "bf16") is None
try:
    choose_backend("flash", Card(), "bf16")
except ConfigError as error:
    assert "flash-attn" in str(error) and "requirements-flash" in str(error), error
else:
    raise SystemExit("accepted")
"""
    for version in ("2.3.0", "2.8.3"):
        folder = tmp_path / version
        package, about = folder / "flash_attn", folder / f"flash_attn-{version}.dist-info"
        package.mkdir(parents=True)
        about.mkdir()
        (package / "__init__.py").write_text(f"__version__ = {version!r}\n")
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: flash-attn\nVersion: {version}\n")
        path = os.pathsep.join([str(folder), *filter(None, sys.path)])
        found = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
        assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("attention", ["auto", "flash"])
def test_flash_is_chosen_where_it_is_possible(attention, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    monkeypatch.setattr(attention_dispatch, "_CAN_USE_FLASH_ATTN", True)
    assert choose_backend(attention, Card(), "bf16") is AttentionBackendName.FLASH
