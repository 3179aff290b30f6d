FIGURES = expand(
    f"{RESULTS}/figures/method.{{suffix}}", suffix=["csv", "png", "pdf"] if drawable_runs() else []
)


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
