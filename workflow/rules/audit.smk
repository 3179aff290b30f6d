AUDIT = [
    *expand(f"{RESULTS}/tables/audit.{{suffix}}", suffix=["csv", "md", "tex"]),
    *expand(f"{RESULTS}/figures/audit.{{suffix}}", suffix=["csv", "png", "pdf"]),
]
if not audited_datasets():
    AUDIT = []


if audited_datasets():

    rule stratify:
        input:
            train="splits/{dataset}/train.csv",
            valid="splits/{dataset}/valid.csv",
            test="splits/{dataset}/test.csv",
            manifest="data/{dataset}/raw.json",
            code=code_of("meddiff.data.strata"),
        output:
            strata="data/{dataset}/strata.csv",
        log:
            "logs/data/{dataset}/stratify.log",
        wildcard_constraints:
            dataset="|".join(audited_datasets()),
        conda:
            "../../envs/cpu.yaml"
        resources:
            mem_mb=2000,
            runtime=30,
            root=image_root,
        params:
            settings=dataset_slice(data_params.StratifyParams),
            splits=subpath(input.train, parent=True),
        message:
            "Finding the stratum of every image of {wildcards.dataset}"
        shell:
            "python -m meddiff stratify --params {params.settings:q} --splits-dir {params.splits:q}"
            " --root {resources.root:q} --manifest {input.manifest:q} --out {output.strata:q} > {log:q} 2>&1"

    rule make_audit_table:
        input:
            predictions=[prediction_file(run) for run in audited_runs()],
            strata=expand("data/{dataset}/strata.csv", dataset=audited_datasets()),
            code=code_of("meddiff.evaluate.make_audit", "meddiff.artifacts.render"),
        output:
            csv=f"{RESULTS}/tables/audit.csv",
            md=report(
                f"{RESULTS}/tables/audit.md",
                caption="../report/audit.rst",
                category="Tables",
            ),
            tex=f"{RESULTS}/tables/audit.tex",
        log:
            f"{LOGS}/tables/audit.log",
        conda:
            "../../envs/cpu.yaml"
        params:
            settings=audit_settings,
        message:
            "Auditing shortcuts: accuracy by stratum"
        shell:
            "python -m meddiff table --kind audit --params {params.settings:q} --predictions {input.predictions:q}"
            " --strata {input.strata:q} --out-csv {output.csv:q} --out-md {output.md:q} --out-tex {output.tex:q}"
            " > {log:q} 2>&1"

    rule plot_audit:
        input:
            table=f"{RESULTS}/tables/audit.csv",
            code=code_of("meddiff.evaluate.make_audit"),
        output:
            csv=f"{RESULTS}/figures/audit.csv",
            png=report(
                f"{RESULTS}/figures/audit.png",
                caption="../report/audit_figure.rst",
                category="Figures",
            ),
            pdf=f"{RESULTS}/figures/audit.pdf",
        log:
            f"{LOGS}/figures/audit.log",
        conda:
            "../../envs/cpu.yaml"
        params:
            settings=audit_figure_settings,
        message:
            "Drawing accuracy where the rule of the strata is right and where it is wrong"
        shell:
            "python -m meddiff figure --kind audit --params {params.settings:q} --table {input.table:q}"
            " --out-csv {output.csv:q} --out-png {output.png:q} --out-pdf {output.pdf:q} > {log:q} 2>&1"
