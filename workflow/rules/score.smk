scattergather:
    score=CONFIG.experiment.score.shards,


rule score_shard:
    input:
        weights=f"{RESULTS}/{RUN}/weights/model.safetensors",
        config=f"{RESULTS}/{RUN}/weights/config.yaml",
        manifest=DATA.manifest,
        arrays=ancient(DATA.arrays),
        code=SCORING.code,
    output:
        scored=temp(SCORING.files(f"{RESULTS}/{VOTES}/shards/{{scatteritem}}.nc")),
    log:
        f"{LOGS}/{VOTES}/score-{{scatteritem}}.log",
    benchmark:
        f"{LOGS}/{VOTES}/score-{{scatteritem}}.benchmark.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        gpu=1,
        compute=EXPERIMENT.compute(),
        # Network inputs a pass. It changes no result, so it is a resource (not tracked) and not a param:
        # another number scores nothing again. 0 chooses what fits the device.
        batch_size=0,
        mem_mb=lambda wildcards, attempt: 16000 * attempt,
        runtime=lambda wildcards, attempt: 720 * attempt,
    params:
        settings=SCORING.settings,
        store=subpath(input.manifest, parent=True),
        weights=subpath(input.weights, parent=True),
        split=SCORING.split,
        # Not an input: what was made from the same is taken over, if the file is there.
        earlier=SCORING.files(f"{RESULTS}/{VOTES}/errors.nc"),
    message:
        "Scoring {wildcards.dataset} with {wildcards.model} (seed {wildcards.seed}, votes {wildcards.votes}), shard {wildcards.scatteritem}"
    shell:
        "python -m meddiff score --params {params.settings:q} --weights {params.weights:q} --store {params.store:q}"
        " --split {params.split:q} --shard {wildcards.scatteritem:q} --batch-size {resources.batch_size:q}"
        " --earlier {params.earlier:q}"
        " --threads {threads:q} --compute {resources.compute:q} --out {output.scored:q} > {log:q} 2>&1"


rule gather_errors:
    input:
        shards=SCORING.shards(gather.score, f"{RESULTS}/{VOTES}/shards/{{scatteritem}}.nc"),
        # With params: all that makes the shards stale. They are temporary, so after a failure nothing else
        # would say that this file does not belong to today's settings.
        weights=f"{RESULTS}/{RUN}/weights/model.safetensors",
        config=f"{RESULTS}/{RUN}/weights/config.yaml",
        manifest=DATA.manifest,
        code=SCORING.code,
    output:
        scored=SCORING.files(f"{RESULTS}/{VOTES}/errors.nc"),
    log:
        f"{LOGS}/{VOTES}/gather.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=SCORING.settings,
        store=subpath(input.manifest, parent=True),
        weights=subpath(input.weights, parent=True),
        split=SCORING.split,
    message:
        "Joining the errors of {wildcards.model} on {wildcards.dataset} (seed {wildcards.seed}, votes {wildcards.votes})"
    shell:
        "python -m meddiff gather {input.shards:q} --params {params.settings:q} --weights {params.weights:q} --store {params.store:q} --split {params.split:q}"
        " --out {output.scored:q} > {log:q} 2>&1"


if EXPERIMENT.further_errors():

    ruleorder: score_validation_shard > score_further_shard
    ruleorder: gather_validation_errors > gather_further_errors

    # The test split with other noise levels, for the comparison in `efficiency`, and shifted images.
    use rule score_shard as score_further_shard with:
        output:
            scored=temp(f"{RESULTS}/{VOTES}/shards_{{further}}/{{scatteritem}}.nc"),
        log:
            f"{LOGS}/{VOTES}/score_{{further}}-{{scatteritem}}.log",
        benchmark:
            f"{LOGS}/{VOTES}/score_{{further}}-{{scatteritem}}.benchmark.tsv"
        params:
            earlier=f"{RESULTS}/{VOTES}/errors_{{further}}.nc",
        message:
            "Scoring {wildcards.dataset} ({wildcards.further}) with {wildcards.model} (seed {wildcards.seed}, votes {wildcards.votes}), shard {wildcards.scatteritem}"

    use rule gather_errors as gather_further_errors with:
        input:
            shards=gather.score(
                f"{RESULTS}/{VOTES}/shards_{{further}}/{{scatteritem}}.nc", allow_missing=True
            ),
            weights=f"{RESULTS}/{RUN}/weights/model.safetensors",
            config=f"{RESULTS}/{RUN}/weights/config.yaml",
            manifest=DATA.manifest,
            code=SCORING.code,
        output:
            scored=f"{RESULTS}/{VOTES}/errors_{{further}}.nc",
        log:
            f"{LOGS}/{VOTES}/gather_{{further}}.log",
        message:
            "Joining the errors ({wildcards.further}) of {wildcards.model} on {wildcards.dataset} (seed {wildcards.seed}, votes {wildcards.votes})"

    # The validation split, whose evidence maps are kept too.
    use rule score_further_shard as score_validation_shard with:
        output:
            scored=temp(SCORING.files(f"{RESULTS}/{VOTES}/shards_{{further}}/{{scatteritem}}.nc")),
        wildcard_constraints:
            further=VALIDATION,
        params:
            earlier=SCORING.files(f"{RESULTS}/{VOTES}/errors_{{further}}.nc"),

    use rule gather_further_errors as gather_validation_errors with:
        input:
            shards=SCORING.shards(gather.score, f"{RESULTS}/{VOTES}/shards_{{further}}/{{scatteritem}}.nc"),
            weights=f"{RESULTS}/{RUN}/weights/model.safetensors",
            config=f"{RESULTS}/{RUN}/weights/config.yaml",
            manifest=DATA.manifest,
            code=SCORING.code,
        output:
            scored=SCORING.files(f"{RESULTS}/{VOTES}/errors_{{further}}.nc"),
        wildcard_constraints:
            further=VALIDATION,
