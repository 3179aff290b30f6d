"""TRIPOD+AI, the statement on reporting prediction models, of 2024 [@collins2024].

Numbers are those of the list; what an item asks is said in our words.
"""

from __future__ import annotations

from meddiff.writing import answers
from meddiff.writing.item import Item

TITLE = "TRIPOD+AI"
CITES = "collins2024"

_TEXT, _BACKGROUND, _DATA, _PEOPLE = "Title and abstract", "Introduction", "Data", "Participants"
_PREPARED, _OUTCOME, _PREDICTORS, _SIZE = "Data preparation", "Outcome", "Predictors", "Sample size"
_ANALYSIS, _OUTPUT, _ETHICS = "Analytical methods", "Model output", "Ethics"
_OPEN, _PUBLIC, _RESULTS, _DISCUSSION = "Open science", "Patients and public", "Results", "Discussion"

ITEMS = [
    Item("1", _TEXT, "The title names the model, the people and what is predicted", ("identification",)),
    Item("2", _TEXT, "The abstract follows the list for abstracts", ("abstract",)),
    Item("3a", _BACKGROUND, "The question in care, why a model, and earlier ones", ("background",)),
    Item("3b", _BACKGROUND, "For whom the model is and who uses it", ("population", "intended_use", "users")),
    Item("3c", _BACKGROUND, "Known inequalities between people", ("inequalities",), needs_people=True),
    Item("4", _BACKGROUND, "Aims: development, evaluation or both", ("aims",)),
    Item(
        "5a",
        _DATA,
        "Sources of the data, and why these",
        ("population",),
        answers.sources,
        ("data", "tables/participants"),
    ),
    Item("5b", _DATA, "Dates of the data", ("dates",), needs_people=True),
    Item("6a", _PEOPLE, "Places and their number", ("setting",), needs_people=True),
    Item("6b", _PEOPLE, "Who could take part", ("eligibility",), answers.excluded, ("tables/flow",)),
    Item("6c", _PEOPLE, "Treatments", ("treatments",), needs_people=True),
    Item(
        "7",
        _PREPARED,
        "How data were prepared and checked",
        (),
        answers.preprocessing,
        ("methods", "tables/flow"),
    ),
    Item(
        "8a",
        _OUTCOME,
        "What is predicted, and how it was determined",
        ("reference_standard",),
        answers.reference,
    ),
    Item(
        "8b",
        _OUTCOME,
        "Who determined it, and how qualified",
        ("annotators",),
        needs_people=True,
        why=answers.NOBODY_LABELLED,
    ),
    Item(
        "8c",
        _OUTCOME,
        "What they did not know",
        ("blinding",),
        needs_people=True,
        why=answers.NOBODY_LABELLED,
    ),
    Item("9a", _PREDICTORS, "How predictors were chosen", (), answers.predictors),
    Item("9b", _PREDICTORS, "What they are and how they were measured", ("acquisition",), answers.predictors),
    Item(
        "9c",
        _PREDICTORS,
        "Who judged predictors, where that takes judgement",
        (),
        needs=lambda settings: False,
    ),
    Item("10", _SIZE, "Why so many", ("sample_size",), answers.sizes, ("tables/participants",)),
    Item(
        "11", _SIZE, "What was done about missing data", ("missing_data",), answers.missing, ("tables/flow",)
    ),
    Item(
        "12a",
        _ANALYSIS,
        "Which data were used for what",
        (),
        answers.partitions,
        ("data", "tables/participants"),
    ),
    Item("12b", _ANALYSIS, "How predictors enter the model", (), answers.preprocessing, ("methods",)),
    Item(
        "12c",
        _ANALYSIS,
        "Kind of model, and all steps of building it",
        (),
        answers.training,
        ("methods", "figures/method"),
    ),
    Item(
        "12d",
        _ANALYSIS,
        "Differences between places or groups",
        ("fairness",),
        answers.clusters,
        ("tables/audit",),
    ),
    Item(
        "12e",
        _ANALYSIS,
        "Measures of performance",
        (),
        answers.metrics,
        ("tables/metrics", "figures/reliability"),
    ),
    Item("12f", _ANALYSIS, "Changes of the model after its test", ("updating",), answers.recalibration),
    Item("12g", _ANALYSIS, "How predictions were computed", (), answers.output, ("methods",)),
    Item("13", _ANALYSIS, "Unequal classes", (), answers.imbalance, ("methods", "tables/calibration")),
    Item("14", _ANALYSIS, "What was done about fairness", ("fairness",), needs_people=True),
    Item(
        "15", _OUTPUT, "What the model says, and thresholds", (), answers.output, ("tables/operating_point",)
    ),
    Item(
        "16",
        _OUTPUT,
        "What differs between training and test data",
        ("differences",),
        answers.disjoint,
        ("tables/leaks",),
    ),
    Item("17", _ETHICS, "Approval and consent", ("ethics",), needs_people=True),
    Item("18a", _OPEN, "Who paid", ("funding",)),
    Item("18b", _OPEN, "Interests of the authors", ("conflicts",)),
    Item("18c", _OPEN, "Where the protocol is", ("protocol",)),
    Item("18d", _OPEN, "Where it is registered", ("registration",), needs_people=True),
    Item("18e", _OPEN, "Where the data are", ("data_availability",)),
    Item("18f", _OPEN, "Where the code is", ("code_availability",), answers.code, ("origin",)),
    Item("19", _PUBLIC, "How patients and the public took part", ("patient_involvement",), needs_people=True),
    Item("20a", _RESULTS, "The flow of participants", (), answers.excluded, ("tables/flow",)),
    Item(
        "20b", _RESULTS, "What participants are like", (), answers.characteristics, ("tables/participants",)
    ),
    Item(
        "20c",
        _RESULTS,
        "Training and test data beside each other",
        (),
        answers.characteristics,
        ("tables/participants",),
    ),
    Item(
        "21",
        _RESULTS,
        "Numbers and events in every analysis",
        (),
        answers.sizes,
        ("tables/participants", "tables/metrics"),
    ),
    Item("22", _RESULTS, "The whole model, for others to use", (), answers.whole_model, ("origin",)),
    Item(
        "23a",
        _RESULTS,
        "Performance with intervals, of subgroups too",
        (),
        answers.performance,
        ("tables/classification", "tables/audit"),
    ),
    Item(
        "23b", _RESULTS, "Performance by place or group", ("fairness",), answers.clusters, ("tables/audit",)
    ),
    Item(
        "24",
        _RESULTS,
        "Results of changes of the model",
        ("updating",),
        needs=lambda settings: bool(settings.study.updating),
    ),
    Item("25", _DISCUSSION, "What the results mean, for fairness too", ("interpretation", "implications")),
    Item("26", _DISCUSSION, "Limits of the study", ("limitations",)),
    Item(
        "27a",
        _DISCUSSION,
        "What is done with bad input, in use",
        ("poor_input",),
        answers.unsuitable_input,
        ("tables/ood",),
    ),
    Item("27b", _DISCUSSION, "What users do and must know", ("users",)),
    Item("27c", _DISCUSSION, "What has to be studied next", ("next_steps",)),
]
