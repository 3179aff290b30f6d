# Stable Diffusion: one pretrained folder serves several models; a joint model serves all datasets.

if CONFIG.weights.generated():

    rule generate_pretrained:
        input:
            manifests=WEIGHTS.generated_manifests,
            arrays=ancient(WEIGHTS.generated_arrays),
            code=code_of("meddiff.networks.tiny_stable_diffusion"),
        output:
            manifest="data/pretrained/{pretrained}/manifest.json",
        log:
            "logs/pretrained/{pretrained}.log",
        wildcard_constraints:
            pretrained=one_of(CONFIG.weights.generated()),
        conda:
            "../../envs/gpu.yaml"
        threads: 1
        resources:
            gpu=1,
            mem_mb=4000,
            runtime=60,
        params:
            settings=WEIGHTS.generated_settings,
            stores=lambda wildcards, input: folders_of(input.manifests),
            out=subpath(output.manifest, parent=True),
        message:
            "Making the pretrained model {wildcards.pretrained}"
        shell:
            "python -m meddiff generate --params {params.settings:q} --stores {params.stores:q}"
            " --threads {threads:q} --out {params.out:q} > {log:q} 2>&1"


if EXPERIMENT.zero_shot_models():

    rule take_pretrained_weights:
        input:
            pretrained=WEIGHTS.pretrained_manifest,
            code=WEIGHTS.taking_code,
        output:
            weights=f"{RESULTS}/{RUN}/weights/model.safetensors",
            config=f"{RESULTS}/{RUN}/weights/config.yaml",
            run=f"{RESULTS}/{RUN}/weights/run.json",
        log:
            f"{LOGS}/{RUN}/zeroshot.log",
        wildcard_constraints:
            model=one_of(EXPERIMENT.zero_shot_models()),
        conda:
            "../../envs/cpu.yaml"
        resources:
            mem_mb=16000,
            runtime=60,
        params:
            settings=WEIGHTS.zero_shot_settings,
            pretrained=subpath(input.pretrained, parent=True),
            out=subpath(output.weights, parent=True),
        message:
            "Taking {wildcards.model} for {wildcards.dataset} as it is (seed {wildcards.seed})"
        shell:
            "python -m meddiff zeroshot --params {params.settings:q} --pretrained {params.pretrained:q}"
            " --out {params.out:q} > {log:q} 2>&1"


if EXPERIMENT.joint_runs():

    rule select_joint_classes:
        input:
            weights=f"{RESULTS}/{JOINT_RUN}/weights/model.safetensors",
            config=f"{RESULTS}/{JOINT_RUN}/weights/config.yaml",
            code=WEIGHTS.taking_code,
        output:
            weights=f"{RESULTS}/{RUN}/weights/model.safetensors",
            config=f"{RESULTS}/{RUN}/weights/config.yaml",
            run=f"{RESULTS}/{RUN}/weights/run.json",
        log:
            f"{LOGS}/{RUN}/select.log",
        wildcard_constraints:
            model=one_of(EXPERIMENT.joint_models()),
        conda:
            "../../envs/cpu.yaml"
        resources:
            mem_mb=16000,
            runtime=60,
        params:
            settings=WEIGHTS.selected_settings,
            joint=subpath(input.weights, parent=True),
            out=subpath(output.weights, parent=True),
        message:
            "Taking the part of {wildcards.model} for {wildcards.dataset} (seed {wildcards.seed})"
        shell:
            "python -m meddiff select --params {params.settings:q} --joint {params.joint:q} --out {params.out:q}"
            " > {log:q} 2>&1"
