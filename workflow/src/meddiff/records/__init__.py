"""Records of how results were made, kept beside them, and the chain that they form back to the raw data."""
