"""The commands a person or a cluster runs: `melstream <command>`. Only this package prints."""
