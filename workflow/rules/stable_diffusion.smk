# Stable Diffusion: one pretrained folder serves several models; a joint model serves all datasets.

if generated_pretrained():

    rule generate_pretrained:
        input:
            manifests=generating_manifests,
            arrays=ancient(generating_arrays),
            code=code_of("meddiff.networks.tiny_stable_diffusion"),
        output:
            manifest="data/pretrained/{pretrained}/manifest.json",
        log:
            "logs/pretrained/{pretrained}.log",
        wildcard_constraints:
            pretrained="|".join(generated_pretrained()),
        conda:
            "../../envs/gpu.yaml"
        threads: 1
        resources:
            gpu=1,
            mem_mb=4000,
            runtime=60,
        params:
            settings=generating_settings,
            stores=lambda wildcards, input: [os.path.dirname(path) for path in input.manifests],
            out=subpath(output.manifest, parent=True),
        message:
            "Making the pretrained model {wildcards.pretrained}"
        shell:
            "python -m meddiff generate --params {params.settings:q} --stores {params.stores:q}"
            " --threads {threads:q} --out {params.out:q} > {log:q} 2>&1"


if zero_shot_models():

    rule take_pretrained_weights:
        input:
            pretrained=pretrained_manifest,
            code=taking_code,
        output:
            weights=f"{RESULTS}/{RUN}/weights/model.safetensors",
            config=f"{RESULTS}/{RUN}/weights/config.yaml",
            run=f"{RESULTS}/{RUN}/weights/run.json",
        log:
            f"{LOGS}/{RUN}/zeroshot.log",
        wildcard_constraints:
            model="|".join(zero_shot_models()),
        conda:
            "../../envs/cpu.yaml"
        resources:
            mem_mb=16000,
            runtime=60,
        params:
            settings=model_settings,
            pretrained=subpath(input.pretrained, parent=True),
            out=subpath(output.weights, parent=True),
        message:
            "Taking {wildcards.model} for {wildcards.dataset} as it is (seed {wildcards.seed})"
        shell:
            "python -m meddiff zeroshot --params {params.settings:q} --pretrained {params.pretrained:q}"
            " --out {params.out:q} > {log:q} 2>&1"


if joint_models() and not CONFIG.official_weights:

    rule train_joint_model:
        input:
            manifests=joint_manifests,
            arrays=ancient(joint_arrays),
            pretrained=pretrained_manifest,
            code=joint_code,
        output:
            weights=f"{RESULTS}/{JOINT_RUN}/weights/model.safetensors",
            config=f"{RESULTS}/{JOINT_RUN}/weights/config.yaml",
            run=f"{RESULTS}/{JOINT_RUN}/weights/run.json",
        log:
            f"{LOGS}/{JOINT_RUN}/train.log",
        benchmark:
            f"{LOGS}/{JOINT_RUN}/train.benchmark.tsv"
        wildcard_constraints:
            model="|".join(joint_models()),
        conda:
            "../../envs/gpu.yaml"
        threads: 1
        resources:
            gpu=CONFIG.experiment.compute.processes,
            compute=compute_settings(),
            experiment=CONFIG.results_name,
            decision=joint_decision,
            mem_mb=lambda wildcards, attempt: 32000 * attempt,
            runtime=lambda wildcards, attempt: 5760 * attempt,
        params:
            settings=joint_settings,
            stores=lambda wildcards, input: [os.path.dirname(path) for path in input.manifests],
            pretrained=subpath(input.pretrained, parent=True),
            out=subpath(output.weights, parent=True),
            trackers=f"{LOGS}/{JOINT_RUN}/tensorboard",
        message:
            "Training {wildcards.model} on all datasets (seed {wildcards.seed})"
        shell:
            "python -m meddiff train --params {params.settings:q} --store {params.stores:q}"
            " --experiment {resources.experiment:q} --run joint/{wildcards.model:q}/seed{wildcards.seed:q} --decision {resources.decision:q}"
            " --out {params.out:q} --pretrained {params.pretrained:q} --threads {threads:q} --compute {resources.compute:q} --trackers {params.trackers:q} > {log:q} 2>&1"

    rule select_joint_classes:
        input:
            weights=f"{RESULTS}/{JOINT_RUN}/weights/model.safetensors",
            config=f"{RESULTS}/{JOINT_RUN}/weights/config.yaml",
            code=taking_code,
        output:
            weights=f"{RESULTS}/{RUN}/weights/model.safetensors",
            config=f"{RESULTS}/{RUN}/weights/config.yaml",
            run=f"{RESULTS}/{RUN}/weights/run.json",
        log:
            f"{LOGS}/{RUN}/select.log",
        wildcard_constraints:
            model="|".join(joint_models()),
        conda:
            "../../envs/cpu.yaml"
        resources:
            mem_mb=16000,
            runtime=60,
        params:
            settings=selecting_settings,
            joint=subpath(input.weights, parent=True),
            out=subpath(output.weights, parent=True),
        message:
            "Taking the part of {wildcards.model} for {wildcards.dataset} (seed {wildcards.seed})"
        shell:
            "python -m meddiff select --params {params.settings:q} --joint {params.joint:q} --out {params.out:q}"
            " > {log:q} 2>&1"
