"""clinvk as a service of a real systemd: Debian booted in a container, with our package in it.

`tree` makes the Debians, `container` boots one, `machine` is one with clinvk installed, and
`figures` prints what was measured. It needs root, debootstrap and systemd-nspawn; a machine that
lacks one of them skips these tests and says which.
"""
