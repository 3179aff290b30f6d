"""Train, valid and test."""
