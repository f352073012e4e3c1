"""What an evaluation leaves for people and for other tools: tables, a page, and the answers in benchmarks' formats."""
