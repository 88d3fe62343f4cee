-- statement_limit(ms text) -> (was text)
select set_config('statement_timeout', $1, true) as was
