"""What the file of a model of each kind may say: one module a kind."""
