# Tables and figures: all that is said about one is in its module in meddiff/artifacts.
ARTIFACTS = planned(EXPERIMENT)
REPORTED = [output for artifact in ARTIFACTS for output in artifact.outputs(RESULTS)]


for artifact in ARTIFACTS:

    rule:
        name:
            artifact.rule
        input:
            **artifact.wanted.files,
            behind=ancient(list(artifact.wanted.behind)),
            code=code_of(*artifact_code(artifact.name)),
        output:
            csv=artifact.outputs(RESULTS)[0],
            shown=report(
                artifact.outputs(RESULTS)[1],
                caption="../report/artifact.rst",
                category=artifact.category,
            ),
            paper=artifact.outputs(RESULTS)[2],
        log:
            f"{LOGS}/{artifact.stem}.log",
        conda:
            "../../envs/cpu.yaml"
        resources:
            mem_mb=4000,
            runtime=60,
        params:
            settings=artifact.params,
            inputs=artifact.inputs,
            caption=artifact.caption,
            name=artifact.name,
        message:
            artifact.artifact.message
        shell:
            "python -m meddiff artifact {params.name:q} --params {params.settings:q} {params.inputs:q}"
            " --out {output:q} > {log:q} 2>&1"
