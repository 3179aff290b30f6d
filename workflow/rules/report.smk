TABLES = expand(
    f"{RESULTS}/tables/{{kind}}.{{suffix}}",
    kind=["comparison", "metrics"]
    + (["published"] if CONFIG.experiment.published and scoring_runs() else []),
    suffix=["csv", "md", "tex"],
)
METRICS = f"{RESULTS}/metrics.json"
FIGURES = expand(
    f"{RESULTS}/figures/{{kind}}.{{suffix}}",
    kind=["uncertainty"] + (["method"] if drawable_runs() else []),
    suffix=["csv", "png", "pdf"],
)


rule make_comparison_table:
    input:
        predictions=[prediction_file(run) for run in decision_runs()],
        code=code_of("meddiff.evaluate.make_table", "meddiff.artifacts.render"),
    output:
        csv=f"{RESULTS}/tables/comparison.csv",
        md=report(
            f"{RESULTS}/tables/comparison.md",
            caption="../report/comparison.rst",
            category="Tables",
        ),
        tex=f"{RESULTS}/tables/comparison.tex",
    log:
        f"{LOGS}/tables/comparison.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        settings=comparison_settings,
    message:
        "Comparing the diffusion classifiers with the best baseline"
    shell:
        "python -m meddiff table --kind comparison --params {params.settings:q} --predictions {input.predictions:q}"
        " --out-csv {output.csv:q} --out-md {output.md:q} --out-tex {output.tex:q} > {log:q} 2>&1"


rule make_metrics_table:
    input:
        metrics=[metrics_file(run) for run in decision_runs()],
        code=code_of("meddiff.evaluate.make_table", "meddiff.artifacts.render"),
    output:
        csv=f"{RESULTS}/tables/metrics.csv",
        md=report(
            f"{RESULTS}/tables/metrics.md",
            caption="../report/metrics.rst",
            category="Tables",
        ),
        tex=f"{RESULTS}/tables/metrics.tex",
    log:
        f"{LOGS}/tables/metrics.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        settings=metrics_table_settings,
    message:
        "Collecting all metrics"
    shell:
        "python -m meddiff table --kind metrics --params {params.settings:q} --metrics {input.metrics:q}"
        " --out-csv {output.csv:q} --out-md {output.md:q} --out-tex {output.tex:q} > {log:q} 2>&1"


rule collect_metrics:
    input:
        table=f"{RESULTS}/tables/metrics.csv",
        code=code_of("meddiff.evaluate.metrics_tree"),
    output:
        metrics=f"{RESULTS}/metrics.json",
    log:
        f"{LOGS}/tables/collect.log",
    conda:
        "../../envs/cpu.yaml"
    message:
        "Collecting all metrics in one file"
    shell:
        "python -m meddiff collect --table {input.table:q} --out {output.metrics:q} > {log:q} 2>&1"


if CONFIG.experiment.published and scoring_runs():

    rule make_published_table:
        input:
            figures=expand(f"{RESULTS}/figures/{{kind}}.csv", kind=["step_ablation", "uncertainty"]),
            code=code_of("meddiff.evaluate.published", "meddiff.artifacts.render"),
        output:
            csv=f"{RESULTS}/tables/published.csv",
            md=report(
                f"{RESULTS}/tables/published.md",
                caption="../report/published.rst",
                category="Tables",
            ),
            tex=f"{RESULTS}/tables/published.tex",
        log:
            f"{LOGS}/tables/published.log",
        conda:
            "../../envs/cpu.yaml"
        params:
            settings=published_settings,
        message:
            "Comparing the curves with the published ones"
        shell:
            "python -m meddiff table --kind published --params {params.settings:q} --figures {input.figures:q}"
            " --out-csv {output.csv:q} --out-md {output.md:q} --out-tex {output.tex:q} > {log:q} 2>&1"


rule plot_uncertainty:
    input:
        predictions=[prediction_file(run) for run in uncertainty_runs()],
        code=code_of("meddiff.evaluate.make_figure"),
    output:
        csv=f"{RESULTS}/figures/uncertainty.csv",
        png=report(
            f"{RESULTS}/figures/uncertainty.png",
            caption="../report/uncertainty.rst",
            category="Figures",
        ),
        pdf=f"{RESULTS}/figures/uncertainty.pdf",
    log:
        f"{LOGS}/figures/uncertainty.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        settings=uncertainty_settings,
    message:
        "Drawing accuracy against the share of uncertain images removed"
    shell:
        "python -m meddiff figure --kind uncertainty --params {params.settings:q}"
        " --predictions {input.predictions:q} --out-csv {output.csv:q} --out-png {output.png:q}"
        " --out-pdf {output.pdf:q} > {log:q} 2>&1"


if drawable_runs():

    rule plot_method:
        input:
            errors=errors_file(method_run()),
            manifest=f"{method_store()}/manifest.json",
            images=ancient(f"{method_store()}/test.npy"),
            code=code_of("meddiff.evaluate.method"),
        output:
            csv=f"{RESULTS}/figures/method.csv",
            png=report(
                f"{RESULTS}/figures/method.png",
                caption="../report/method.rst",
                category="Figures",
            ),
            pdf=f"{RESULTS}/figures/method.pdf",
        log:
            f"{LOGS}/figures/method.log",
        conda:
            "../../envs/cpu.yaml"
        params:
            settings=method_settings,
            store=subpath(input.manifest, parent=True),
        message:
            "Drawing how one image is decided"
        shell:
            "python -m meddiff figure --kind method --params {params.settings:q} --errors {input.errors:q}"
            " --store {params.store:q} --out-csv {output.csv:q} --out-png {output.png:q} --out-pdf {output.pdf:q}"
            " > {log:q} 2>&1"
