# With weights=official nothing is trained: rules that are not defined cannot run.
if single_models() and not CONFIG.official_weights:

    rule train_model:
        input:
            manifest=training_manifest,
            arrays=ancient(training_arrays),
            pretrained=optional_pretrained_manifest,
            code=training_code,
        output:
            weights=f"{RESULTS}/{RUN}/weights/model.safetensors",
            config=f"{RESULTS}/{RUN}/weights/config.yaml",
            run=f"{RESULTS}/{RUN}/weights/run.json",
        log:
            f"{LOGS}/{RUN}/train.log",
        benchmark:
            f"{LOGS}/{RUN}/train.benchmark.tsv"
        wildcard_constraints:
            model="|".join(single_models()),
        conda:
            "../../envs/gpu.yaml"
        threads: 1
        resources:
            gpu=CONFIG.experiment.compute.processes,
            compute=compute_settings(),
            experiment=CONFIG.results_name,
            decision=training_decision,
            mem_mb=lambda wildcards, attempt: 16000 * attempt,
            runtime=lambda wildcards, attempt: 2880 * attempt,
        params:
            settings=training_settings,
            store=subpath(input.manifest, parent=True),
            out=subpath(output.weights, parent=True),
            pretrained=pretrained_option,
            trackers=f"{LOGS}/{RUN}/tensorboard",
        message:
            "Training {wildcards.model} on {wildcards.dataset} (seed {wildcards.seed})"
        shell:
            "python -m meddiff train --params {params.settings:q} --store {params.store:q}"
            " --experiment {resources.experiment:q} --run {wildcards.dataset:q}/{wildcards.model:q}/seed{wildcards.seed:q}"
            " --decision {resources.decision:q} --out {params.out:q} {params.pretrained:q} --threads {threads:q} --compute {resources.compute:q} --trackers {params.trackers:q} > {log:q} 2>&1"
