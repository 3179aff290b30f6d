# The report is made from tables and figures; what else it shows, and why that is no input, says `Reporting`.
REPORTING = Reporting(EXPERIMENT, ARTIFACTS)


rule make_report:
    input:
        **REPORTING.files(),
        assets=asset_files("reporting"),
        code=code_of("meddiff.reporting.parts"),
    output:
        page=report(page_of(EXPERIMENT), caption="../report/artifact.rst", category="Report"),
    log:
        f"{LOGS}/report.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=REPORTING.params,
        inputs=REPORTING.inputs,
        caption=REPORTING.caption,
    message:
        "Making the report"
    shell:
        "python -m meddiff report --params {params.settings:q} {params.inputs:q} --out {output.page:q}"
        " > {log:q} 2>&1"
