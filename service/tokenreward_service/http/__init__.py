"""HTTP as such, whatever the routes are: bodies, media types, foreign hosts and origins, the OpenAPI document."""
