# Weights that are not trained here: those that training begins from, and those the authors released.
# What downloads is a local rule: compute nodes often have no way out. The rules do not name their code: what
# they make is judged by the checksums in its manifest, and an edit of a downloader must not retrain a model.

if CONFIG.weights.hub():

    rule fetch_pretrained:
        output:
            manifest="data/pretrained/{pretrained}/manifest.json",
        log:
            "logs/pretrained/{pretrained}.log",
        wildcard_constraints:
            pretrained=one_of(CONFIG.weights.hub()),
        retries: 2
        localrule: True
        conda:
            "../../envs/cpu.yaml"
        resources:
            folder=WEIGHTS.hub_folder,
        params:
            settings=WEIGHTS.hub_settings,
            out=subpath(output.manifest, parent=True),
        message:
            "Fetching the pretrained weights {wildcards.pretrained}"
        shell:
            "python -m meddiff pretrained --name {wildcards.pretrained:q} --params {params.settings:q}"
            " --folder {resources.folder:q} --out {params.out:q} > {log:q} 2>&1"


if CONFIG.official_weights and CONFIG.weights.releases():

    rule list_official_weights:
        output:
            listing="data/official/listing.json",
        log:
            "logs/official/listing.log",
        retries: 2
        localrule: True
        conda:
            "../../envs/cpu.yaml"
        resources:
            folder=WEIGHTS.official_folder,
        params:
            folder_id=OFFICIAL_FOLDER_ID,
            files=OFFICIAL_FILES,
        message:
            "Listing the authors' released weights"
        shell:
            "python -m meddiff listing --folder-id {params.folder_id:q} --folder {resources.folder:q}"
            " --files {params.files:q} --out {output.listing:q} > {log:q} 2>&1"

    rule fetch_official_weights:
        input:
            listing=ancient("data/official/listing.json"),
        output:
            manifest="data/official/manifests/{release}.json",
        log:
            "logs/official/{release}.log",
        wildcard_constraints:
            release=one_of(CONFIG.weights.releases()),
        retries: 2
        localrule: True
        conda:
            "../../envs/cpu.yaml"
        resources:
            folder=WEIGHTS.official_folder,
        params:
            settings=WEIGHTS.release_settings,
            files=OFFICIAL_FILES,
            record="data/official/records/{release}.json",
        message:
            "Fetching the released weights {wildcards.release}"
        shell:
            "python -m meddiff released --params {params.settings:q} --listing {input.listing:q}"
            " --folder {resources.folder:q} --files {params.files:q} --record {params.record:q}"
            " --manifest {output.manifest:q} > {log:q} 2>&1"

    rule import_official_weights:
        input:
            manifest=WEIGHTS.release_manifest,
            code=WEIGHTS.importing_code,
        output:
            weights=f"{RESULTS}/{RUN}/weights/model.safetensors",
            config=f"{RESULTS}/{RUN}/weights/config.yaml",
            run=f"{RESULTS}/{RUN}/weights/run.json",
        log:
            f"{LOGS}/{RUN}/import.log",
        wildcard_constraints:
            model=one_of(EXPERIMENT.single_models() + EXPERIMENT.joint_models()),
        conda:
            "../../envs/cpu.yaml"
        resources:
            mem_mb=16000,
            runtime=60,
            folder=WEIGHTS.official_folder,
        params:
            settings=WEIGHTS.imported_settings,
            out=subpath(output.weights, parent=True),
        message:
            "Importing the released weights of {wildcards.model} on {wildcards.dataset} (seed {wildcards.seed})"
        shell:
            "python -m meddiff convert --params {params.settings:q} --folder {resources.folder:q}"
            " --manifest {input.manifest:q} --out {params.out:q} > {log:q} 2>&1"
