"""Costs of networks and jobs against figures worked out by hand, and the tables made of them."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

from meddiff.cli import job_of
from meddiff.config import Config
from meddiff.config.schema.compute import DEFAULT_COMPUTE
from meddiff.errors import ConfigError
from meddiff.networks import tiny_stable_diffusion
from meddiff.planning.architectures import STABLE_DIFFUSION_2_BASE, TINY_STABLE_DIFFUSION
from meddiff.planning.networks import network_cost
from meddiff.planning.report import ALL, _scaled, as_text, job_hours, rows
from meddiff.planning.schedule import wall_hours
from meddiff.planning.sizes import SplitSizes, parse_sizes, split_sizes
from meddiff.planning.throughput import Rate, calibrate
from meddiff.planning.work import STAGES, Estimator, Work

SIZES = {"chexpert": SplitSizes(16324, 2040, 2040, ""), "isic": SplitSizes(8169, 1021, 1021, "")}
RUN = "results/paper/{}/{}/seed0"


@pytest.fixture
def estimator(root: Path, monkeypatch: pytest.MonkeyPatch) -> Estimator:
    """Of the paper's experiment."""
    monkeypatch.chdir(root)
    return Estimator(Config({"experiment": "paper"}), SIZES)


def score_command(model: str, shard: str, steps: int = 501) -> str:
    params = {"noise_levels": "uniform", "precision": "fp16", "seed": 0, "steps": steps}
    run = RUN.format("chexpert", model)
    return (
        f"python -m meddiff score --params {shlex.quote(json.dumps(params))} --weights {run}/weights"
        f" --store data/chexpert/store/256 --shard {shard} --out {run}/votes0/shards/{shard}.nc > a.log 2>&1"
    )


@pytest.mark.parametrize(("model", "gflop"), [("unet", 174.9), ("dit_b4", 213.3)])
def test_forward_pass(estimator, model, gflop):
    _, cost = estimator.network(model, "chexpert")
    assert cost.forward / 1e9 == pytest.approx(gflop, rel=1e-3)
    assert cost.encode == 0


def test_parameters_of_networks(estimator):
    unet = estimator.network("unet", "chexpert")[1]
    assert unet.stored / 1e6 == pytest.approx(275.84, abs=0.01)
    # Without what only makes queries for the single token of the class.
    assert unet.trained / 1e6 == pytest.approx(271.64, abs=0.01)
    model, cost = estimator.network("stable_diffusion_finetuned", "chexpert")
    assert model.architecture == STABLE_DIFFUSION_2_BASE
    # The published sizes of Stable Diffusion 2: UNet 865.91 M, autoencoder 83.65 M.
    assert cost.trained / 1e6 == pytest.approx(865.91, abs=0.01)
    assert cost.stored / 1e6 == pytest.approx(865.91 + 83.65, abs=0.5)
    assert cost.encode > 0 and cost.decode > cost.encode
    assert "Stable Diffusion 2 (base)" in " ".join(estimator.notes)


def test_tiny_stable_diffusion_is_what_the_workflow_makes():
    made = tiny_stable_diffusion._unet(8, 4)
    config = Config({"experiment": "demo"}).model("tiny_stable_diffusion", "phantom_chest")
    config = config.model_copy(update={"architecture": TINY_STABLE_DIFFUSION})
    assert network_cost(config, 2, 1, 32).trained == sum(p.numel() for p in made.parameters())


def test_scoring_chexpert_with_the_unet_is_0_36_eflop(estimator):
    shards = [estimator.work(job_of(score_command("unet", f"{i}-of-8"))) for i in range(1, 9)]
    assert sum(work.inference for work in shards) / 1e18 == pytest.approx(0.36, rel=0.02)
    assert {(work.stage, work.model) for work in shards} == {("score", "unet")}
    # errors [2040, 501, 2] and logSNR [2040, 501], fp32
    assert sum(work.kept for work in shards) == 2040 * 501 * 3 * 4
    # One map an image, of as many pixels as an image; in a latent space of an eighth of its side.
    for model, side in (("unet", 256), ("stable_diffusion_finetuned", 32)):
        plain = score_command(model, "1-of-1")
        both = plain.replace(" > ", " maps.nc > ")
        without, with_maps = (estimator.work(job_of(command)).kept for command in (plain, both))
        assert with_maps - without == 2040 * side**2 * 4


def test_training(estimator):
    """700 epochs of 16,324 images, three passes each; 14 validations of 2,040 images at 51 steps."""
    model = estimator._config.training_model("unet", "chexpert").model_dump(mode="json")
    params = shlex.quote(json.dumps({"model": model, "seed": 0}))
    command = f"python -m meddiff train --params {params} --store data/chexpert/store/256 --out "
    work = estimator.work(job_of(command + RUN.format("chexpert", "unet") + "/weights"))
    forward = estimator.network("unet", "chexpert")[1].forward
    assert work.training == 700 * 16324 * 3 * forward
    assert work.inference == 14 * 2040 * 51 * 2 * forward
    assert work.precision == "fp16"  # validation, too
    assert work.kept == pytest.approx(4 * 275.84e6, rel=1e-3)
    # Model, average, best; two moments of what is trained.
    assert work.temporary == pytest.approx(4 * (3 * 275.84e6 + 2 * 271.64e6), rel=1e-3)


def test_joint_training_counts_checkpointing_and_the_autoencoder(estimator):
    model = estimator._config.joint_model("stable_diffusion_finetuned").model_dump(mode="json")
    params = shlex.quote(json.dumps({"model": model, "seed": 0}))
    stores = "data/chexpert/store/256 data/isic/store/256"
    out = "results/paper/joint/stable_diffusion_finetuned/seed0/weights"
    work = estimator.work(job_of(f"python -m meddiff train --params {params} --store {stores} --out {out}"))
    cost = estimator.network("stable_diffusion_finetuned", "chexpert")[1]
    assert work.training == 25000 * 128 * 4 * cost.forward
    assert work.inference == 25000 * 128 * cost.encode  # the last weights are taken: no validation


def test_sizes_of_splits(root, tmp_path, monkeypatch):
    monkeypatch.chdir(root)
    paper, demo = Config({"experiment": "paper"}), Config({"experiment": "demo"})
    monkeypatch.chdir(tmp_path)
    known = split_sizes("chexpert", paper.datasets["chexpert"], {})
    assert (known.train, known.valid, known.test) == (16324, 2040, 2040)
    phantom = split_sizes("phantom_chest", demo.datasets["phantom_chest"], {})
    assert phantom.total == demo.datasets["phantom_chest"].source.images
    given = dict([parse_sizes("chexpert=5,6,7")])
    assert split_sizes("chexpert", paper.datasets["chexpert"], given).source == "--images"
    tables = tmp_path / "splits/chexpert"
    tables.mkdir(parents=True)
    for count, split in enumerate(("train", "valid", "test"), start=1):
        (tables / f"{split}.csv").write_text("image_id\n" + "x\n" * count)
    known = split_sizes("chexpert", paper.datasets["chexpert"], {})
    assert (known.train, known.valid, known.test, known.source) == (1, 2, 3, "splits/chexpert")


def test_sizes_that_nobody_knows(root, tmp_path, monkeypatch):
    monkeypatch.chdir(root)
    dataset = Config({"experiment": "nih_cxr"}).datasets["nih_cxr"]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="--images nih_cxr=TRAIN,VALID,TEST"):
        split_sizes("nih_cxr", dataset, {})
    for text in ("nih_cxr", "nih_cxr=1,2", "nih_cxr=1,2,x", "=1,2,3"):
        with pytest.raises(ConfigError, match="expected NAME=TRAIN,VALID,TEST"):
            parse_sizes(text)


def test_hours_follow_from_the_rates():
    work = Work("train", "unet", inference=2e15, training=6e15)
    assert job_hours(work, {ALL: Rate.of_all(1e12)}) == pytest.approx(8000 / 3600)
    rate = Rate({"fp32": 1e12, "fp16": 2e12}, 1e12)
    work.precision = "fp16"
    assert job_hours(work, {"unet": rate}) == pytest.approx(7000 / 3600)
    assert job_hours(Work("evaluate"), {"unet": rate}) == 0
    # Nothing was measured that no job needs: a zero-shot model has no rate of training.
    assert job_hours(Work("score", "unet", inference=1e12), {"unet": Rate({"fp32": 1e12}, 0)}) == 1 / 3600


def test_passes_are_counted_in_the_precision_that_they_have(estimator):
    """Scoring in what the experiment says, counterfactuals in what theirs says, baselines' tests in fp32."""
    run = RUN.format("chexpert", "unet")
    assert estimator.work(job_of(score_command("unet", "1-of-8"))).precision == "fp16"
    command = f"python -m meddiff predict --weights {run}/weights --store data/chexpert/store/256 --out a.csv"
    predicting, explaining = (Work(stage, "unet", outputs=[f"{run}/x"]) for stage in ("predict", "explain"))
    estimator._predict(job_of(command), predicting)
    assert predicting.inference > 0 and predicting.precision == "fp32"
    params = dict(from_t=0.5, cfg_scale=1, sampling_steps=2, sampler="ddim", extra_last_step=False)
    params |= dict(images_per_class=1, seed=0, precision="bf16", validity_steps=3, decision="mean")
    params |= dict(noise_levels="uniform", front=None)
    job = SimpleNamespace(args=SimpleNamespace(store=Path("data/chexpert/store/256")), params=params)
    estimator._explain(job, explaining)
    assert explaining.inference > 0 and explaining.precision == "bf16"


def chain(*hours: float) -> list[Work]:
    return [Work("train", inputs=[f"{i}"], outputs=[f"{i + 1}"]) for i, _ in enumerate(hours)]


def test_jobs_wait_for_their_inputs_and_for_a_gpu():
    free = [Work("train", outputs=[f"a{i}"]) for i in range(5)]
    assert wall_hours(free, [3, 3, 2, 2, 2], 2) == 7
    assert wall_hours(free, [3, 3, 2, 2, 2], 5) == 3
    assert wall_hours(chain(1, 2, 3), [1, 2, 3], 8) == 6
    assert wall_hours([*chain(1, 2), *free[:1]], [1, 2, 3], 1) == 6
    assert wall_hours([], [], 1) == 0
    # What needs no GPU never waits for one.
    assert wall_hours([*free[:1], *chain(0, 0)], [3, 0, 0], 1) == 3


def test_table_adds_up_and_is_aligned():
    works = [
        Work("score", "b", inference=4e15, kept=10),
        Work("train", "b", training=1e15, kept=20, temporary=5),
        Work("train", "a", training=2e15),
        Work("download", kept=None),
    ]
    table = rows(works, {ALL: Rate.of_all(1e12)}, ["a", "b"])
    assert [row["stage"] for row in table] == ["download", "train a", "train b", "score b", "in all"]
    for key in ("jobs", "flops", "gpu_hours", "kept_bytes", "temporary_bytes"):
        assert table[-1][key] == pytest.approx(sum(row[key] for row in table[:-1])), key
    lines = as_text(table, {}, []).splitlines()
    assert len({len(line) for line in lines[:8]}) == 1
    assert "30 B + ?" in lines[7]
    assert " ? " in as_text(rows(works, None, ["a", "b"]), {}, [])


def test_calibration_measures_every_network(root, monkeypatch):
    monkeypatch.chdir(root)
    config = Config({"experiment": "demo"})
    networks = {}
    for name in ("tiny_unet", "tiny_resnet"):
        model = config.model(name, "phantom_chest")
        networks[name] = (model, network_cost(model, 2, 1, 32), (2, 1, 32))
    used = {"tiny_unet": {"bf16", "fp32"}, "tiny_resnet": {"fp32"}}
    rates = calibrate(networks, used, DEFAULT_COMPUTE, seconds=0.1)
    assert {name: set(rate.inference) for name, rate in rates.items()} == used
    assert all(min(rate.inference.values()) > 0 and rate.training > 0 for rate in rates.values())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "-"),
        (1, "1"),
        (999.6, "1 k"),
        (2.5e9, "2.5 G"),
        (5.41e17, "541 P"),
        (9.8e18, "9.8 E"),
        (3e22, "3e+04 E"),
    ],
)
def test_numbers_with_prefixes(value, text):
    assert _scaled(value, " kMGTPE") == text


def test_every_command_of_the_rules_has_a_stage(root: Path):
    rules = "".join(path.read_text() for path in (root / "workflow/rules").glob("*.smk"))
    used = re.findall(r"python -m meddiff (\w+)", rules)
    assert len(used) > 20
    assert sorted(set(used)) == sorted(command for commands in STAGES.values() for command in commands)


def test_the_split_that_is_scored_counts(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(root)
    sizes = {**SIZES, "chexpert": SplitSizes(100, 30, 20, "")}
    estimator = Estimator(Config({"experiment": "paper"}), sizes)
    test = score_command("unet", "1-of-1")
    valid = test.replace(" --shard", " --split valid --shard")
    flop = [estimator.work(job_of(command)).inference for command in (test, valid)]
    assert flop[1] == pytest.approx(1.5 * flop[0])
