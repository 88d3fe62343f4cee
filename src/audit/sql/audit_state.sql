-- audit_state(node uuid, seal bigint) -> (seals bigint, sealed bigint, events bigint, shipped bigint, shipped_hash text?, first_n bigint, seal_hash text?)
select (select count(*) from basalt.audit_seal),
    (select coalesce(sum(cardinality(events)), 0)::bigint from basalt.audit_seal),
    (select count(*) from basalt.audit_event),
    coalesce((select sequence from basalt.audit_node where node = $1), 0),
    (select hash from basalt.audit_node where node = $1),
    coalesce((select first_n from basalt.audit_kept), 1),
    (select encode(hash, 'hex') from basalt.audit_seal where n = $2)
