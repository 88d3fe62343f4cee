-- audit_node_read(node uuid) -> (sequence bigint, hash text)
select sequence, hash from basalt.audit_node where node = $1
