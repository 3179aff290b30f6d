# Every file that the workflow makes and keeps, by stage. The target rules ask for all of them, because Snakemake
# looks at no file behind those that exist: what a failed job has lost, or a person has removed, would not be missed.


def dataset_outputs(dataset):
    """Files of one dataset, up to its splits."""
    folder, splits = f"data/{dataset}", ("train", "valid", "test")
    official = CONFIG.datasets[dataset].split.kind == "official"
    return [
        f"{folder}/raw.json",
        *(f"{folder}/official/{split}.csv" for split in splits if official),
        f"{folder}/table.csv",
        *(f"splits/{dataset}/{split}.csv" for split in splits),
        f"splits/{dataset}/origin.json",
    ]


def store_folders():
    """The image stores that models are trained on and used on."""
    trained = [
        m for m in CONFIG.experiment.models if m not in zero_shot_models() and not CONFIG.official_weights
    ]
    used = [f"data/{dataset}/store/{size}" for dataset, size in store_sizes()]
    return sorted(
        {*used, *(training_store(dataset, model) for dataset in CONFIG.datasets for model in trained)}
    )


def store_outputs(folder):
    """Files of one image store."""
    return [
        *(f"{folder}/{name}" for name in ("manifest.json", "index.parquet")),
        *(f"{folder}/{split}.npy" for split in ("train", "valid", "test")),
    ]


def pretrained_outputs():
    """Manifests of the weights that training begins from, or that are used as they come."""
    begins = [m for m in CONFIG.experiment.models if CONFIG.weights.pretrained(m)]
    used = [m for m in begins if m in zero_shot_models() or not CONFIG.official_weights]
    names = {CONFIG.weights.pretrained_name(model) for model in used}
    return sorted(f"{CONFIG.weights.pretrained_dir(name)}/manifest.json" for name in names)


def release_outputs():
    """Lists of the authors' weights, where these are used."""
    if not CONFIG.official_weights or not CONFIG.weights.releases():
        return []
    manifests = [f"data/official/manifests/{release}.json" for release in CONFIG.weights.releases()]
    return ["data/official/listing.json", *manifests]


def weight_outputs(folder):
    """Files of trained weights."""
    return [f"{folder}/weights/{name}" for name in ("model.safetensors", "config.yaml", "run.json")]


def joint_folders():
    """Folders of the models that are trained on all datasets together."""
    models = [] if CONFIG.official_weights else joint_models()
    return [f"{RESULTS}/joint/{model}/seed{seed}" for model in models for seed in CONFIG.experiment.seeds]


def counterfactual_outputs(run):
    """Files of the counterfactuals of one run."""
    names = ("counterfactuals.csv", "images", "features.npz", "measures.csv", "metrics.csv", "examples.npz")
    return [counterfactual_file(run, name) for name in names]


# A clone that was restored without its heavy files does not miss them.
ABSENT = absent_files(CONFIG.results_name) if workflow.is_main_process else set()


def expected(*files):
    """The files that should be there."""
    return [file for file in files if file not in ABSENT]


DATASETS = expected(
    *(file for dataset in CONFIG.datasets for file in dataset_outputs(dataset)),
    *(file for folder in store_folders() for file in store_outputs(folder)),
)
# Only the audit needs them.
STRATA = expected(*(f"data/{dataset}/strata.csv" for dataset in EXPERIMENT.audited_datasets()))
WEIGHTS = expected(
    *pretrained_outputs(),
    *release_outputs(),
    *(file for folder in [*joint_folders(), *map(run_dir, model_runs())] for file in weight_outputs(folder)),
)
PREDICTIONS = expected(
    *(errors_file(run) for run in scoring_runs()),
    *(further_errors_file(run, further) for run in scoring_runs() for further in further_errors()),
    *(prediction_file(run) for run in decision_runs()),
    *(metrics_file(run) for run in decision_runs()),
    *(file for run in counterfactual_runs() for file in counterfactual_outputs(run)),
)
