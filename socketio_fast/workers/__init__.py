"""What ``run()`` starts for several workers: a supervisor, and their processes."""
