"""The nouns of a stack in the cloud; `target` has those that the program wires."""
