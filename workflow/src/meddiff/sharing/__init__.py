"""Publish a finished run and restore it elsewhere: bytes in DVC, a record in git, Snakemake as the judge."""
