# Only errors of all steps can be replayed: nothing is made where scoring stops early.
EFFICIENCY = [
    *expand(f"{RESULTS}/tables/efficiency.{{suffix}}", suffix=["csv", "md", "tex"]),
    *expand(f"{RESULTS}/figures/efficiency.{{suffix}}", suffix=["csv", "png", "pdf"]),
]
if stops_early() or not scoring_runs():
    EFFICIENCY = []


if EFFICIENCY:

    rule make_efficiency_table:
        input:
            errors=[errors_file(run) for run in scoring_runs()],
            validation=[
                further_errors_file(run, VALIDATION)
                for run in scoring_runs()
                if CONFIG.experiment.score.weights
            ],
            variants=[
                further_errors_file(run, levels)
                for run in scoring_runs()
                for levels in CONFIG.experiment.score.compare_levels
            ],
            code=code_of("meddiff.evaluate.make_efficiency", "meddiff.artifacts.render"),
        output:
            csv=f"{RESULTS}/tables/efficiency.csv",
            md=report(
                f"{RESULTS}/tables/efficiency.md",
                caption="../report/efficiency.rst",
                category="Tables",
            ),
            tex=f"{RESULTS}/tables/efficiency.tex",
        log:
            f"{LOGS}/tables/efficiency.log",
        conda:
            "../../envs/cpu.yaml"
        resources:
            mem_mb=4000,
            runtime=60,
        params:
            settings=efficiency_settings,
        message:
            "Replaying stopping rules from the errors of all steps"
        shell:
            "python -m meddiff table --kind efficiency --params {params.settings:q} --errors {input.errors:q}"
            " --validation {input.validation:q} --variants {input.variants:q}"
            " --out-csv {output.csv:q} --out-md {output.md:q} --out-tex {output.tex:q} > {log:q} 2>&1"

    rule plot_efficiency:
        input:
            table=f"{RESULTS}/tables/efficiency.csv",
            code=code_of("meddiff.evaluate.make_efficiency"),
        output:
            csv=f"{RESULTS}/figures/efficiency.csv",
            png=report(
                f"{RESULTS}/figures/efficiency.png",
                caption="../report/efficiency_figure.rst",
                category="Figures",
            ),
            pdf=f"{RESULTS}/figures/efficiency.pdf",
        log:
            f"{LOGS}/figures/efficiency.log",
        conda:
            "../../envs/cpu.yaml"
        params:
            settings=efficiency_figure_settings,
        message:
            "Drawing accuracy against network passes"
        shell:
            "python -m meddiff figure --kind efficiency --params {params.settings:q} --table {input.table:q}"
            " --out-csv {output.csv:q} --out-png {output.png:q} --out-pdf {output.pdf:q} > {log:q} 2>&1"
