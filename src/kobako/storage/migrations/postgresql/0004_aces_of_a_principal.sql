CREATE INDEX aces_of_a_principal ON aces (principal, uri)
