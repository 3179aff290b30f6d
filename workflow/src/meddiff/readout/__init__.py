"""From errors or logits to scores and probabilities: decision rules. No torch."""
