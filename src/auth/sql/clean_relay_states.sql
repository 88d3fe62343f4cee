-- clean_relay_states() -> ()
delete from auth.saml_relay_states where id in (
    select id from auth.saml_relay_states
    where created_at < now() - interval '24 hours'
    limit 100 for update skip locked)
