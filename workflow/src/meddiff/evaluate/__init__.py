"""Everything after predictions: metrics, intervals and tests, tables, figures. No torch."""
