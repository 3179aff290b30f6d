"""What the file of a dataset may say, part by part."""
