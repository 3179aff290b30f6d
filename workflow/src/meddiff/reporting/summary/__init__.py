"""The first part of the page: what was asked, what was found, and what it does not show, in plain words."""
