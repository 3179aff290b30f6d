"""What lies where in a dataset's folder, and what its tables say, as one canonical table."""
