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
