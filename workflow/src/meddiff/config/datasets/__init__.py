"""Which datasets an experiment has beside those that it names: tested on, pretrained on, and folds."""
