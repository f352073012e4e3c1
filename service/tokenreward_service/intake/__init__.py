"""From a request for work to a published job: admission, options, body, entries, slices, publication."""
