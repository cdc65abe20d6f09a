"""The rehearsal hospital: real systemd hosts on one computer. See lab/README.md."""
