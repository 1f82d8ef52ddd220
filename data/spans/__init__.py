"""A series of spans: data that keep arriving, each delivery a folder of examples of its own.

A label belongs to the first span with which it becomes one: with which its event and one before it are there, and its
user's timeline is long enough. So the windows of spans 1 to N are, label for label, those of one generation over all
their events, and each label is in one span and one only. A window is what that generation gives when its span is the
last: events that arrive later, with earlier times, change none that is written.
"""
