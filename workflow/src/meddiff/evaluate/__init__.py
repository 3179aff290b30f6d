"""Everything after predictions that is a number: metrics, intervals, tests, curves. No torch."""
