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
    return code_of("meddiff.training.trainer", network_module(kind), task_module(kind))


def training_settings(wildcards):
    model = CONFIG.training_model(wildcards.model, wildcards.dataset)
    return to_json({"model": model.model_dump(mode="json"), "seed": int(wildcards.seed)})


def store_manifest(wildcards):
    return f"{store_dir(wildcards)}/manifest.json"


def store_arrays(wildcards):
    """The big files behind the manifest: their content is judged by the manifest's checksums."""
    return [f"{store_dir(wildcards)}/{split}.npy" for split in ("train", "valid", "test")]


def stops_early():
    """Whether scoring leaves out steps that an image does not need."""
    return CONFIG.experiment.score.stopping.kind != "none"


def scoring_settings(wildcards):
    score = CONFIG.experiment.score.model_dump(mode="json", include={"steps", "noise_levels", "precision"})
    # Only where it stops anything, so that full errors do not depend on how stopping is described.
    if stops_early():
        score["stopping"] = CONFIG.experiment.score.stopping.model_dump(mode="json")
    return to_json({**score, "seed": int(wildcards.votes)})


def further_errors():
    """What is scored besides the test split, for comparison: ``valid``, or a kind of noise levels."""
    score = CONFIG.experiment.score
    return [VALIDATION] * score.weights + score.compare_levels


def further_split(wildcards):
    return "valid" if wildcards.further == VALIDATION else "test"


def further_scoring_settings(wildcards):
    settings = json.loads(scoring_settings(wildcards))
    levels = {} if wildcards.further == VALIDATION else {"noise_levels": wildcards.further}
    return to_json({**settings, **levels})


def scoring_code(wildcards):
    kind = CONFIG.model(wildcards.model, wildcards.dataset).kind
    stopping = ["meddiff.diffusion.stopping"] if stops_early() else []
    return code_of("meddiff.scoring.score", "meddiff.scoring.error_file", network_module(kind), *stopping)
