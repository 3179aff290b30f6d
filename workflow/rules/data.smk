# Downloads: on many clusters only the machine that Snakemake runs on reaches the network.
localrules:
    fetch_dataset,
    fetch_splits,


rule fetch_dataset:
    input:
        code=code_of("meddiff.data.obtain.fetch"),
    output:
        manifest="data/{dataset}/raw.json",
    log:
        "logs/data/{dataset}/fetch.log",
    conda:
        "../../envs/cpu.yaml"
    threads: 4
    resources:
        mem_mb=2000,
        runtime=240,
        root=DATA.image_root,
    params:
        settings=DATA.settings(FetchParams),
    message:
        "Making the images of {wildcards.dataset} available"
    shell:
        "python -m meddiff fetch --dataset {wildcards.dataset:q} --params {params.settings:q}"
        " --root {resources.root:q} --threads {threads:q} --manifest {output.manifest:q} > {log:q} 2>&1"


# Checksums in the configuration decide what the copies are, so neither code nor places are tracked. The images
# come first (and make nothing stale here) because a package may have the files.
rule fetch_splits:
    input:
        manifest=ancient("data/{dataset}/raw.json"),
    output:
        train="data/{dataset}/official/train.csv",
        valid="data/{dataset}/official/valid.csv",
        test="data/{dataset}/official/test.csv",
    log:
        "logs/data/{dataset}/fetch-splits.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
        root=DATA.image_root,
        splits_root=DATA.splits_root,
        url=DATA.splits_url,
    params:
        settings=DATA.settings(OfficialParams),
        out=subpath(output.train, parent=True),
    message:
        "Finding the published splits of {wildcards.dataset}"
    shell:
        "python -m meddiff getsplits --dataset {wildcards.dataset:q} --params {params.settings:q}"
        " --root {resources.root:q} --splits-root {resources.splits_root:q} --url {resources.url:q}"
        " --out-dir {params.out:q} > {log:q} 2>&1"


rule validate_dataset:
    input:
        manifest="data/{dataset}/raw.json",
        official=DATA.official_splits,
        code=code_of("meddiff.data.validate"),
    output:
        table="data/{dataset}/table.csv",
        flow="data/{dataset}/flow.json",
    log:
        "logs/data/{dataset}/validate.log",
    conda:
        "../../envs/cpu.yaml"
    # All there are; on a cluster as slurm/config.yaml says.
    threads: workflow.cores or 8
    resources:
        mem_mb=4000,
        runtime=60,
        root=DATA.image_root,
    params:
        settings=DATA.settings(ValidateParams),
    message:
        "Checking every image and label of {wildcards.dataset}"
    shell:
        "python -m meddiff validate --params {params.settings:q} --manifest {input.manifest:q}"
        " --root {resources.root:q} --official data/{wildcards.dataset:q}/official --table {output.table:q}"
        " --flow {output.flow:q} --threads {threads:q} > {log:q} 2>&1"


rule split_dataset:
    input:
        table=DATA.on_disk("table.csv"),
        given=DATA.given_splits,
        official=DATA.official_splits,
        code=code_of("meddiff.data.splitting.splits", "meddiff.data.splitting.balance"),
    output:
        train="splits/{dataset}/train.csv",
        valid="splits/{dataset}/valid.csv",
        test="splits/{dataset}/test.csv",
        origin="splits/{dataset}/origin.json",
    log:
        "logs/data/{dataset}/split.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        settings=DATA.settings(SplitParams),
        out=subpath(output.train, parent=True),
    message:
        "Splitting {wildcards.dataset} into train, valid and test"
    shell:
        "python -m meddiff split --params {params.settings:q} --table {input.table:q}"
        " --official data/{wildcards.dataset:q}/official --out-dir {params.out:q} > {log:q} 2>&1"


# First of what is ready, since it may refuse the splits, and then no other job starts. The store has no input of it, not
# even an ancient one: while this job is due, Snakemake would see no other reason to make the store. What it refuses
# makes nothing stale, for then the files before stay (`update`).
rule find_leaks:
    input:
        table=DATA.on_disk("table.csv"),
        train="splits/{dataset}/train.csv",
        valid="splits/{dataset}/valid.csv",
        test="splits/{dataset}/test.csv",
        groups=DATA.leak_groups,
        code=code_of("meddiff.data.leaks.report"),
    output:
        leaks=update("splits/{dataset}/leaks.csv"),
        shared=update("splits/{dataset}/shared.csv"),
    log:
        "logs/data/{dataset}/leaks.log",
    priority: 100
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        settings=DATA.settings(LeaksParams),
        splits=subpath(input.train, parent=True),
        out=subpath(output.leaks, parent=True),
    message:
        "Looking for what the splits of {wildcards.dataset} share"
    shell:
        "python -m meddiff leaks --params {params.settings:q} --table {input.table:q}"
        " --splits-dir {params.splits:q} --out-dir {params.out:q} > {log:q} 2>&1"


rule build_store:
    input:
        manifest=DATA.on_disk("raw.json"),
        train="splits/{dataset}/train.csv",
        valid="splits/{dataset}/valid.csv",
        test="splits/{dataset}/test.csv",
        code=code_of("meddiff.data.stores.build"),
    output:
        manifest="data/{dataset}/store/{size}/manifest.json",
        index="data/{dataset}/store/{size}/index.parquet",
        arrays=expand("data/{{dataset}}/store/{{size}}/{split}.npy", split=["train", "valid", "test"]),
    log:
        "logs/data/{dataset}/store-{size}.log",
    conda:
        "../../envs/cpu.yaml"
    threads: workflow.cores or 8
    resources:
        mem_mb=8000,
        runtime=120,
        root=DATA.image_root,
    params:
        settings=DATA.settings(StoreParams),
        splits=subpath(input.train, parent=True),
        out=subpath(output.manifest, parent=True),
    message:
        "Decoding and resizing {wildcards.dataset} to {wildcards.size} px"
    shell:
        "python -m meddiff store --params {params.settings:q} --size {wildcards.size:q}"
        " --splits-dir {params.splits:q} --root {resources.root:q} --out-dir {params.out:q}"
        " --threads {threads:q} > {log:q} 2>&1"


# Images unlike those of a dataset, to try scores of that on.
if SHIFTS.datasets():

    rule shift_images:
        input:
            manifests=DATA.shifted_from,
            arrays=ancient(DATA.shifted_arrays),
            code=code_of("meddiff.data.stores.shifted"),
        output:
            manifest=f"{RESULTS}/{{dataset}}/shifted/{{size}}/manifest.json",
            index=f"{RESULTS}/{{dataset}}/shifted/{{size}}/index.parquet",
            array=f"{RESULTS}/{{dataset}}/shifted/{{size}}/shifted.npy",
        log:
            f"{LOGS}/{{dataset}}/shifted-{{size}}.log",
        wildcard_constraints:
            dataset=one_of(SHIFTS.datasets()),
        conda:
            "../../envs/cpu.yaml"
        resources:
            mem_mb=4000,
            runtime=60,
        params:
            settings=DATA.shift_settings,
            stores=lambda wildcards, input: folders_of(input.manifests),
            out=subpath(output.manifest, parent=True),
        message:
            "Making images unlike those of {wildcards.dataset}"
        shell:
            "python -m meddiff shift --params {params.settings:q} --stores {params.stores:q}"
            " --out-dir {params.out:q} > {log:q} 2>&1"


# What the table of participants shows.
rule describe_participants:
    input:
        train="splits/{dataset}/train.csv",
        valid="splits/{dataset}/valid.csv",
        test="splits/{dataset}/test.csv",
        manifest=DATA.on_disk("raw.json"),
        code=code_of("meddiff.data.participants"),
    output:
        participants="data/{dataset}/participants.csv",
    log:
        "logs/data/{dataset}/describe.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
        root=DATA.image_root,
    params:
        settings=DATA.settings(DescribeParams),
        splits=subpath(input.train, parent=True),
    message:
        "Counting the images and people of {wildcards.dataset}"
    shell:
        "python -m meddiff describe --params {params.settings:q} --splits-dir {params.splits:q}"
        " --root {resources.root:q} --manifest {input.manifest:q} --out {output.participants:q}"
        " > {log:q} 2>&1"


# Strata are what the audit of shortcuts needs.
if EXPERIMENT.audited_datasets():

    rule stratify:
        input:
            train="splits/{dataset}/train.csv",
            valid="splits/{dataset}/valid.csv",
            test="splits/{dataset}/test.csv",
            manifest=DATA.on_disk("raw.json"),
            code=code_of("meddiff.data.strata"),
        output:
            strata="data/{dataset}/strata.csv",
        log:
            "logs/data/{dataset}/stratify.log",
        wildcard_constraints:
            dataset=one_of(EXPERIMENT.audited_datasets()),
        conda:
            "../../envs/cpu.yaml"
        resources:
            mem_mb=2000,
            runtime=30,
            root=DATA.image_root,
        params:
            settings=DATA.settings(StratifyParams),
            splits=subpath(input.train, parent=True),
        message:
            "Finding the stratum of every image of {wildcards.dataset}"
        shell:
            "python -m meddiff stratify --params {params.settings:q} --splits-dir {params.splits:q}"
            " --root {resources.root:q} --manifest {input.manifest:q} --out {output.strata:q} > {log:q} 2>&1"
