"""The probe behind ``extproc attest``: is our filter attached to the Envoy at this address."""
