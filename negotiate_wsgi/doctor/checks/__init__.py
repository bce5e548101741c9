"""What is looked at. Every `check` in a module of this package is asked; see `negotiate_wsgi.doctor.run`."""
