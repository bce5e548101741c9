"""What is looked at: `negotiate_wsgi.doctor.run` asks every `check` in these modules."""
