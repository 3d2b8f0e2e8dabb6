"""Google Drive: the port that the job knows, and the adapter that speaks to Google."""
