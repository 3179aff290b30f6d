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


rule train_model:
    input:
        manifest=store_manifest,
        arrays=ancient(store_arrays),
        code=training_code,
    output:
        weights=f"{RESULTS}/{RUN}/weights/model.safetensors",
        config=f"{RESULTS}/{RUN}/weights/config.yaml",
        run=f"{RESULTS}/{RUN}/weights/run.json",
    log:
        f"{LOGS}/{RUN}/train.log",
    benchmark:
        f"{LOGS}/{RUN}/train.benchmark.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: 16000 * attempt,
        runtime=lambda wildcards, attempt: 2880 * attempt,
    params:
        settings=training_settings,
        store=subpath(input.manifest, parent=True),
        out=subpath(output.weights, parent=True),
        trackers=f"{LOGS}/{RUN}/tensorboard",
    message:
        "Training {wildcards.model} on {wildcards.dataset} (seed {wildcards.seed})"
    shell:
        "python -m meddiff train --params {params.settings:q} --store {params.store} --out {params.out}"
        " --threads {threads} --trackers {params.trackers} > {log} 2>&1"
