"""The nouns of a stack on one machine; `target` has those that the program wires."""
