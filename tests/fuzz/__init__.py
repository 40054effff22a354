"""A fuzzer: mutated bundles, records, YAML, checkpoints and stores (`make fuzz`)."""
