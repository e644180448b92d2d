"""REST requests within the weight budget: their order, and the meaning of responses."""
