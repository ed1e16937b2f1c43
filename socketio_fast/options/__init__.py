"""What a server can be told: its options, their types and checks."""
