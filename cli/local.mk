# cli/: rtrctl.
