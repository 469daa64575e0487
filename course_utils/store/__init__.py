"""Files, folders, network and messages: what the course needs of the machine."""
