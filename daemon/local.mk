# daemon/: the control plane.
