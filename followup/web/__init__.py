"""Who is calling over HTTP: parse, one call to a service, answer."""
