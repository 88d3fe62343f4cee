-- clean_networks() -> ()
delete from basalt.known_network where (user_id, network) in (
    select user_id, network from basalt.known_network
    where seen_at < now() - interval '90 days'
    limit 100 for update skip locked)
