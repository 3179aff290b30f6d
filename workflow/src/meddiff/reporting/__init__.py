"""The report: one page that opens anywhere, made from the artifacts of a run."""
