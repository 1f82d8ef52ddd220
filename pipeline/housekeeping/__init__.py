"""What earlier runs left: listed, deleted where nothing needs it, and searched for a user."""
