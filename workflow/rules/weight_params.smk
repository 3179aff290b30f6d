# What the rules about pretrained, joint and released weights take from the configuration.


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
    """Words of the option that names the folder of the pretrained weights, if there are any."""
    folders = [os.path.dirname(path) for path in optional_pretrained_manifest(wildcards)]
    return [word for folder in folders for word in ("--pretrained", folder)]


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
    return code_of("meddiff.training.trainer", network_module(kind), task_module(kind))


def training_decision(wildcards):
    """What the user said about a published model that would change (a resource, as `image_root`)."""
    return CONFIG.decisions.of(f"{wildcards.dataset}/{wildcards.model}/seed{wildcards.seed}")


def joint_decision(wildcards):
    return CONFIG.decisions.of(f"joint/{wildcards.model}/seed{wildcards.seed}")


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
    return code_of("meddiff.weights.stable_diffusion", network_module(kind))


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
    return code_of("meddiff.weights.run_import", importer_module(kind), network_module(kind))
