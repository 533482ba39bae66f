"""Source against replica against archive; the audit chain against itself."""
