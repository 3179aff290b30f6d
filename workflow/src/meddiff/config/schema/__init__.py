"""What the configuration files may say, one class a section."""
