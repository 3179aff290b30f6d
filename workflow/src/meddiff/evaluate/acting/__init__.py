"""What it is worth to act on probabilities: are they right, and whom do they decide for."""
