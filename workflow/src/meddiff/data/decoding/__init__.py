"""Files of pictures, read and brought to 8 bits."""
