"""What is known of a run: its record, what was judged before it, and how it is shown while it runs and afterwards."""
