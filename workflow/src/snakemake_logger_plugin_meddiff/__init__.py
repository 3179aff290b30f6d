"""What a person sees of a run: a logger plug-in of Snakemake, chosen by ``profiles/default``.

Snakemake finds it because it is a package of this name that can be imported, and imports it whenever it
starts, for every job, too: so this module imports next to nothing, knows nothing of `meddiff`, and Rich is
loaded when a run has begun. What is not shown is in ``.snakemake/log``, which Snakemake writes as always.
"""

from snakemake_logger_plugin_meddiff.handler import LogHandler

__all__ = ["LogHandler"]
