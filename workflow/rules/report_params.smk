# What metrics take from the configuration.


def metrics_settings(wildcards):
    run = {"dataset": wildcards.dataset, "model": wildcards.model, "seed": int(wildcards.seed)}
    if "votes" in wildcards.keys():
        run["votes"] = int(wildcards.votes)
    return to_json({**run, "decision": wildcards.decision, **resampling()})


def resampling():
    """How intervals are made."""
    evaluate = CONFIG.experiment.evaluate
    return {
        "bootstrap_samples": evaluate.bootstrap_samples,
        "confidence": evaluate.confidence,
        "bootstrap_seed": evaluate.seed,
    }
