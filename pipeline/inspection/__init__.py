"""Looking at the statistics that TFDV computed: finding them, comparing them, holding them against the schema."""
