"""HTTP as values: a request in, a response out."""
