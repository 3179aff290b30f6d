"""What the rules take from the configuration: runs, files, and the slices that each rule depends on."""
