"""What a folder has: its files, tables, columns, splits, groups and pictures."""
