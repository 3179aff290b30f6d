"""The diffusion classifier: schedule, networks, noise, scoring and voting."""
