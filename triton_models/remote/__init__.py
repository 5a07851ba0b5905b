"""Model repositories in stores that have no directories and no rename, through fsspec."""
