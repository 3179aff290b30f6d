"""What a run will cost before it is started: jobs, floating-point operations, GPU-hours and disk."""
