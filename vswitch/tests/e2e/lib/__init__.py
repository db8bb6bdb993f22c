"""What the end-to-end tests are made of: namespaces, Linux peers, the switch, and eyes on the wires.

Nothing here touches the machine's own network. Every namespace has the prefix of this run, so
that two runs never meet and a killed run's remains are recognised (`netns.remove_stale`).
"""
