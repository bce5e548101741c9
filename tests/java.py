"""Java's side: how a program of tests/ comes by the tickets of the environment."""

import os
from pathlib import Path

#: In Debian's JDK, which signs on with the tickets of the cache.
_JAAS = """{entry} {{
  com.sun.security.auth.module.Krb5LoginModule required useTicketCache=true doNotPrompt=true;
}};
"""


def with_tickets(directory, entry):
    """The beginning of a command; *entry* is what the program signs on as, in JAAS."""
    login = Path(directory) / "login.conf"
    login.write_text(_JAAS.format(entry=entry))
    options = {
        "java.security.krb5.conf": os.environ["KRB5_CONFIG"],
        "java.security.auth.login.config": login,
        "javax.security.auth.useSubjectCredsOnly": "false",
    }
    return ["java", *(f"-D{name}={value}" for name, value in options.items())]
