"""How servers and clients are built, run and measured; run.py says which."""
