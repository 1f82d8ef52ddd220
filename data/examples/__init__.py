"""From windows to examples in shards, and what is known of them."""
