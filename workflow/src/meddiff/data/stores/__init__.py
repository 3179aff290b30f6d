"""Image stores: every image decoded once, and how training reads them."""
