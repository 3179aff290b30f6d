"""A model to take away: classify images that are in no dataset, and bundles of a run's model."""
