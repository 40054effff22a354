"""How a prunable weight is stored while it trains: dense under a mask, or in CSR."""
