# What is looked at when a run starts, before Snakemake deletes anything.


def look_before_planning():
    """What would go unnoticed in the plan."""
    # Snakemake's own message about a folder in use advises --unlock.
    if said := running.advice():
        logger.warning(said)
    running.announce()
    # Files that the user names and no job makes. Snakemake would say nothing where one is missing: it leaves out
    # a job whose input cannot be had, if the outputs are there, and everything before that job with it.
    missed = [
        s for s in sources(CONFIG) if not s.is_there() and not is_spared(CONFIG.results_name, s.path, s.made)
    ]
    if missed:
        raise WorkflowError("\n".join(f"{s.key}: {s.path}: there is no such file" for s in missed))
    # Not while another run may be between a file and its record.
    if not running.others():
        reported = [*REPORTED, METRICS]
        mark_doubtful([*DATASETS, *STRATA, *WEIGHTS, *PREDICTIONS, *reported])
    # Those who read these files check them, and their content is tracked: what is edited is used.
    for path in edited(f"splits/{name}/{split}.csv" for name in CONFIG.datasets for split in SPLITS):
        logger.warning(
            f"{path}: was edited since it was drawn, and results are made from it as it is. Splits of your own are "
            "named in the dataset's file: `split: {kind: files, ...}`."
        )


def due_training(job, made):
    """A training job that is due, for ``meddiff approve``; `made` are the outputs of all jobs that are due."""
    dataset, model = job.wildcards.get("dataset"), job.wildcards.model
    datasets = [dataset] if dataset else list(CONFIG.datasets)
    settings = json.loads(job.params.settings)
    manifests = [f"{training_store(name, model)}/manifest.json" for name in datasets]
    pretrained = optional_pretrained_manifest(job.wildcards)
    run = f"{dataset or 'joint'}/{model}/seed{job.wildcards.seed}"
    return {
        **settings,
        "run": run,
        "decision": CONFIG.decisions.of(run),
        "weights": f"{RESULTS}/{run}/weights",
        "num_classes": sum(len(CONFIG.datasets[name].classes) for name in datasets),
        "channels": CONFIG.datasets[datasets[0]].channels,
        "image_size": image_size(datasets[0], model),
        "stores": None if made.intersection(manifests) else [os.path.dirname(path) for path in manifests],
        "pretrained": next((os.path.dirname(path) for path in pretrained if path not in made), None),
    }


def approve_due_trainings():
    """Stop the run where published weights would be trained again, and keep those that are there."""
    jobs = list(workflow.dag.needrun_jobs())
    made = {str(file) for job in jobs for file in job.output}
    due = [due_training(job, made) for job in jobs if job.rule.name in ("train_model", "train_joint_model")]
    if not due:
        return
    command = [sys.executable, "-m", "meddiff", "approve", "--experiment", CONFIG.results_name, "-"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([SOURCE, os.environ.get("PYTHONPATH", "")])}
    if subprocess.run(command, input=json.dumps(due), text=True, env=environment).returncode:
        raise WorkflowError("Nothing was changed. See above.")


def check_cluster():
    """Stop where jobs are to be submitted and there is nothing to submit them with."""
    if workflow.executor_plugin.name == "slurm" and shutil.which("sbatch") is None:
        raise WorkflowError(
            "There is no Slurm here (no sbatch on PATH): start this on the login node of the cluster, or leave out "
            "--profile slurm to run on this machine. Nothing was changed."
        )
