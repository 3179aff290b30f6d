from meddiff.artifacts.artifact import style_of
from meddiff.config.schema.figure import FigureStyle

OLD = {
    "method": FigureStyle(width=9.0, height=4.7),
    "efficiency": FigureStyle(width=9.0, height=2.6),
    "counterfactuals": FigureStyle(width=7.6, height=1.2),
    "counterfactual_front": FigureStyle(),
    "audit": FigureStyle(),
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


def efficiency_settings(wildcards):
    evaluate, score = CONFIG.experiment.evaluate, CONFIG.experiment.score
    return to_json(
        {
            **layout(scoring_runs()),
            **resampling(),
            "steps": evaluate.ablation_steps,
            "deltas": evaluate.efficiency_deltas,
            "weights": score.weights,
            "variants": score.compare_levels,
        }
    )


def efficiency_figure_settings(wildcards):
    experiment = CONFIG.experiment
    return to_json(
        {
            **layout(scoring_runs()),
            "confidence": experiment.evaluate.confidence,
            "style": style_of(EXPERIMENT, "efficiency", OLD["efficiency"]).model_dump(mode="json"),
        }
    )


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


def audited_datasets():
    """The datasets whose configuration names strata."""
    return [name for name, dataset in CONFIG.datasets.items() if dataset.audit is not None]


def audited_runs():
    """The runs on datasets with an audit."""
    audited = audited_datasets()
    return [run for run in decision_runs() if run["dataset"] in audited]


def audited_layout():
    """The layout without the datasets that have no audit."""
    shown, audited = layout(audited_runs()), audited_datasets()
    return {**shown, "datasets": [entry for entry in shown["datasets"] if entry["name"] in audited]}


def audit_entry(dataset):
    """What the audit's table says about a dataset: names and order, not how images are assigned."""
    config = CONFIG.datasets[dataset]
    return {
        "title": config.audit.title,
        "strata": [stratum.name for stratum in config.audit.strata],
        "subset": config.audit.subset,
        "classes": [entry.name for entry in config.classes],
    }


def audit_settings(wildcards):
    audits = {dataset: audit_entry(dataset) for dataset in audited_datasets()}
    return to_json({**audited_layout(), **resampling(), "audits": audits})


def audit_figure_settings(wildcards):
    experiment = CONFIG.experiment
    return to_json(
        {
            **audited_layout(),
            "confidence": experiment.evaluate.confidence,
            "style": style_of(EXPERIMENT, "audit", OLD["audit"]).model_dump(mode="json"),
        }
    )
