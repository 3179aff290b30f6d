"""Decision rules, judged on the same stored errors."""
