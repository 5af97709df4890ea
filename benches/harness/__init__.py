"""What `benches/compare` and `benches/guard` are made of; Python's standard library only.

How a figure comes about:

* Each server is started fresh, on a port of its own, with one worker, pinned to one core; `wrk` and
  this program run on another.
* In a round, the servers take turns on a workload; the next round begins with another of them. A
  ratio is taken within a round, where all met the same machine, and the median of the rounds is shown.
* CPU time is the scheduler's own account of every thread of the server and of its children
  (`/proc/PID/task/*/schedstat`): neither `wrk` nor another load on the machine is in it.
* A proxy asks an upstream of its own, which runs beside `wrk`: its CPU time is in no figure.
* Every server is asked once before it is measured, so that a fast wrong answer is no result. What
  `wrk` then counts as an error is shown in the table.

The modules, from the ground up: `machine` (cores, limits, names), `site` (what is served), `process`
(a server's processes: CPU, memory, end), `php` (PHP-FPM behind it), `upstream` (a server that a proxy
asks), `recipes` and `servers` (who is measured, how they are configured), `load` (`wrk`), `sample` (a
figure, and the instances it is taken from), `probes` and `workloads` (what is measured), `rounds` (turns,
medians, ratios), `report` (tables, JSON), `figures` (what must be reached), `charts` with `svg`
(pictures), `results_page` (docs/measuring.md), `cli`. The guard's are `traffic` (what a peer does), `counting` (this server under a tool that counts), `syscalls` and
`instructions` (the bounds), `guard`.
"""
