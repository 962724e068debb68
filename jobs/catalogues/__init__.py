"""One module per dataset: what it lists, how its clips are labelled, how many there must be."""
