"""The log as one HTML page: summary (counts), rows (what the browser lists), charts (pictures), page (all of it)."""
