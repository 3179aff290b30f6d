# What rules take from the configuration: narrow slices, so that an unrelated edit reruns nothing.


def dataset_slice(slice_model):
    """A params function: the part of a dataset's configuration that one rule depends on."""

    def of(wildcards):
        return data_params.slice_of(CONFIG.datasets[wildcards.dataset], slice_model)

    return of


def image_root(wildcards):
    """The folder of a dataset's images: the one the user named, or where the workflow puts them.

    Where a dataset lies changes no result. Rules take it as a resource, which is not tracked: a moved folder
    makes nothing stale, and an edited image does, through the checksums in ``raw.json``.
    """
    return CONFIG.places.root(wildcards.dataset)


def given_split_files(wildcards):
    """Split files that the dataset's configuration names, if it does."""
    split = CONFIG.datasets[wildcards.dataset].split
    return [split.train, split.valid, split.test] if split.kind == "files" else []


def official_split_files(wildcards):
    """The checked copies of published split files, if the dataset's splits are these."""
    if CONFIG.datasets[wildcards.dataset].split.kind != "official":
        return []
    return [f"data/{wildcards.dataset}/official/{split}.csv" for split in ("train", "valid", "test")]


def splits_root(wildcards):
    """The folder that published split files are looked for in first (a resource, as `image_root`)."""
    return CONFIG.places.splits_root


def splits_url(wildcards):
    """The web folder that is asked for published split files last, or ``none`` (a resource, too)."""
    return CONFIG.datasets[wildcards.dataset].split.url or "none"


def training_code(wildcards):
    kind = CONFIG.model(wildcards.model, wildcards.dataset).kind
    return code_of("meddiff.train", network_module(kind), task_module(kind))


def training_settings(wildcards):
    model = CONFIG.training_model(wildcards.model, wildcards.dataset)
    return to_json({"model": model.model_dump(mode="json"), "seed": int(wildcards.seed)})


def pretrained_settings(wildcards):
    settings = CONFIG.weights.hub()[wildcards.pretrained].model_dump(mode="json", exclude={"name"})
    return to_json(settings)


def pretrained_folder(wildcards):
    """Where pretrained weights come from: a folder of the user's (a resource, as `image_root`) or a download."""
    return CONFIG.weights.pretrained_folder(wildcards.pretrained)


def pretrained_manifest(wildcards):
    """The pretrained weights of a model that has some."""
    name = CONFIG.weights.pretrained_name(wildcards.model)
    return f"{CONFIG.weights.pretrained_dir(name)}/manifest.json"


def optional_pretrained_manifest(wildcards):
    """What the model begins from, where its configuration names something."""
    return [pretrained_manifest(wildcards)] if CONFIG.weights.pretrained(wildcards.model) else []


def pretrained_option(wildcards):
    """The option of ``meddiff train`` that names the folder of the pretrained weights, if there are any."""
    return [f"--pretrained {os.path.dirname(path)}" for path in optional_pretrained_manifest(wildcards)]


def generated_pretrained():
    """Names of the pretrained models that the workflow makes itself."""
    return list(CONFIG.weights.generated())


def generating_manifests(wildcards):
    """Stores of the images that a generated model is fit to, in the size of the models that begin from it."""
    name = wildcards.pretrained
    model = next(
        m
        for m in CONFIG.experiment.models
        if CONFIG.weights.pretrained(m) and CONFIG.weights.pretrained_name(m) == name
    )
    datasets = CONFIG.weights.generated()[name].datasets
    return [f"data/{d}/store/{image_size(d, model)}/manifest.json" for d in datasets]


def arrays_of(manifests, splits=("train",)):
    """The images behind store manifests: their content is judged by the manifests' checksums."""
    return [f"{os.path.dirname(manifest)}/{split}.npy" for manifest in manifests for split in splits]


def generating_arrays(wildcards):
    return arrays_of(generating_manifests(wildcards))


def generating_settings(wildcards):
    pretrained = CONFIG.weights.generated()[wildcards.pretrained]
    return to_json(pretrained.model_dump(mode="json", exclude={"name", "datasets"}))


def training_store(dataset, model):
    """The store that `model` is trained on; scoring always takes the one of `store_dir`."""
    crop = getattr(CONFIG.model(model, dataset), "train_geometry", None) == "crop"
    return f"data/{dataset}/store/{image_size(dataset, model)}{'-crop' if crop else ''}"


def training_manifest(wildcards):
    return f"{training_store(wildcards.dataset, wildcards.model)}/manifest.json"


def training_arrays(wildcards):
    return arrays_of([training_manifest(wildcards)], ("train", "valid"))


def joint_manifests(wildcards):
    """The store of every dataset, in the experiment's order: so the joint model's classes are numbered."""
    model = wildcards.model
    return [f"{training_store(dataset, model)}/manifest.json" for dataset in CONFIG.datasets]


def joint_arrays(wildcards):
    return arrays_of(joint_manifests(wildcards))


def joint_settings(wildcards):
    model = CONFIG.joint_model(wildcards.model)
    return to_json({"model": model.model_dump(mode="json"), "seed": int(wildcards.seed)})


def joint_code(wildcards):
    kind = CONFIG.model(wildcards.model, next(iter(CONFIG.datasets))).kind
    return code_of("meddiff.train", network_module(kind), task_module(kind))


def model_before(wildcards):
    """A model as it stands before one dataset: configuration, and the shape of its problem."""
    dataset = CONFIG.datasets[wildcards.dataset]
    return {
        "model": CONFIG.training_model(wildcards.model, wildcards.dataset).model_dump(mode="json"),
        "num_classes": len(dataset.classes),
        "channels": dataset.channels,
        "image_size": image_size(wildcards.dataset, wildcards.model),
        "seed": int(wildcards.seed),
    }


def model_settings(wildcards):
    return to_json(model_before(wildcards))


def selecting_settings(wildcards):
    names = list(CONFIG.datasets)
    before = names[: names.index(wildcards.dataset)]
    first_class = sum(len(CONFIG.datasets[name].classes) for name in before)
    return to_json({**model_before(wildcards), "first_class": first_class})


def taking_code(wildcards):
    kind = CONFIG.model(wildcards.model, wildcards.dataset).kind
    return code_of("meddiff.run_stable_diffusion", network_module(kind))


def official_folder(wildcards):
    """A copy of the authors' release: the user's (a resource, as `image_root`) or what was downloaded."""
    return CONFIG.weights.official_folder()


def release_settings(wildcards):
    return to_json({"kind": CONFIG.weights.releases()[wildcards.release], "release": wildcards.release})


def release_manifest(wildcards):
    return f"data/official/manifests/{CONFIG.weights.released(wildcards.model, wildcards.dataset)}.json"


def importing_settings(wildcards):
    release = CONFIG.weights.released(wildcards.model, wildcards.dataset)
    return to_json({**model_before(wildcards), "release": release})


def importing_code(wildcards):
    kind = CONFIG.model(wildcards.model, wildcards.dataset).kind
    return code_of("meddiff.run_import", importer_module(kind), network_module(kind))


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
            "other_splits": other_splits() if CONFIG.experiment.published else [],
        }
    )


def other_splits():
    """Datasets whose splits are not the published ones."""
    return [name for name, dataset in CONFIG.datasets.items() if dataset.split.kind != "official"]


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


def drawable_runs():
    """The runs whose noise-prediction errors can be shown as an image: not those in a latent space."""
    return [run for run in scoring_runs() if any_dataset(run["model"]).kind in ("unet", "dit")]


def method_run():
    """The run whose picture explains the method: first dataset, last model that can be drawn, first seed."""
    runs = drawable_runs()
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
            **resampling(),
            "style": CONFIG.experiment.figures.uncertainty.model_dump(mode="json"),
            "published": CONFIG.published("uncertainty"),
        }
    )


def published_settings(wildcards):
    return to_json({**layout(decision_runs()), "confidence": CONFIG.experiment.evaluate.confidence})


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
            "style": experiment.figures.audit.model_dump(mode="json"),
        }
    )
