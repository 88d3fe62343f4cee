-- audit_seal_read(n bigint) -> (hash text?, first_n bigint)
select (select encode(hash, 'hex') from basalt.audit_seal where n = $1),
    coalesce((select first_n from basalt.audit_kept), 1)
