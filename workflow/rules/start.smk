# What is looked at when a run starts. Jobs on other machines read this file, too, but the plan is made.
if workflow.is_main_process:
    logger.info(start.announcement(EXPERIMENT), extra={"meddiff_experiment": start.names_of(EXPERIMENT)})
    with told_by_snakemake():
        check_image(CONFIG.container, map(str, workflow.deployment_settings.deployment_method))
        start.refresh_manifests(EXPERIMENT)
        start.look_before_planning(EXPERIMENT, KEPT, logger.warning)


# Before Snakemake deletes anything: a job that starts loses its outputs.
onstart:
    with told_by_snakemake():
        start.check_cluster(workflow.executor_plugin.name)
        start.approve_due_trainings(EXPERIMENT, workflow.dag.needrun_jobs())
