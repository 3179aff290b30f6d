# With weights=official nothing is trained: rules that are not defined cannot run.
if not CONFIG.official_weights:

    rule train_model:
        input:
            manifests=TRAINING.manifests,
            arrays=ancient(TRAINING.arrays),
            pretrained=TRAINING.pretrained,
            code=TRAINING.code,
        output:
            weights=f"{RESULTS}/{RUN}/weights/model.safetensors",
            config=f"{RESULTS}/{RUN}/weights/config.yaml",
            run=f"{RESULTS}/{RUN}/weights/run.json",
        log:
            f"{LOGS}/{RUN}/train.log",
        benchmark:
            f"{LOGS}/{RUN}/train.benchmark.tsv"
        wildcard_constraints:
            model=one_of(TRAINING.separate_models()),
        conda:
            "../../envs/gpu.yaml"
        threads: 1
        resources:
            gpu=CONFIG.experiment.compute.processes,
            compute=EXPERIMENT.compute(),
            experiment=CONFIG.results_name,
            run=TRAINING.run,
            decision=TRAINING.decision,
            mem_mb=lambda wildcards, attempt: 16000 * attempt,
            runtime=lambda wildcards, attempt: 2880 * attempt,
        params:
            settings=TRAINING.settings,
            stores=lambda wildcards, input: folders_of(input.manifests),
            out=subpath(output.weights, parent=True),
            pretrained=TRAINING.pretrained_option,
            trackers=f"{LOGS}/{RUN}/tensorboard",
        message:
            "Training {wildcards.model} on {wildcards.dataset} (seed {wildcards.seed})"
        shell:
            "python -m meddiff train --params {params.settings:q} --store {params.stores:q}"
            " --experiment {resources.experiment:q} --run {resources.run:q} --decision {resources.decision:q}"
            " --out {params.out:q} {params.pretrained:q} --threads {threads:q} --compute {resources.compute:q}"
            " --trackers {params.trackers:q} > {log:q} 2>&1"

    # One model of all datasets; they are found in no file name, so it has no such wildcard.
    use rule train_model as train_joint_model with:
        output:
            weights=f"{RESULTS}/{JOINT_RUN}/weights/model.safetensors",
            config=f"{RESULTS}/{JOINT_RUN}/weights/config.yaml",
            run=f"{RESULTS}/{JOINT_RUN}/weights/run.json",
        log:
            f"{LOGS}/{JOINT_RUN}/train.log",
        benchmark:
            f"{LOGS}/{JOINT_RUN}/train.benchmark.tsv"
        wildcard_constraints:
            model=one_of(EXPERIMENT.joint_models()),
        resources:
            gpu=CONFIG.experiment.compute.processes,
            compute=EXPERIMENT.compute(),
            experiment=CONFIG.results_name,
            run=TRAINING.run,
            decision=TRAINING.decision,
            mem_mb=lambda wildcards, attempt: 32000 * attempt,
            runtime=lambda wildcards, attempt: 5760 * attempt,
        params:
            pretrained=lambda wildcards, input: ["--pretrained", *folders_of(input.pretrained)],
            trackers=f"{LOGS}/{JOINT_RUN}/tensorboard",
        message:
            "Training {wildcards.model} on all datasets (seed {wildcards.seed})"
