"""Leaderboards from records: statistics, tables, pages. Never imports torch, never trains."""
