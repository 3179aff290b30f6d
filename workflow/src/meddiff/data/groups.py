"""Which images belong together: those that share a patient, a lesion, or a file's content, at any remove."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

# What stands in tables where nobody knew. As groups these would put strangers together.
_MISSING = frozenset(
    {"", "-", "--", "?", "#n/a", "<na>", "n/a", "na", "nan", "nil", "none", "null", "missing", "unknown"}
)


def is_missing(values: pd.Series) -> pd.Series:
    """Which cells name no group: blank, ``NA``, ``nan``, ``unknown`` and the like, in any case."""
    return values.str.strip().str.casefold().isin(_MISSING)


def connected(keys: pd.DataFrame) -> np.ndarray:
    """Number the rows by connected component: two rows are connected if they share the value of a column.

    Args:
        keys: one column a kind of key; None where a row has none.

    Returns:
        int [N], 0 for the component of the first row, and so on in order of appearance.
    """
    # Not at the top: SciPy takes longer to import than most commands to run.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows, nodes, total = [np.empty(0, int)], [np.empty(0, int)], len(keys)
    for name in keys:
        codes, values = pd.factorize(keys[name])
        there = np.flatnonzero(codes >= 0)
        rows.append(there)
        nodes.append(total + codes[there])
        total += len(values)
    row, node = np.concatenate(rows), np.concatenate(nodes)
    # Rows and values are the nodes of one graph; a row has an edge to each of its values.
    graph = coo_array((np.ones(len(row), dtype=np.int8), (row, node)), shape=(total, total))
    found = connected_components(graph, directed=False)[1][: len(keys)]
    return pd.factorize(found)[0]


def group_names(image_ids: pd.Series, keys: Mapping[str, pd.Series]) -> pd.Series:
    """The group of every image: a component of images that share a key.

    Args:
        image_ids: N ids.
        keys: kind (``patient``) -> N cells, most important kind first; see `is_missing`.

    Returns:
        N names, indexed as `image_ids`: the smallest key of the first kind that any image of the group has;
        the image's own id for one without a key. A name that two groups would have gets its kind before it.
    """
    kinds = {kind: cells.mask(is_missing(cells), None).to_numpy(object) for kind, cells in keys.items()}
    component = connected(pd.DataFrame(kinds, index=range(len(image_ids))))
    names = pd.Series(None, index=range(component.max(initial=-1) + 1), dtype=object)
    kind_of = names.copy()
    for kind, values in [*kinds.items(), ("image", image_ids.to_numpy(object))]:
        cells = pd.DataFrame({"component": component, "value": values}).dropna().sort_values("value")
        first = cells.drop_duplicates("component").set_index("component")["value"]
        new = first.index[names[first.index].isna()]
        names[new], kind_of[new] = first[new], kind
    twice = names.duplicated(keep=False)
    names[twice] = kind_of[twice] + " " + names[twice]
    return pd.Series(names.to_numpy()[component], index=image_ids.index, dtype=object)
