# What rules take from the configuration: narrow slices, so that an unrelated edit reruns nothing.


def dataset_slice(slice_model):
    """A params function: the part of a dataset's configuration that one rule depends on."""

    def of(wildcards):
        return data_params.slice_of(CONFIG.datasets[wildcards.dataset], slice_model)

    return of


def image_root(wildcards):
    """The folder of a dataset's images: the one the user named, or where a phantom is generated.

    Where a dataset lies changes no result. Rules take it as a resource, which is not tracked: a moved folder
    makes nothing stale, and an edited image does, through the checksums in ``raw.json``.
    """
    if CONFIG.datasets[wildcards.dataset].source.kind == "local":
        return CONFIG.local_root(wildcards.dataset)
    return f"data/{wildcards.dataset}/raw"


def given_split_files(wildcards):
    """Split files that the dataset's configuration names, if it does."""
    split = CONFIG.datasets[wildcards.dataset].split
    return [split.train, split.valid, split.test] if split.kind == "files" else []


def training_code(wildcards):
    kind = CONFIG.model(wildcards.model, wildcards.dataset).kind
    return code_of("meddiff.train", network_module(kind), task_module(kind))


def training_settings(wildcards):
    model = CONFIG.training_model(wildcards.model, wildcards.dataset)
    return to_json({"model": model.model_dump(mode="json"), "seed": int(wildcards.seed)})


def store_manifest(wildcards):
    return f"{store_dir(wildcards)}/manifest.json"


def store_arrays(wildcards):
    """The big files behind the manifest: their content is judged by the manifest's checksums."""
    return [f"{store_dir(wildcards)}/{split}.npy" for split in ("train", "valid", "test")]


def scoring_settings(wildcards):
    score = CONFIG.experiment.score.model_dump(mode="json", exclude={"shards"})
    return to_json({**score, "seed": int(wildcards.seed)})


def scoring_code(wildcards):
    kind = CONFIG.model(wildcards.model, wildcards.dataset).kind
    return code_of("meddiff.diffusion.score", "meddiff.diffusion.error_file", network_module(kind))


def metrics_settings(wildcards):
    run = {"dataset": wildcards.dataset, "model": wildcards.model, "seed": int(wildcards.seed)}
    return to_json({**run, "decision": wildcards.decision, **resampling()})


def layout(runs):
    """Datasets, models and runs in the order in which tables and figures show them."""
    first = next(iter(CONFIG.datasets))
    shown = {run["model"] for run in runs}
    models = {m: CONFIG.model(m, first) for m in CONFIG.experiment.models if m in shown}
    return {
        "datasets": [{"name": name, "title": d.title} for name, d in CONFIG.datasets.items()],
        "models": [
            {"name": name, "title": model.title, "family": model.family} for name, model in models.items()
        ],
        "runs": runs,
    }


def resampling():
    """How intervals are made."""
    evaluate = CONFIG.experiment.evaluate
    return {
        "bootstrap_samples": evaluate.bootstrap_samples,
        "confidence": evaluate.confidence,
        "bootstrap_seed": evaluate.seed,
    }


def classification_settings(wildcards):
    return to_json(
        {
            **layout(decision_runs()),
            "confidence": CONFIG.experiment.evaluate.confidence,
            "published": CONFIG.published("classification"),
        }
    )


def comparison_settings(wildcards):
    return to_json({**layout(decision_runs()), **resampling()})


def metrics_table_settings(wildcards):
    return to_json(layout(decision_runs()))


def step_ablation_settings(wildcards):
    experiment = CONFIG.experiment
    return to_json(
        {
            **layout(scoring_runs()),
            **resampling(),
            "steps": experiment.evaluate.ablation_steps,
            "style": experiment.figures.step_ablation.model_dump(mode="json"),
            "published": CONFIG.published("step_ablation"),
        }
    )


def method_run():
    """The run whose picture explains the method: first dataset, last diffusion model, first seed."""
    runs = scoring_runs()
    models = {run["model"] for run in runs}
    last = [model for model in CONFIG.experiment.models if model in models][-1]
    return next(run for run in runs if run["model"] == last)


def method_settings(wildcards):
    run = method_run()
    return to_json(
        {
            "wavelet": CONFIG.model(run["model"], run["dataset"]).wavelet,
            "style": CONFIG.experiment.figures.method.model_dump(mode="json"),
        }
    )


def method_store():
    """Folder of the images that `method_run` scored."""
    run = method_run()
    return f"data/{run['dataset']}/store/{image_size(run['dataset'], run['model'])}"


def uncertainty_runs():
    """Every model once: by vote entropy a majority and a mean decision rank images alike."""
    return [run for run in decision_runs() if run["decision"] != "mean"]


def uncertainty_settings(wildcards):
    return to_json(
        {
            **layout(uncertainty_runs()),
            "style": CONFIG.experiment.figures.uncertainty.model_dump(mode="json"),
            "published": CONFIG.published("uncertainty"),
        }
    )
