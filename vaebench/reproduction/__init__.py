"""Published tables, run again: recipe → runs → table with verdicts → curves → page. No torch."""
