"""Statistics of boards: intervals, paired comparisons, multiple comparisons, aggregates."""
