"""What must the machines of a fleet agree on? Replays, revocations, failed passwords."""
