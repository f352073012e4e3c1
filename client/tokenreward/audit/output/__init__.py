"""Showing an audit: in a terminal (`table`), as a page (`page`), and as JSON (`json_report`)."""
