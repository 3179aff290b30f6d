"""Charts of the page: specifications that a script draws."""
