"""The currency: entropy, code lengths, and the ledger that keeps every step honest."""
