"""The application's functions: what they take, and whether they can be called."""
