# The commands of this project; each sets up what it needs on a fresh machine.
