# What the rules about counterfactuals take from the configuration, and which runs have some.

COUNTERFACTUALS_OF = f"{RESULTS}/{RUN}/counterfactuals"


def counterfactual_settings():
    """The experiment's block, or None where it makes no counterfactuals."""
    return CONFIG.experiment.counterfactuals


def counterfactual_runs():
    """The trained diffusion models that make counterfactuals, whatever they are scored with."""
    settings = counterfactual_settings()
    if settings is None:
        return []
    runs = [run for run in model_runs() if is_diffusion(run["model"])]
    return [run for run in runs if settings.models is None or run["model"] in settings.models]


def counterfactual_file(run, name):
    """A file of a run's counterfactuals."""
    return f"{COUNTERFACTUALS_OF}/{name}".format(**run)


def explaining_code(wildcards):
    kind = CONFIG.model(wildcards.model, wildcards.dataset).kind
    return code_of("meddiff.explaining.counterfactuals", "meddiff.explaining.judging", network_module(kind))


def explaining_settings(wildcards):
    settings, experiment = counterfactual_settings(), CONFIG.experiment
    own = ("sampling_steps", "sampler", "images_per_class", "seed", "precision", "validity_steps", "decision")
    return to_json(
        {
            **settings.guidance(wildcards.model),
            **settings.model_dump(mode="json", include={*own, "front"}),
            "extra_last_step": CONFIG.preset == "official" and settings.sampler == "ancestral",
            "noise_levels": experiment.score.noise_levels,
        }
    )


def is_folder(name):
    """Whether a network is named by its folder, not as a model of the experiment."""
    return os.sep in name


def judge_folders(wildcards):
    """Option of ``meddiff explain`` -> folder of the weights of a baseline that judges counterfactuals."""
    settings = counterfactual_settings()
    named = {"oracle": settings.oracle, "features": settings.features or settings.oracle}
    run = {"dataset": wildcards.dataset, "seed": wildcards.seed}
    return {
        option: name if is_folder(name) else f"{run_dir({**run, 'model': name})}/weights"
        for option, name in named.items()
        if name is not None
    }


def judge_weights(wildcards):
    folders = judge_folders(wildcards).values()
    return [
        f"{folder}/{name}"
        for folder in dict.fromkeys(folders)
        for name in ("model.safetensors", "config.yaml")
    ]


def judge_code(wildcards):
    return code_of("meddiff.explaining.feature_network") if judge_folders(wildcards) else []


def judge_options(wildcards):
    """Words of the options, each of which the shell text quotes."""
    return [word for option, folder in judge_folders(wildcards).items() for word in (f"--{option}", folder)]


def own_predictions(wildcards):
    """The model's own predictions of the test images, with the first vote seed."""
    votes = CONFIG.experiment.score.vote_seeds(int(wildcards.seed))[0]
    run = {"dataset": wildcards.dataset, "model": wildcards.model, "seed": wildcards.seed, "votes": votes}
    return prediction_file({**run, "decision": counterfactual_settings().decision})


def oracle_predictions(wildcards):
    """The oracle's predictions of the test images, if there is an oracle."""
    oracle = counterfactual_settings().oracle
    if oracle is None:
        return []
    run = {"dataset": wildcards.dataset, "model": oracle, "seed": wildcards.seed}
    return [prediction_file({**run, "decision": BASELINE_DECISIONS[0]})]


def oracle_option(wildcards):
    return [word for path in oracle_predictions(wildcards) for word in ("--oracle", path)]


def is_phantom(dataset):
    return CONFIG.datasets[dataset].source.kind == "phantom"


def masks_manifest(wildcards):
    """What a phantom knows about its images lies beside them."""
    return [f"data/{wildcards.dataset}/raw.json"] if is_phantom(wildcards.dataset) else []


def measuring_settings(wildcards):
    settings, dataset = counterfactual_settings(), CONFIG.datasets[wildcards.dataset]
    return to_json(
        {
            "dataset": wildcards.dataset,
            "model": wildcards.model,
            "seed": int(wildcards.seed),
            **resampling(),
            **settings.model_dump(include={"mask_margin", "examples"}),
            "phantom": dataset.format.kind if is_phantom(wildcards.dataset) else None,
        }
    )
