"""How a blessed model is published."""
