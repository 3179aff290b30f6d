"""Which classes precision, recall, F1 and AUROC are of, for captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

OF_CLASSES = {"precision": "precision", "recall": "recall", "f1": "F1", "auroc": "AUROC"}


def class_words(
    metrics: Sequence[str], datasets: Mapping[str, str], classes: Mapping[str, Sequence[str]]
) -> list[str]:
    """Sentences for a caption; none where no such metric is shown or the classes are not known.

    Args:
        metrics: the metrics shown.
        datasets: name -> title of the datasets shown.
        classes: dataset -> names in order of the class index.
    """
    listed = [title for name, title in OF_CLASSES.items() if name in metrics]
    known = [name for name in datasets if name in classes]
    two = [name for name in known if len(classes[name]) == 2]
    more = [name for name in known if name not in two]
    if not listed:
        return []
    plural = len(listed) > 1
    subject = ", ".join(listed[:-1]) + " and " * plural + listed[-1]
    subject = f"{subject[0].upper()}{subject[1:]} {'are' if plural else 'is'}"
    parts = []
    if two:
        which = ", ".join(f"{classes[name][1]} ({datasets[name]})" for name in two)
        parts.append(f"{subject} {'those' if plural else 'that'} of the class {which}.")
    if more:
        form = "unweighted means over the classes" if plural else "the unweighted mean over the classes"
        where = f" on {', '.join(datasets[name] for name in more)}" * bool(two)
        rest = ", AUROC of each class against all others" * ("auroc" in metrics)
        parts.append(f"{subject} {form}{where} (macro average{rest}).")
    return parts
