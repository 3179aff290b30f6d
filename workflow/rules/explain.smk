if EXPERIMENT.counterfactual_runs():

    # Making and judging are one job: both need the network, and what is made is kept (MEDDIFF_STATE_DIR), so that
    # another judge or a larger comparison makes only what is new.
    rule make_counterfactuals:
        input:
            weights=f"{RESULTS}/{RUN}/weights/model.safetensors",
            config=f"{RESULTS}/{RUN}/weights/config.yaml",
            judges=EXPLAINING.judge_weights,
            manifest=DATA.manifest,
            arrays=ancient(DATA.arrays),
            code=EXPLAINING.code,
            judge_code=EXPLAINING.judge_code,
        output:
            # The table has the checksum of every image, so it is what later rules track.
            table=f"{COUNTERFACTUALS_OF}/counterfactuals.csv",
            images=directory(f"{COUNTERFACTUALS_OF}/images"),
            features=f"{COUNTERFACTUALS_OF}/features.npz",
        log:
            f"{LOGS}/{RUN}/counterfactuals.log",
        benchmark:
            f"{LOGS}/{RUN}/counterfactuals.benchmark.tsv"
        conda:
            "../../envs/gpu.yaml"
        threads: 1
        resources:
            gpu=1,
            compute=EXPERIMENT.compute(),
            batch_size=0,
            mem_mb=lambda wildcards, attempt: 16000 * attempt,
            runtime=lambda wildcards, attempt: 720 * attempt,
        params:
            settings=EXPLAINING.settings,
            judges=EXPLAINING.judge_options,
            store=subpath(input.manifest, parent=True),
            weights=subpath(input.weights, parent=True),
        message:
            "Counterfactuals of {wildcards.dataset} with {wildcards.model} (seed {wildcards.seed})"
        shell:
            "python -m meddiff explain --params {params.settings:q} --weights {params.weights:q}"
            " --store {params.store:q} --split test {params.judges:q} --batch-size {resources.batch_size:q}"
            " --threads {threads:q} --compute {resources.compute:q} --out-images {output.images:q}"
            " --out-table {output.table:q} --out-features {output.features:q} > {log:q} 2>&1"

    rule measure_counterfactuals:
        input:
            table=f"{COUNTERFACTUALS_OF}/counterfactuals.csv",
            images=ancient(f"{COUNTERFACTUALS_OF}/images"),
            features=f"{COUNTERFACTUALS_OF}/features.npz",
            predictions=EXPLAINING.own_predictions,
            oracle=EXPLAINING.oracle_predictions,
            manifest=DATA.manifest,
            arrays=ancient(DATA.arrays),
            masks=EXPLAINING.masks_manifest,
            code=code_of("meddiff.explaining.measure_run"),
        output:
            measures=f"{COUNTERFACTUALS_OF}/measures.csv",
            metrics=f"{COUNTERFACTUALS_OF}/metrics.csv",
            examples=f"{COUNTERFACTUALS_OF}/examples.npz",
        log:
            f"{LOGS}/{RUN}/measure-counterfactuals.log",
        conda:
            "../../envs/cpu.yaml"
        resources:
            mem_mb=8000,
            runtime=60,
            root=DATA.image_root,
        params:
            settings=EXPLAINING.measuring_settings,
            oracle=EXPLAINING.oracle_option,
            store=subpath(input.manifest, parent=True),
        message:
            "Measuring the counterfactuals of {wildcards.model} on {wildcards.dataset} (seed {wildcards.seed})"
        shell:
            "python -m meddiff measure --params {params.settings:q} --table {input.table:q}"
            " --images {input.images:q} --features {input.features:q} --store {params.store:q}"
            " --predictions {input.predictions:q} {params.oracle:q} --root {resources.root:q}"
            " --out-measures {output.measures:q} --out-metrics {output.metrics:q}"
            " --out-examples {output.examples:q} > {log:q} 2>&1"
