"""The paper's published values, beside those of an experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meddiff.config.yaml_file import read_yaml
from meddiff.errors import ConfigError

if TYPE_CHECKING:
    from meddiff.config.load import Config

FILE = "published.yaml"


def check_published(config: Config) -> None:
    """Check that the rows which models name are among those published, where these are shown.

    Raises:
        ConfigError: naming the model's file and the rows that there are.
    """
    if not config.experiment.published:
        return
    path = config.root / FILE
    known = {row for rows in read_yaml(path)["classification"].values() for row in rows}
    for name in config.experiment.models:
        row = config.model(name, next(iter(config.datasets))).published
        if row is not None and row not in known:
            raise ConfigError(
                f"{config.root}/models/{name}.yaml: published: there is no row {row!r} in {path}; known are "
                f"{', '.join(sorted(known))}"
            )


def published_values(config: Config, part: str) -> dict[str, Any] | None:
    """The paper's values for one table or figure, by dataset and model of an experiment.

    Args:
        config: the experiment.
        part: ``classification``, ``step_ablation`` or ``uncertainty``.

    Returns:
        The entry of ``published.yaml`` with models under the experiment's names, or None where it does not
        show published values.
    """
    if not config.experiment.published:
        return None
    document = read_yaml(config.root / FILE)[part]
    by_dataset = document if part == "classification" else document["datasets"]
    named = {}
    for dataset in config.experiment.datasets:
        rows = {m: config.model(m, dataset).published for m in config.experiment.models}
        values = by_dataset.get(dataset, {})
        named[dataset] = {m: values[row] for m, row in rows.items() if row in values}
    return named if part == "classification" else {**document, "datasets": named}
