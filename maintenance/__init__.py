"""Controller-side code: from the events of a run to a signed maintenance record and its documents."""
