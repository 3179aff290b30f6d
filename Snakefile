from snakemake.utils import min_version

min_version("9.8")


configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/params.smk"
include: "workflow/rules/weight_params.smk"
include: "workflow/rules/report_params.smk"
include: "workflow/rules/explain_params.smk"
include: "workflow/rules/outputs.smk"
include: "workflow/rules/start.smk"


wildcard_constraints:
    dataset="|".join(CONFIG.datasets),
    model="|".join(CONFIG.experiment.models),
    seed=r"\d+",
    votes=r"\d+",
    size=r"\d+(-crop)?",
    decision="majority|mean|softmax",
    further="valid|uniform|low_discrepancy|antithetic",


include: "workflow/rules/data.smk"
include: "workflow/rules/weights.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/stable_diffusion.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/artifacts.smk"
include: "workflow/rules/explain.smk"


localrules:
    all,
    datasets,
    weights,
    predictions,


if workflow.is_main_process:
    look_before_planning()


onstart:
    check_cluster()
    approve_due_trainings()


rule all:
    default_target: True
    input:
        DATASETS,
        STRATA,
        WEIGHTS,
        PREDICTIONS,
        METRICS,
        REPORTED,


rule datasets:
    input:
        DATASETS,


rule weights:
    input:
        DATASETS,
        WEIGHTS,


rule predictions:
    input:
        DATASETS,
        WEIGHTS,
        PREDICTIONS,
