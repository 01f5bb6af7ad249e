"""Runs users' code: anything that polls the Lambda Runtime API for work.

In reading order: `contract` (the words, and what an actuator must do), `pool` (which instance gets an event),
`instance` (one running copy of a function), `runtime_api` (the HTTP service it polls), `processes` (the actuator for
local processes) with `families` (how Python, Node and provided functions start), `interpreters`, `environment`,
`output` and `logs`, `memory`; `launch.sh`, `python/` and `node/` run inside the instance.

Left out: containers and pods (other actuators of the same pool), extensions and the Telemetry API, SnapStart,
enforcing the size of `/tmp`, cgroups.
"""
