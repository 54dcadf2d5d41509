CREATE INDEX members_of_a_user ON members (member, principal)
