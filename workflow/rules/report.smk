# The report is made from tables, figures and predictions; what else it shows, and why that is no input, say
# `Reporting` and `Cases`.
REPORTING = Reporting(EXPERIMENT, ARTIFACTS)
CASES = Cases(EXPERIMENT)


# What the page shows of every test image; beside it, since a page with thousands of pictures would not open.
rule collect_cases:
    input:
        **CASES.files(),
        images=ancient(CASES.images()),
        code=code_of("meddiff.cases.collect"),
    output:
        # It has the checksum of every file in the folder, so it is what the page tracks.
        index=cases_of(EXPERIMENT)[0],
        folder=directory(cases_of(EXPERIMENT)[1]),
    log:
        f"{LOGS}/cases.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        settings=CASES.settings,
    message:
        "Collecting the cases of the report"
    shell:
        "python -m meddiff cases --params {params.settings:q} --out {output.index:q}"
        " --out-folder {output.folder:q} > {log:q} 2>&1"


rule make_report:
    input:
        **REPORTING.files(),
        cases=cases_of(EXPERIMENT)[0],
        folder=ancient(cases_of(EXPERIMENT)[1]),
        written=written(EXPERIMENT),
        assets=asset_files("reporting", "cases", "writing"),
        code=code_of("meddiff.reporting.parts", "meddiff.cases.part", "meddiff.writing.part"),
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
        "python -m meddiff report --params {params.settings:q} {params.inputs:q}"
        " --cases {input.cases:q} --written {input.written:q} --out {output.page:q} > {log:q} 2>&1"
