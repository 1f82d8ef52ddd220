"""What serves a published model: its versions, what an export says of itself, and asking it by title or by file."""
