"""What the camera sees from where the car now is."""
