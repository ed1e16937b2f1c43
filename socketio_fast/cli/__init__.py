"""The command ``socketio-fast``: a module for each subcommand, and what they share."""
