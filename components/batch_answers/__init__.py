"""Answers to every user, by the version that is served."""
