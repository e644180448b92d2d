"""REST requests within the weight budget: which goes next, and what its response means."""
