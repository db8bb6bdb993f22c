"""The side-by-side benchmark: testpmd, OVS-DPDK and this switch on the same work, on one core, in one run.

Every subject reads the same frames from the same source device, `net_pcap` with `infinite_rx` (a
file replayed from memory for ever), and sends them to the same sink, a `net_pcap` without a file
to write to (it drops). What is measured is therefore source + switch + sink; testpmd in io mode,
which does nothing between the two, is the limit, and the others are told as ratios to it.

- `command`    the command line, and the run from its start to its end
- `frames`     the cases, and the frames of each
- `machine`    root, packages, hugepages, the polled core, namespaces: what is taken is given back
- `process`    a process that polls a core: started, stopped with SIGSTOP while others measure, ended
- `testpmd`, `openvswitch`, `vswitch`   the subjects
- `measure`    rounds A B C A B C …, and the proof that what was counted was forwarded
- `report`, `plot`   JSON, Markdown and SVG
"""
