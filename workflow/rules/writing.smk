# For the paper that one writes, light: from tables and the configuration.
WRITING = Writing(EXPERIMENT, ARTIFACTS)


rule write_methods:
    input:
        **WRITING.files(),
        code=code_of("meddiff.writing.methods", "meddiff.writing.checklists"),
    output:
        methods=written(EXPERIMENT)[0],
        references=written(EXPERIMENT)[1],
        checklists=written(EXPERIMENT)[2],
    log:
        f"{LOGS}/methods.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        settings=WRITING.params,
        inputs=WRITING.inputs,
    message:
        "Drafting methods and filling in check lists"
    shell:
        "python -m meddiff methods --params {params.settings:q} {params.inputs:q} --methods {output.methods:q}"
        " --references {output.references:q} --checklists {output.checklists:q} > {log:q} 2>&1"
