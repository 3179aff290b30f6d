METRICS = f"{RESULTS}/metrics.json"


rule vote:
    input:
        errors=f"{RESULTS}/{VOTES}/errors.nc",
        code=code_of("meddiff.evaluate.predictions", "meddiff.scoring.error_file"),
    output:
        predictions=f"{RESULTS}/{VOTES}/predictions/{{decision}}.csv",
    log:
        f"{LOGS}/{VOTES}/vote-{{decision}}.log",
    wildcard_constraints:
        decision=one_of(DIFFUSION_DECISIONS),
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    message:
        "Deciding {wildcards.dataset} by {wildcards.decision} with {wildcards.model} (seed {wildcards.seed}, votes {wildcards.votes})"
    shell:
        "python -m meddiff vote --errors {input.errors:q} --decision {wildcards.decision:q}"
        " --out {output.predictions:q} > {log:q} 2>&1"


rule predict_baseline:
    input:
        weights=f"{RESULTS}/{RUN}/weights/model.safetensors",
        config=f"{RESULTS}/{RUN}/weights/config.yaml",
        manifest=DATA.manifest,
        arrays=ancient(DATA.arrays),
        code=code_of("meddiff.networks.classifier", "meddiff.evaluate.predictions"),
    output:
        predictions=f"{RESULTS}/{RUN}/predictions/{{decision}}.csv",
    log:
        f"{LOGS}/{RUN}/predict-{{decision}}.log",
    wildcard_constraints:
        decision=one_of(BASELINE_DECISIONS),
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
        "Predicting {wildcards.dataset} with {wildcards.model} (seed {wildcards.seed})"
    shell:
        "python -m meddiff predict --weights {params.weights:q} --store {params.store:q} --split test"
        " --threads {threads:q} --out {output.predictions:q} > {log:q} 2>&1"


rule compute_metrics:
    input:
        predictions=f"{RESULTS}/{RUN}/predictions/{{decision}}.csv",
        code=code_of("meddiff.evaluate.summary"),
    output:
        metrics=f"{RESULTS}/{RUN}/metrics/{{decision}}.csv",
    log:
        f"{LOGS}/{RUN}/metrics-{{decision}}.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=SCORING.metrics_settings,
    message:
        "Metrics of {wildcards.model} on {wildcards.dataset} by {wildcards.decision} (seed {wildcards.seed})"
    shell:
        "python -m meddiff metrics --predictions {input.predictions:q} --params {params.settings:q}"
        " --out {output.metrics:q} > {log:q} 2>&1"


use rule compute_metrics as compute_vote_metrics with:
    input:
        predictions=f"{RESULTS}/{VOTES}/predictions/{{decision}}.csv",
        code=code_of("meddiff.evaluate.summary"),
    output:
        metrics=f"{RESULTS}/{VOTES}/metrics/{{decision}}.csv",
    log:
        f"{LOGS}/{VOTES}/metrics-{{decision}}.log",
    message:
        "Metrics of {wildcards.model} on {wildcards.dataset} by {wildcards.decision} (seed {wildcards.seed}, votes {wildcards.votes})"


rule collect_metrics:
    input:
        table=f"{RESULTS}/tables/metrics.csv",
        code=code_of("meddiff.evaluate.metrics_tree"),
    output:
        metrics=METRICS,
    log:
        f"{LOGS}/tables/collect.log",
    conda:
        "../../envs/cpu.yaml"
    message:
        "Collecting all metrics in one file"
    shell:
        "python -m meddiff collect --table {input.table:q} --out {output.metrics:q} > {log:q} 2>&1"
