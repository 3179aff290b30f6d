"""Models: which kinds there are, what a trained one is, and the files that hold one."""
