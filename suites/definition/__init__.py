"""What is driven and how it is judged, as people write it: suites, cases, selectors, enrichment."""
