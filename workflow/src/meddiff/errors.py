"""The errors a user can act on. The command line prints their message without a traceback."""


class MeddiffError(Exception):
    """Base of all errors caused by input, configuration or environment, not by a bug."""


class ConfigError(MeddiffError):
    """A configuration key is unknown, missing, or has a value that cannot work."""


class DataError(MeddiffError):
    """A data file is missing, unreadable, or does not say what it must say."""


class CheckpointError(MeddiffError):
    """Weights or resume state are missing, damaged, or belong to something else."""


class ReleaseError(MeddiffError):
    """A run cannot be published or restored, or published weights not be replaced, as things are."""


class DiskError(MeddiffError, OSError):
    """A file cannot be written: the disk is full, or a quota or limit is reached.

    What goes on after other errors of the system goes on after this one.
    """


class Interrupted(MeddiffError):
    """The run was asked to stop; what it has is saved, and the same command goes on from there."""
