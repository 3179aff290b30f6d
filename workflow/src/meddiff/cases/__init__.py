"""The case explorer: every test image, what each model decided, and what spoke for and against it."""
