"""What is said of all folds of a dataset together."""
