"""Tables and figures, one module each: the folders `tables/` and `figures/` are the lists.

The module of an artifact defines ``ARTIFACT``, a `meddiff.artifacts.artifact.Table` or `Figure`: its caption,
which files it is made from and what it needs of the configuration (``plan``), its data and its form. Nothing
about it is anywhere else.

The workflow reads these modules to plan its rules. What only the making needs and what is slow to import
(Matplotlib, SciPy's statistics, xarray) is therefore imported inside functions.
"""
