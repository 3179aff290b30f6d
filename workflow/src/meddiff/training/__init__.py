"""Training: one loop for every kind of model, exactly resumable, on one process or several."""
