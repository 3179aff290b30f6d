"""The first files of a dataset: a look at a folder, and configuration that runs on it (``meddiff init``)."""
