# Check programs of fastpath/.
