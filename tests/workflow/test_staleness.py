"""What reruns after an edit: exactly what depends on it."""

from __future__ import annotations

import pytest
import yaml
from PIL import Image

pytestmark = pytest.mark.slow

REPORT = {
    "make_classification_table": 1,
    "make_comparison_table": 1,
    "make_leaks_table": 1,
    "make_metrics_table": 1,
    "collect_metrics": 1,
    "plot_uncertainty": 1,
    "plot_decision_curve": 1,
    "plot_surest_errors_small_chest": 1,
    "collect_cases": 1,
    "write_methods": 1,
    "make_report": 1,
}
TRAINING = {"train_model": 1}
FROM_ERRORS = {"plot_step_ablation": 1, "make_efficiency_table": 1, "plot_efficiency": 1}
ONE_DIFFUSION_MODEL = {
    "score_shard": 2,
    "gather_errors": 1,
    "vote": 2,
    "decide": 2,
    "compute_vote_metrics": 2,
    **FROM_ERRORS,
    **REPORT,
}


def test_nothing_after_a_finished_run(finished):
    assert finished.planned() == {}


def test_nothing_after_touching_every_file(project):
    for path in project.folder.rglob("*"):
        if path.is_file() and not {".snakemake", "results", "data"} & set(path.parts):
            path.touch()
    assert project.planned() == {}


def test_nothing_after_reformatting_yaml(project):
    for path in project.folder.glob("config/**/*.yaml"):
        text = yaml.safe_dump(yaml.safe_load(path.read_text()), indent=4, sort_keys=True)
        path.write_text(f"# reformatted\n{text}")
    assert project.planned() == {}


def test_colour_of_one_figure(project):
    project.edit_yaml(
        "config/experiments/smallest.yaml", figures={"step_ablation": {"colors": ["#000000", "#777777"]}}
    )
    assert project.planned() == {"plot_step_ablation": 1, "make_report": 1}


def test_learning_rate_of_one_model(project):
    project.edit_yaml("config/models/small_unet.yaml", train={"lr": 2e-3})
    assert project.planned() == {**TRAINING, **ONE_DIFFUSION_MODEL}


def test_learning_rate_of_the_model_in_the_method_figure(project):
    project.edit_yaml("config/models/small_dit.yaml", train={"lr": 2e-3})
    assert project.planned() == {
        **TRAINING,
        **ONE_DIFFUSION_MODEL,
        "plot_method": 1,
    }


def test_learning_rate_of_a_baseline(project):
    project.edit_yaml("config/models/small_resnet.yaml", train={"lr": 2e-3})
    assert project.planned() == {
        **TRAINING,
        "predict_baseline": 1,
        "decide": 1,
        "compute_metrics": 1,
        **REPORT,
    }


def test_number_of_steps(project):
    project.edit_yaml("config/experiments/smallest.yaml", score={"steps": 5})
    both = {rule: 2 * count for rule, count in ONE_DIFFUSION_MODEL.items()}
    assert project.planned() == {**both, **FROM_ERRORS, "plot_method": 1, **REPORT}


def test_title_of_a_model(project):
    """A name that is only shown retrains nothing."""
    project.edit_yaml("config/models/small_unet.yaml", title="UNet, small")
    assert set(project.planned()) == {*REPORT, *FROM_ERRORS}


def test_module_of_one_network(project):
    path = project.folder / "workflow/src/meddiff/networks/dit.py"
    path.write_text(path.read_text() + "\n# an edit\n")
    assert project.planned() == {
        **TRAINING,
        **ONE_DIFFUSION_MODEL,
        "plot_method": 1,
    }
    path.write_text(path.read_text().removesuffix("\n# an edit\n"))
    assert project.planned() == {}


def test_one_row_of_a_split(project):
    """A split row decides what is stored, so everything from there on is stale."""
    path = project.folder / "splits/small_chest/test.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    planned = project.planned()
    assert planned["build_store"] == 1
    assert planned["train_model"] == 3
    assert "fetch_dataset" not in planned


def test_one_edited_image(project):
    """Everything is made from the images, so everything is stale; a touched image changes nothing."""
    images = sorted(project.folder.glob("data/small_chest/raw/**/*.jpg"))
    for path in images:
        path.touch()
    assert project.planned() == {}
    original = images[7].read_bytes()
    Image.open(images[7]).rotate(180).save(images[7])
    planned = project.planned()
    assert planned["validate_dataset"] == planned["split_dataset"] == planned["build_store"] == 1
    assert planned["train_model"] == 3
    assert "fetch_dataset" not in planned  # which would generate the phantom anew
    images[7].write_bytes(original)
    assert project.planned() == {}


def test_a_moved_folder_of_images(project, tmp_path):
    """Where a user's images lie is no setting of any rule: moving them makes nothing stale."""
    source, elsewhere = project.folder / "data/small_chest/raw", tmp_path / "images"
    document = yaml.safe_load((project.folder / "config/datasets/small_chest.yaml").read_text())
    document["source"] = {"kind": "local"}
    (project.folder / "config/datasets/small_chest.yaml").write_text(yaml.safe_dump(document))
    project.snakemake("datasets", "--config", f"root_small_chest={source}")
    source.rename(elsewhere)
    assert project.planned("datasets", "--config", f"root_small_chest={elsewhere}") == {}


def test_new_metrics_settings_need_no_network(project):
    project.edit_yaml("config/experiments/smallest.yaml", evaluate={"bootstrap_samples": 200})
    planned = project.planned()
    assert (planned["compute_metrics"], planned["compute_vote_metrics"]) == (1, 4)
    assert not {"train_model", "score_shard", "predict_baseline", "vote"} & set(planned)
