"""Inspection of the statistics that TFDV computed: finding, comparing and validating them."""
