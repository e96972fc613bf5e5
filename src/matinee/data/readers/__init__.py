"""What a log can be written as: one file a format, the kind is the file's name."""
