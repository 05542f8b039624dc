"""Where training images come from, which fraction is used, how batches are made and degraded."""
