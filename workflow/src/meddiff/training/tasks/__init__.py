"""What training does with a model: its loss, and its validation."""
