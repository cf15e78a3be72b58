"""The nouns of a stack in the cloud: clusters, services and routes on AWS."""
