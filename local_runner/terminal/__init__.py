"""What people see: tables, progress, the report page."""
