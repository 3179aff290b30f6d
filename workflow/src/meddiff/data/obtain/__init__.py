"""Where datasets come from: downloads, archives, listings, published splits."""
