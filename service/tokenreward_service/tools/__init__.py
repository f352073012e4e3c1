"""Commands for those who build or deploy the service: the API reference, and the secrets of a deployment."""
