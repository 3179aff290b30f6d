"""From weights and images to an errors file: blocks, partial results, resuming."""
