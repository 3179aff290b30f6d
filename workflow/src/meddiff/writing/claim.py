"""CLAIM, the check list for artificial intelligence in medical imaging, in its update of 2024 [@tejani2024].

Numbers are those of the list; what an item asks is said in our words.
"""

from __future__ import annotations

from meddiff.writing import answers
from meddiff.writing.item import Item

TITLE = "CLAIM 2024"
CITES = "tejani2024"

_TEXT, _INTRODUCTION, _DESIGN, _DATA = "Title and abstract", "Introduction", "Study design", "Data"
_REFERENCE, _PARTITIONS, _TESTING = "Reference standard", "Data partitions", "Testing data"
_MODEL, _TRAINING, _EVALUATION = "Model", "Training", "Evaluation"
_RESULTS, _DISCUSSION, _OTHER = "Results", "Discussion", "Other information"

ITEMS = [
    Item("1", _TEXT, "The title says that this is a study of AI, and of which kind", ("identification",)),
    Item("2", _TEXT, "The abstract sums up design, methods, results and conclusions", ("abstract",)),
    Item(
        "3", _INTRODUCTION, "Background, and what the model is to be used for", ("background", "intended_use")
    ),
    Item("4", _INTRODUCTION, "Aims and hypotheses", ("aims",)),
    Item("5", _DESIGN, "Prospective or retrospective", ("design",), needs_people=True),
    Item("6", _DESIGN, "What the study is for: a new model, a comparison, a trial", ("aims", "design")),
    Item("7", _DATA, "Sources of the data", (), answers.sources, ("data", "tables/participants")),
    Item(
        "8",
        _DATA,
        "Who and what was included or excluded",
        ("eligibility",),
        answers.excluded,
        ("tables/flow",),
    ),
    Item(
        "9", _DATA, "What was done to images before a model saw them", (), answers.preprocessing, ("methods",)
    ),
    Item("10", _DATA, "Which part of the data was taken", (), answers.subsets, ("tables/flow",)),
    Item("11", _DATA, "How data were made anonymous", ("deidentification",), needs_people=True),
    Item(
        "12", _DATA, "What was done about missing data", ("missing_data",), answers.missing, ("tables/flow",)
    ),
    Item("13", _DATA, "How images were acquired", ("acquisition",), needs_people=True),
    Item("14", _REFERENCE, "What the reference standard is", ("reference_standard",), answers.reference),
    Item("15", _REFERENCE, "Why this reference standard", ("reference_rationale",), answers.rationale),
    Item(
        "16",
        _REFERENCE,
        "Who annotated, and how qualified",
        ("annotators",),
        needs_people=True,
        why=answers.NOBODY_LABELLED,
    ),
    Item(
        "17",
        _REFERENCE,
        "How the test set was annotated",
        ("test_annotation", "annotators"),
        answers.reference,
    ),
    Item(
        "18",
        _REFERENCE,
        "How far raters agree",
        ("rater_agreement",),
        needs_people=True,
        why=answers.NOBODY_LABELLED,
    ),
    Item("19", _PARTITIONS, "How data were divided", (), answers.partitions, ("data", "tables/participants")),
    Item("20", _PARTITIONS, "At which level the parts are disjoint", (), answers.disjoint, ("tables/leaks",)),
    Item("21", _TESTING, "The intended number of test images", ("sample_size",)),
    Item(
        "22",
        _MODEL,
        "The model, its inputs and outputs",
        (),
        answers.architecture,
        ("methods", "figures/method"),
    ),
    Item("23", _MODEL, "Software, with versions", (), answers.software, ("methods",)),
    Item("24", _MODEL, "How parameters begin", (), answers.initialisation, ("methods",)),
    Item("25", _TRAINING, "How the model was trained", (), answers.training, ("training",)),
    Item("26", _TRAINING, "How the final model was chosen", (), answers.selection, ("training",)),
    Item("27", _TRAINING, "How models were joined", (), needs=lambda settings: False),
    Item("28", _EVALUATION, "Measures of performance", (), answers.metrics, ("tables/metrics",)),
    Item(
        "29",
        _EVALUATION,
        "Measures of uncertainty, and tests",
        (),
        answers.uncertainty,
        ("tables/comparison",),
    ),
    Item(
        *("30", _EVALUATION, "How robust the results are", ()),
        answers.robustness,
        ("figures/step_ablation", "tables/ood", "tables/audit"),
    ),
    Item(
        *("31", _EVALUATION, "How decisions are explained", ()),
        answers.explanation,
        (
            "cases",
            "figures/evidence",
            "figures/counterfactuals",
            "tables/localisation",
            "tables/counterfactuals",
        ),
        needs=lambda settings: bool(settings.diffusion),
    ),
    Item("32", _EVALUATION, "Test on internal data", (), answers.internal, ("tables/classification",)),
    Item(
        *("33", _EVALUATION, "Test on external data", ("limitations",)),
        answers.external,
        ("tables/classification",),
    ),
    Item("34", _EVALUATION, "Registration of a clinical trial", ("registration",), needs_people=True),
    Item("35", _RESULTS, "Numbers included and excluded", (), answers.excluded, ("tables/flow",)),
    Item(
        *("36", _RESULTS, "What cases of every part are like", ()),
        answers.characteristics,
        ("tables/participants",),
    ),
    Item(
        "37",
        _RESULTS,
        "Performance with uncertainty",
        (),
        answers.performance,
        ("tables/classification", "tables/metrics"),
    ),
    Item(
        *("38", _RESULTS, "Diagnostic performance and its precision", ()),
        answers.performance,
        ("tables/operating_point", "tables/calibration", "figures/decision_curve"),
    ),
    Item(
        "39",
        _RESULTS,
        "Where the model fails",
        (),
        answers.failures,
        ("cases", "figures/surest_errors", "figures/uncertainty"),
    ),
    Item("40", _DISCUSSION, "Limits of the study", ("limitations",)),
    Item("41", _DISCUSSION, "What follows for practice", ("implications", "intended_use")),
    Item(
        "42", _OTHER, "Where the protocol and further details are", ("protocol",), answers.code, ("origin",)
    ),
    Item(
        "43",
        _OTHER,
        "Where software, model and data are",
        ("code_availability", "data_availability"),
        answers.code,
        ("origin",),
    ),
    Item("44", _OTHER, "Who paid, and with which part", ("funding",)),
]
