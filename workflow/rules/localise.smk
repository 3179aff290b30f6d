# Evidence maps against known lesions, beside Grad-CAM of the best baseline.
if EXPERIMENT.located_runs():

    rule grad_cam:
        input:
            weights=f"{RESULTS}/{RUN}/weights/model.safetensors",
            config=f"{RESULTS}/{RUN}/weights/config.yaml",
            manifest=DATA.manifest,
            arrays=ancient(DATA.arrays),
            code=LOCALISING.grad_cam_code,
        output:
            maps=expand(f"{RESULTS}/{RUN}/gradcam/{{split}}.nc", split=["valid", "test"], allow_missing=True),
        log:
            f"{LOGS}/{RUN}/gradcam.log",
        conda:
            "../../envs/gpu.yaml"
        resources:
            gpu=1,
            mem_mb=16000,
            runtime=60,
        params:
            store=subpath(input.manifest, parent=True),
            weights=subpath(input.weights, parent=True),
        message:
            "Grad-CAM maps of {wildcards.model} on {wildcards.dataset} (seed {wildcards.seed})"
        shell:
            "python -m meddiff gradcam --weights {params.weights:q} --store {params.store:q} --splits valid test"
            " --threads {threads:q} --out {output.maps:q} > {log:q} 2>&1"

    rule localise:
        input:
            evidence=f"{RESULTS}/{VOTES}/evidence.nc",
            valid=LOCALISING.evidence_valid,
            grad_cam=LOCALISING.grad_cam,
            grad_cam_valid=LOCALISING.grad_cam_valid,
            scores=LOCALISING.scores_valid,
            manifest=DATA.manifest,
            arrays=ancient(DATA.arrays),
            raw=DATA.on_disk("raw.json"),
            code=code_of("meddiff.localising.run"),
        output:
            measures=f"{RESULTS}/{VOTES}/localisation/measures.csv",
            metrics=f"{RESULTS}/{VOTES}/localisation/metrics.csv",
        log:
            f"{LOGS}/{VOTES}/localise.log",
        conda:
            "../../envs/cpu.yaml"
        resources:
            mem_mb=8000,
            runtime=30,
            root=DATA.image_root,
        params:
            settings=LOCALISING.settings,
            options=LOCALISING.options,
            store=subpath(input.manifest, parent=True),
        message:
            "Evidence maps of {wildcards.model} against the lesions of {wildcards.dataset} (seed {wildcards.seed}, votes {wildcards.votes})"
        shell:
            "python -m meddiff localise --params {params.settings:q} --evidence {input.evidence:q} {params.options:q}"
            " --store {params.store:q} --root {resources.root:q} --out-measures {output.measures:q}"
            " --out-metrics {output.metrics:q} > {log:q} 2>&1"
