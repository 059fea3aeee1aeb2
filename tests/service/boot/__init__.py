"""clinvk as a service of a real systemd: Debian booted in a container, with our package in it.

`tree` makes the Debians, `booting` boots one in one of the `ways`, `machine` is one with clinvk
installed, `agents` are the real ones in it, and `figures` prints what was measured. It needs root
and debootstrap, and systemd-nspawn or else unshare (`CLINVK_TEST_CONTAINER` names one of the two);
a machine that lacks one of them skips these tests and says which.
"""
