"""Which datasets an experiment has beside those that it names: those only tested on, and folds."""
