//! The process and its supervisor: start, reload, upgrade, stop, control commands.
