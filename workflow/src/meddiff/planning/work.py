"""What each job of the workflow has to do: network passes and bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

import numpy as np

from meddiff.config import Config, parse_model
from meddiff.config.datasets.folds import other_datasets
from meddiff.config.schema.counterfactual import ExplainParams
from meddiff.config.schema.model import AnyModel
from meddiff.explaining.edits import plan
from meddiff.planning.networks import NetworkCost, network_cost, training_passes, with_architecture
from meddiff.planning.sizes import SplitSizes
from meddiff.planning.stages import STAGES
from meddiff.records.today import Job
from meddiff.scoring.images import Shard

_FP32 = 4
_AUTOMATIC_INPUTS = 128  # of a batch; large cards take more

_OF_MODELS = ("train", "score", "explain", "predict")


@dataclass
class Work:
    """What one job has to do.

    Attributes:
        stage: of the table, e.g. ``train``.
        model: name of the model, where the stage is one of models.
        inference, training: FLOPs of passes without and with gradients.
        precision: of the network in the passes without gradients.
        kept, temporary: bytes on disk, for good and while it runs. None where it is not known.
        inputs, outputs: files, to order jobs by.
    """

    stage: str
    model: str = ""
    inference: float = 0.0
    training: float = 0.0
    precision: str = "fp32"
    kept: int | None = 0
    temporary: int = 0
    inputs: Sequence[str] = field(default_factory=list)
    outputs: Sequence[str] = field(default_factory=list)


class Estimator:
    """Turns jobs into work."""

    def __init__(self, config: Config, sizes: Mapping[str, SplitSizes], training_factor: float = 3.0) -> None:
        """Estimate the jobs of an experiment.

        Args:
            config: the experiment.
            sizes: dataset -> images of its splits.
            training_factor: see `meddiff.planning.networks.training_passes`.
        """
        self._config, self._sizes, self._factor = config, sizes, training_factor
        self.notes: list[str] = []
        self.networks: dict[tuple[str, str], tuple[AnyModel, NetworkCost]] = {}

    def work(self, job: Job) -> Work:
        """What `job` has to do."""
        stage = next(stage for stage, commands in STAGES.items() if job.command in commands)
        files = job.files()
        work = Work(
            stage, inputs=[p.as_posix() for p in files.inputs], outputs=[p.as_posix() for p in files.outputs]
        )
        if stage in _OF_MODELS:
            out = files.outputs[0].as_posix().split("/")
            # results/<experiment>/<dataset or joint>/<model>/seed<k>/...
            work.model = out[3]
        if estimate := getattr(self, f"_{job.command}", None):
            estimate(job, work)
        return work

    def network(self, model: str, dataset: str) -> tuple[AnyModel, NetworkCost]:
        """Configuration and cost of the network of `model` on `dataset`."""
        if (model, dataset) not in self.networks:
            self.networks[model, dataset] = self._network(self._config.model(model, dataset), model, dataset)
        return self.networks[model, dataset]

    def _network(self, config: AnyModel, model: str, dataset: str) -> tuple[AnyModel, NetworkCost]:
        data, weights = self._config.every_dataset[dataset], self._config.weights
        folder = (
            Path(weights.pretrained_dir(weights.pretrained_name(model)))
            if weights.pretrained(model)
            else Path()
        )
        config, known = with_architecture(config, folder)
        if not known:
            self._note(f"{model}: its pretrained folder is not here; counted as Stable Diffusion 2 (base)")
        size = config.image_size or data.image_size
        return config, network_cost(config, len(data.classes), data.channels, size)

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _train(self, job: Job, work: Work) -> None:
        names = [folder.parents[1].name for folder in job.args.store]
        # A joint model has the shapes of its network on any of its datasets.
        _, cost = self.network(work.model, names[0])
        config = parse_model(job.params["model"])
        train, images = config.train, sum(self._sizes[name].train for name in names)
        epochs = train.epochs or ceil(train.steps / ceil(images / train.batch_size))
        seen = epochs * images if train.epochs else train.steps * min(train.batch_size, images)
        if train.mixed_precision != "no":
            work.precision = train.mixed_precision
        work.training = seen * training_passes(config, self._factor) * cost.forward
        work.inference = seen * cost.encode
        if train.select == "best_f1":
            valid = sum(self._sizes[name].valid for name in names)
            work.inference += ceil(epochs / train.validate_every) * valid * self._classified(config, cost)
        averages = 1 if train.ema else 0
        saved = cost.stored * (1 + averages) + 2 * cost.trained  # Adam's two moments
        best = cost.stored if train.select == "best_f1" else 0
        work.kept = _FP32 * cost.stored
        work.temporary = _FP32 * (saved + best)

    def _classified(self, config: AnyModel, cost: NetworkCost, steps: int | None = None) -> float:
        """FLOPs of classifying one image."""
        if config.family != "diffusion":
            return cost.forward
        steps = steps or config.validation_steps
        classes = len(next(iter(self._config.datasets.values())).classes)
        return steps * classes * cost.forward + cost.encode

    def _score(self, job: Job, work: Work) -> None:
        dataset, trained_on = job.args.store.parents[1].name, _trained_on(work)
        _, cost = self.network(work.model, trained_on)
        classes, steps = len(self._config.datasets[trained_on].classes), job.params["steps"]
        shard = Shard(job.args.store, job.args.split, *job.args.shard)
        images = len(shard.rows(self._images(dataset, job.args.split)))
        # The images of a batch are encoded once a batch, and a batch holds `batch_size` inputs.
        inputs = job.args.batch_size or _AUTOMATIC_INPUTS
        encoded = ceil(steps * classes / inputs) if cost.encode else 0
        work.precision = job.params["precision"]
        work.inference = images * (steps * classes * cost.forward + encoded * cost.encode)
        numbers = images * steps * (classes + 1)  # errors and logSNR
        if len(job.args.out) > 1:
            numbers += images * (classes - 1) * cost.map_pixels
        work.kept, work.temporary = _FP32 * numbers, 2 * _FP32 * numbers  # saved state and the shard's file
        if "stopping" in job.params:
            self._note("scoring stops early: what is shown for it is the most that it can take")

    def _images(self, dataset: str, split: str) -> int:
        """Images of a split, or those unlike them that the experiment asks for."""
        if split != "shifted":
            return getattr(self._sizes[dataset], split)
        shifts = self._config.experiment.shifts
        others = other_datasets(dataset, self._config.experiment.datasets)
        kinds = shifts.kinds_for(self._config.datasets[dataset].source.kind == "phantom", len(others))
        sources = [name for kind in kinds for name in (others if kind == "other_datasets" else [dataset])]
        return sum(min(shifts.images, self._sizes[name].test) for name in sources)

    def _gather(self, job: Job, work: Work) -> None:
        """Its file is counted with the shards."""

    def _predict(self, job: Job, work: Work) -> None:
        dataset = job.args.store.parents[1].name
        _, cost = self.network(work.model, _trained_on(work))
        work.inference = self._images(dataset, job.args.split) * cost.forward

    def _gradcam(self, job: Job, work: Work) -> None:
        """One pass and one gradient an image and layer, of which there are five at most."""
        sizes, dataset = self._sizes, job.args.store.parents[1].name
        images = sum(getattr(sizes[dataset], split) for split in job.args.splits)
        work.inference = 5 * self._factor * images * self.network(work.model, dataset)[1].forward

    def _explain(self, job: Job, work: Work) -> None:
        """Sampling and the model's own judgement, without the baselines' (one pass an image)."""
        dataset = job.args.store.parents[1].name
        data, images = self._config.datasets[dataset], self._sizes[dataset].test
        config, cost = self.network(work.model, dataset)
        params, classes = ExplainParams(**job.params), len(data.classes)
        # Which images are chosen does not matter here, only how many of each class.
        edits = plan([str(row) for row in range(images)], np.arange(images) % classes, classes, params)
        steps = params.sampling_steps + params.extra_last_step
        passes = sum(steps * (1 if edit.cfg_scale == 1 else 2) for edit in edits)
        judged = sum(edit.judged for edit in edits)
        work.precision = params.precision
        work.inference = passes * cost.forward + len(edits) * (cost.encode + cost.decode)
        work.inference += judged * self._classified(config, cost, params.validity_steps)
        work.kept = len(edits) * (config.image_size or data.image_size) ** 2 * data.channels

    def _store(self, job: Job, work: Work) -> None:
        data = self._config.every_dataset[job.args.out_dir.parents[1].name]
        work.kept = (
            self._sizes[job.args.out_dir.parents[1].name].total * job.args.size[0] ** 2 * data.channels
        )

    def _fetch(self, job: Job, work: Work) -> None:
        work.kept = None

    def _released(self, job: Job, work: Work) -> None:
        work.kept = None

    def _pretrained(self, job: Job, work: Work) -> None:
        from meddiff.planning.architectures import TEXT_ENCODER_PARAMETERS

        name = job.args.out.name
        users = [m for m in self._config.every_model() if self._config.weights.pretrained(m)]
        model = next(m for m in users if self._config.weights.pretrained_name(m) == name)
        config, cost = self.network(model, next(iter(self._config.datasets)))
        text = TEXT_ENCODER_PARAMETERS if config.kind == "stable_diffusion" else 0
        work.kept = _FP32 * (cost.stored + text)

    def _weights(self, job: Job, work: Work) -> None:
        model = work.outputs[0].split("/")[3]
        work.kept = _FP32 * self.network(model, _trained_on(work))[1].stored

    _zeroshot = _select = _convert = _weights


def _trained_on(work: Work) -> str:
    """The dataset of a model's job: ``results/<experiment>/<dataset>/<model>/...``."""
    return work.outputs[0].split("/")[2]
