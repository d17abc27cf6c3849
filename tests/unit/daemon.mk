# Check programs of daemon/.
