"""What captions say of classes: which of them metrics are of, and where they are unequal or small."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from meddiff.evaluate.metrics.catalogue import METRICS
from meddiff.evaluate.summary import Sizes, few_images, is_unequal, most_frequent_share


def class_words(
    metrics: Sequence[str], datasets: Mapping[str, str], classes: Mapping[str, Sequence[str]]
) -> list[str]:
    """Sentences for a caption; none where no such metric is shown or the classes are not known.

    Args:
        metrics: the metrics shown.
        datasets: name -> title of the datasets shown.
        classes: dataset -> names in order of the class index.
    """
    listed = [
        in_sentence(metric.title) for name, metric in METRICS.items() if metric.of_classes and name in metrics
    ]
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
        ranked = [METRICS[name].title for name in ("auroc", "average_precision") if name in metrics]
        rest = f", {' and '.join(map(in_sentence, ranked))} of each class against all others" * bool(ranked)
        parts.append(f"{subject} {form}{where} (macro average{rest}).")
    return parts


def in_sentence(title: str) -> str:
    """A metric's title inside a sentence: small letters, but for abbreviations."""
    return title.lower() if title[1:].islower() else title


def balance_words(
    sizes: Mapping[str, Sizes], titles: Mapping[str, str], names: Mapping[str, Sequence[str]]
) -> list[str]:
    """Sentences for a caption about datasets whose classes are unequal or small.

    Args:
        sizes: dataset -> images of each class.
        titles: dataset -> title.
        names: dataset -> names of the classes; where they are missing the index is given.
    """
    said = []
    uneven = [
        f"{100 * most_frequent_share(of):.1f} % on {titles[name]}"
        for name, of in sizes.items()
        if is_unequal(of)
    ]
    if uneven:
        said.append(
            "Where classes are unequal, balanced accuracy (mean recall of the classes) and AUROC are shown "
            "as well; always answering with the most frequent class has an accuracy of "
            f"{', '.join(uneven)}, and no accuracy that is not higher is bold."
        )
    few = [
        f"{titles[name]}: {', '.join(found)}"
        for name, of in sizes.items()
        if (found := few_images(of, names.get(name, ())))
    ]
    if few:
        said.append(
            f"Warning: a class has so few test images ({'; '.join(few)}) that F1, balanced accuracy and "
            "AUROC say little about it, as their intervals show."
        )
    return said
