METRICS = f"{RESULTS}/metrics.json"


rule vote:
    input:
        errors=SCORING.voted,
        code=code_of("meddiff.readout.from_errors", "meddiff.scoring.error_file"),
    output:
        scores=f"{RESULTS}/{VOTES}/scores/{{split}}/{{decision}}.csv",
    log:
        f"{LOGS}/{VOTES}/vote-{{split}}-{{decision}}.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    message:
        "Deciding {wildcards.dataset} ({wildcards.split}) by {wildcards.decision} with {wildcards.model} (seed {wildcards.seed}, votes {wildcards.votes})"
    shell:
        "python -m meddiff vote --errors {input.errors:q} --decision {wildcards.decision:q}"
        " --out {output.scores:q} > {log:q} 2>&1"


rule predict_baseline:
    input:
        weights=f"{RESULTS}/{RUN}/weights/model.safetensors",
        config=f"{RESULTS}/{RUN}/weights/config.yaml",
        manifest=DATA.manifest,
        arrays=ancient(DATA.arrays),
        code=code_of("meddiff.networks.classifier", "meddiff.readout.from_logits"),
    output:
        scores=f"{RESULTS}/{RUN}/scores/{{split}}/{{decision}}.csv",
    log:
        f"{LOGS}/{RUN}/predict-{{split}}-{{decision}}.log",
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
        "Predicting {wildcards.dataset} ({wildcards.split}) with {wildcards.model} (seed {wildcards.seed})"
    shell:
        "python -m meddiff predict --weights {params.weights:q} --store {params.store:q} --split {wildcards.split:q}"
        " --threads {threads:q} --out {output.scores:q} > {log:q} 2>&1"


# The same on another dataset, whose classes become those of the baseline.
use rule predict_baseline as predict_elsewhere with:
    input:
        weights=f"{RESULTS}/{RUN}/weights/model.safetensors",
        config=f"{RESULTS}/{RUN}/weights/config.yaml",
        manifest=DATA.manifest,
        arrays=ancient(DATA.arrays),
        code=SCORING.code_elsewhere,
    output:
        scores=f"{RESULTS}/{USED}/scores/{{split}}/{{decision}}.csv",
    log:
        f"{LOGS}/{USED}/predict-{{split}}-{{decision}}.log",
    wildcard_constraints:
        elsewhere=ANY_ELSEWHERE,
        decision=one_of(BASELINE_DECISIONS),
    params:
        store=SCORING.store_elsewhere,


# What a model decides, with a vote seed or without: probabilities are calibrated on the validation split.
rule calibrate:
    input:
        scores=f"{RESULTS}/{{decided}}/scores/valid/{{decision}}.csv",
        code=code_of("meddiff.readout.calibrating"),
    output:
        calibration=f"{RESULTS}/{{decided}}/calibration/{{decision}}.json",
    log:
        f"{LOGS}/{{decided}}/calibrate-{{decision}}.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        # Logits get the slope that is known as temperature, votes and errors an offset of each class as well.
        method=lambda wildcards: ["--temperature"] * (wildcards.decision in BASELINE_DECISIONS),
    message:
        "Calibrating {wildcards.decided} ({wildcards.decision})"
    shell:
        "python -m meddiff calibrate --scores {input.scores:q} {params.method:q} --out {output.calibration:q} > {log:q} 2>&1"


# What errors are like on the validation split: an image whose are not is unlike the training data.
rule profile:
    input:
        errors=f"{RESULTS}/{VOTES}/errors_valid.nc",
        code=code_of("meddiff.readout.ood", "meddiff.scoring.error_file"),
    output:
        profile=f"{RESULTS}/{VOTES}/profile.json",
    log:
        f"{LOGS}/{VOTES}/profile.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    message:
        "Error profile of {wildcards.model} on {wildcards.dataset} (seed {wildcards.seed}, votes {wildcards.votes})"
    shell:
        "python -m meddiff profile --errors {input.errors:q} --out {output.profile:q} > {log:q} 2>&1"


rule decide:
    input:
        scores=f"{RESULTS}/{{decided}}/scores/test/{{decision}}.csv",
        calibration=SCORING.calibration,
        ood=SCORING.ood_files,
        code=code_of("meddiff.readout.calibrating", "meddiff.readout.ood", "meddiff.scoring.error_file"),
    output:
        predictions=f"{RESULTS}/{{decided}}/predictions/{{decision}}.csv",
    log:
        f"{LOGS}/{{decided}}/decide-{{decision}}.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        calibration=SCORING.calibration_option,
        settings=SCORING.decide_settings,
        ood=SCORING.ood_options,
    message:
        "Predictions of {wildcards.decided} by {wildcards.decision}"
    shell:
        "python -m meddiff decide --scores {input.scores:q} {params.calibration:q} --params {params.settings:q}"
        " {params.ood:q} --out {output.predictions:q} > {log:q} 2>&1"


rule compute_metrics:
    input:
        predictions=f"{RESULTS}/{USED}/predictions/{{decision}}.csv",
        validation=SCORING.validation_scores,
        code=code_of("meddiff.evaluate.summary"),
    output:
        metrics=f"{RESULTS}/{USED}/metrics/{{decision}}.csv",
    log:
        f"{LOGS}/{USED}/metrics-{{decision}}.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=SCORING.metrics_settings,
        validation=SCORING.validation_option,
    message:
        "Metrics of {wildcards.model} on {wildcards.dataset} by {wildcards.decision} (seed {wildcards.seed})"
    shell:
        "python -m meddiff metrics --predictions {input.predictions:q} {params.validation:q}"
        " --params {params.settings:q} --out {output.metrics:q} > {log:q} 2>&1"


use rule compute_metrics as compute_vote_metrics with:
    input:
        predictions=f"{RESULTS}/{VOTES}/predictions/{{decision}}.csv",
        validation=SCORING.validation_scores,
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
