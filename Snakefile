from snakemake.utils import min_version

min_version("9.8")


configfile: "config/config.yaml"


include: "workflow/rules/common.smk"


# Used with `--software-deployment-method apptainer` only.
container: CONFIG.container


wildcard_constraints:
    dataset=one_of(CONFIG.known_datasets),
    model=one_of(CONFIG.every_model()),
    seed=r"\d+",
    elsewhere=f"({ANY_ELSEWHERE})?",
    votes=r"\d+",
    size=r"\d+(-crop)?",
    decision=one_of([*EXPERIMENT.settings.score.decisions, *BASELINE_DECISIONS]),
    split="test|valid|shifted",
    decided=r"[\w-]+/\w+/seed\d+(/tested_on/\w+)?(/votes\d+)?",
    further="valid|shifted|uniform|low_discrepancy|antithetic",


include: "workflow/rules/data.smk"
include: "workflow/rules/weights.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/stable_diffusion.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/artifacts.smk"
include: "workflow/rules/explain.smk"
include: "workflow/rules/localise.smk"
include: "workflow/rules/writing.smk"
include: "workflow/rules/report.smk"


localrules:
    all,
    datasets,
    weights,
    predictions,


KEPT = [
    *OUTPUTS.datasets(),
    *OUTPUTS.strata(),
    *OUTPUTS.weights(),
    *OUTPUTS.predictions(),
    METRICS,
    *REPORTED,
    *OUTPUTS.report(),
]


include: "workflow/rules/start.smk"


rule all:
    default_target: True
    input:
        KEPT,


rule datasets:
    input:
        OUTPUTS.datasets(),


rule weights:
    input:
        OUTPUTS.datasets(),
        OUTPUTS.weights(),


rule predictions:
    input:
        OUTPUTS.datasets(),
        OUTPUTS.weights(),
        OUTPUTS.predictions(),
