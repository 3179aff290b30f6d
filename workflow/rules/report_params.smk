from meddiff.artifacts.artifact import style_of
from meddiff.config.schema.figure import FigureStyle

OLD = {
    "method": FigureStyle(width=9.0, height=4.7),
}

# What metrics, tables and figures take from the configuration.


def metrics_settings(wildcards):
    run = {"dataset": wildcards.dataset, "model": wildcards.model, "seed": int(wildcards.seed)}
    if "votes" in wildcards.keys():
        run["votes"] = int(wildcards.votes)
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
        "preset": CONFIG.preset,
        "released": CONFIG.official_weights,
    }


def class_names():
    """Dataset -> names of its classes, in order of the class index."""
    return {name: [c.name for c in dataset.classes] for name, dataset in CONFIG.datasets.items()}


def resampling():
    """How intervals are made."""
    evaluate = CONFIG.experiment.evaluate
    return {
        "bootstrap_samples": evaluate.bootstrap_samples,
        "confidence": evaluate.confidence,
        "bootstrap_seed": evaluate.seed,
    }


def drawable_runs():
    """The runs whose noise-prediction errors can be shown as an image: not those in a latent space."""
    return [run for run in scoring_runs() if any_dataset(run["model"]).kind in ("unet", "dit")]


def method_run():
    """The run whose picture explains the method: first dataset, last model that can be drawn, first seeds."""
    runs = drawable_runs()
    models = {run["model"] for run in runs}
    last = [model for model in CONFIG.experiment.models if model in models][-1]
    return next(run for run in runs if run["model"] == last)


def method_settings(wildcards):
    run = method_run()
    return to_json(
        {
            "wavelet": CONFIG.model(run["model"], run["dataset"]).wavelet,
            "style": style_of(EXPERIMENT, "method", OLD["method"]).model_dump(mode="json"),
        }
    )


def method_store():
    """Folder of the images that `method_run` scored."""
    run = method_run()
    return f"data/{run['dataset']}/store/{image_size(run['dataset'], run['model'])}"
