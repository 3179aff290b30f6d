"""What the splits of a dataset have in common and should not."""
